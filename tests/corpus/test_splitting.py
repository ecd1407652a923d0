import numpy as np

from splitlaw.corpus.cleaning import document_key
from splitlaw.corpus.splitting import (
    TEST,
    TRAIN,
    VALIDATION,
    assign_slices,
    assign_splits,
    copy_ranks,
    keep_by_weight,
    sort_by_key,
)


def keys(count: int, seed: int = 0) -> np.ndarray:
    made = b"".join(document_key(f"document {i}".encode(), seed) for i in range(count))
    return np.frombuffer(made, np.uint64).reshape(count, 4)


def test_shares_of_the_splits() -> None:
    split = assign_splits(keys(20_000), validation=0.05, test=0.1)
    shares = np.bincount(split) / split.size
    assert np.allclose(shares, [0.85, 0.05, 0.1], atol=0.01)  # four standard errors: 0.85 ± 0.0025


def test_adding_documents_does_not_change_the_others() -> None:
    few, many = keys(500), keys(1000)
    both = {"validation": 0.05, "test": 0.05}
    assert (assign_splits(few, **both) == assign_splits(many, **both)[:500]).all()
    order = sort_by_key(many, np.arange(1000))
    assert order[order < 500].tolist() == sort_by_key(few, np.arange(500)).tolist()


def test_seed_changes_splits_and_order() -> None:
    both = {"validation": 0.2, "test": 0.2}
    assert (assign_splits(keys(500), **both) != assign_splits(keys(500, 1), **both)).any()
    rows = np.arange(500)
    assert (sort_by_key(keys(500), rows) != sort_by_key(keys(500, 1), rows)).any()


def test_slices_are_shares_of_training_documents() -> None:
    some = keys(20_000)
    split = assign_splits(some, validation=0.05, test=0.05)
    domain = np.arange(20_000) % 3
    sliced = assign_slices(some, domain, split, np.array([0.0, 0.15, 0.5]))
    assert not sliced[split != TRAIN].any()
    train = split == TRAIN
    shares = [sliced[train & (domain == d)].mean() for d in range(3)]
    assert np.allclose(shares, [0, 0.15, 0.5], atol=0.02)  # three standard errors: 0.5 ± 0.0065


def test_held_out_documents_and_earlier_domains_rank_first() -> None:
    domain = np.array([0, 0, 0, 1, 1, 1])
    split = np.array([TRAIN, VALIDATION, TEST] * 2)
    assert np.argsort(copy_ranks(domain, split)).tolist() == [2, 1, 5, 4, 0, 3]


def test_kept_bytes_have_the_ratio_of_the_weights() -> None:
    some = keys(30_000)
    source = np.repeat([0, 1, 2], 10_000)
    size = np.repeat([100, 100, 400], 10_000)
    kept = keep_by_weight(some, size, source, [1.0, 3.0, 4.0])
    bytes_kept = np.bincount(source[kept], weights=size[kept])
    assert kept[source == 1].all()
    assert np.allclose(bytes_kept / bytes_kept.sum(), [1 / 8, 3 / 8, 4 / 8], atol=0.01)
