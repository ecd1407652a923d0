from pathlib import Path

import numpy as np
import pytest

from splitlaw.corpus.cleaning import clean_batch
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams
from splitlaw.corpus.deduplication.duplicates import exact_duplicates, near_duplicates
from splitlaw.corpus.deduplication.leakage import find_leaks
from splitlaw.corpus.deduplication.shingles import jaccard, shingle_set
from splitlaw.corpus.document_store import DocumentStore
from splitlaw.experiment.corpus_settings import Cleaning, NearDuplicates

NEAR = NearDuplicates()


def filled(folder: Path, texts: list[str]) -> DocumentStore:
    store = DocumentStore(folder, NEAR.permutations)
    store.append(clean_batch(texts, Cleaning(min_characters=1), 0, BenchmarkNgrams()), 0)
    store.build_index()
    return store


def similarity(left: str, right: str) -> float:
    return jaccard(shingle_set(left.encode(), 3), shingle_set(right.encode(), 3))


def test_exact_copy_of_lowest_rank_is_kept(tmp_path: Path) -> None:
    store = filled(tmp_path, ["a a a", "b b b", "a a a", "c c c", "a a a"])
    with store:
        found = exact_duplicates(store.index, np.arange(5), np.array([2, 0, 1, 0, 3]))
        assert found.tolist() == [0, 4]
        found = exact_duplicates(store.index, np.array([0, 3, 4]), np.array([2, 0, 1]))
        assert found.tolist() == [0]


def test_planted_near_duplicates_are_dropped_and_others_kept(tmp_path: Path, writer) -> None:
    originals = writer.documents(300)
    near = [writer.altered(text, 0.05) for text in originals]
    far = [writer.altered(text, 0.35) for text in originals[:150]]
    store = filled(tmp_path, [*originals, *near, *far])
    with store:
        dropped = near_duplicates(store, np.arange(750), NEAR)
    assert dropped.min() >= 300
    true = np.array([similarity(a, b) for a, b in zip(originals, near, strict=True)])
    found = np.isin(np.arange(300, 600), dropped)
    assert found.mean() >= 0.98  # the Jaccard similarity of a few copies is below the threshold
    assert not found[true < NEAR.threshold].any()
    assert (dropped < 600).all()


def test_document_listed_first_is_kept(tmp_path: Path, writer) -> None:
    text = writer.document()
    store = filled(tmp_path, [text, writer.altered(text, 0.02), writer.document()])
    with store:
        assert near_duplicates(store, np.array([1, 2, 0]), NEAR).tolist() == [0]
        assert near_duplicates(store, np.array([0, 2]), NEAR).tolist() == []


def test_dropped_documents_of_a_chain_are_near_a_kept_one(tmp_path: Path, writer) -> None:
    first = writer.document(400)
    chain = [first]
    for _ in range(4):
        chain.append(writer.altered(chain[-1], 0.1))
    store = filled(tmp_path, chain)
    with store:
        dropped = near_duplicates(store, np.arange(5), NEAR).tolist()
    kept = [text for row, text in enumerate(chain) if row not in dropped]
    assert all(
        any(similarity(chain[row], other) >= NEAR.threshold for other in kept) for row in dropped
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_leaks_equal_those_of_comparing_every_pair(
    tmp_path: Path, writer, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitlaw.corpus.deduplication.leakage._BATCH_BYTES", 10_000)
    held = writer.documents(40, 80)
    train = [
        writer.altered(held[i % 40], share) for i, share in enumerate(np.linspace(0, 0.3, 200))
    ]
    train += [*writer.documents(50, 80), "in short", "two words"]
    store = filled(tmp_path, [*held, *train])
    rows = np.arange(40, len(held) + len(train))
    with store:
        found = find_leaks(store, rows, np.arange(40), NEAR, workers=workers)
    expected = [
        row
        for row, text in enumerate(train, start=40)
        if any(similarity(text, other) >= NEAR.threshold for other in held)
    ]
    assert found.tolist() == expected
    assert 50 < len(expected) < 200


def test_a_threshold_near_zero_takes_one_shingle_in_common(tmp_path: Path, writer) -> None:
    """Our own case: it required none, of no documents."""
    held = writer.documents(2, 80)
    store = filled(
        tmp_path, [*held, "nothing of this is anywhere else", f"{held[1][:60]} and more"]
    )
    with store:
        near = NEAR.model_copy(update={"threshold": 1e-300})
        assert find_leaks(store, np.arange(2, 4), np.arange(2), near).tolist() == [3]
