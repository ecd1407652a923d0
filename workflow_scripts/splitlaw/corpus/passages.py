"""Domains of few documents are held out by passage, so that ten files give text for every split.

If ten files were held out by document, a split of 5% would usually be empty. Instead, each document
of such a domain gives a share of its passages: one stretch for test and one for validation, at a
position drawn from its key. This too is a function of text, seed and shares, so adding a document
does not change the others. The text between the stretches is kept in one piece for training.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.boundaries import nearest_boundary
from splitlaw.corpus.cleaning import clean_batch
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams
from splitlaw.corpus.deduplication.shingles import shingle_set, sorted_contains
from splitlaw.corpus.document_store import DocumentStore, Rows
from splitlaw.corpus.splitting import TRAIN, passage_draws, split_draws, split_of_draws
from splitlaw.experiment.corpus_settings import CorpusConfig, NearDuplicates

PASSAGE_CHARACTERS = 1000
"""Approximate length of a passage: of a file of 20,000 characters, a split of 5% gets one."""

_MAX_CUT_SHIFT = PASSAGE_CHARACTERS // 4
"""How far a cut is moved to an end of a paragraph: passages keep at least half of their length."""


def find_small_domains(
    keys: NDArray[np.uint64], owner: NDArray[np.int64], *, domains: int, below: int
) -> NDArray[np.bool_]:
    """Return which domains have fewer than `below` distinct documents, `bool [domains]`.

    `owner` is the domain of each document, `[documents]`. All of a domain's documents count, even
    those that another domain has too, so that no domain depends on another. The passages of a long
    document have its draw for the split, and so count once.
    """
    draws = split_draws(keys)
    counts = [np.unique(draws[owner == domain]).size for domain in range(domains)]
    return np.array([0 < count < below for count in counts])


def cut_into_passages(
    text: str, draw: float, *, validation: float, test: float
) -> Iterator[tuple[str, int]]:
    """Yield a document's held-out passages and the pieces between them, each with its split.

    `draw` in [0, 1) decides the position of the held-out stretches. Cuts are moved to the nearest
    end of a paragraph, or else of a line, a sentence or a word. A document of one passage is not
    cut.
    """
    number = max(1, round(len(text) / PASSAGE_CHARACTERS))
    draws = (draw + np.arange(number) / number) % 1.0
    splits = split_of_draws(draws, validation=validation, test=test).tolist()
    begin = 0
    for passage, split in enumerate(splits):
        last = passage + 1 == number
        if not last and split == splits[passage + 1] == TRAIN:
            continue
        target = round((passage + 1) * len(text) / number)
        low, high = target - _MAX_CUT_SHIFT, target + _MAX_CUT_SHIFT
        end = len(text) if last else nearest_boundary(text, target, low=low, high=high)
        yield text[begin:end].strip(), split
        begin = end


def append_passages(
    store: DocumentStore, rows: Rows, config: CorpusConfig
) -> tuple[Rows, NDArray[np.int8]]:
    """Append the passages of the documents `rows` to the store, in their order.

    Returns the row of its document and the split of every passage. The store's index must then be
    built again.
    """
    parents, splits = [], []
    draws = passage_draws(store.index.keys[rows]).tolist()
    for row, draw in zip(rows.tolist(), draws, strict=True):
        text = store.text(row).decode("utf-8")
        pieces = cut_into_passages(
            text, draw, validation=config.splits.validation, test=config.splits.test
        )
        kept = [(part, s) for part, s in pieces if len(part) >= config.cleaning.min_characters]
        texts = [part for part, _ in kept]
        batch = clean_batch(texts, config.cleaning, config.seed, BenchmarkNgrams())
        assert len(batch.texts) == len(kept), "a passage of a clean document is clean"
        store.append(batch, int(store.index.source[row]))
        parents += [row] * len(kept)
        splits += [split for _, split in kept]
    return np.array(parents, dtype=np.int64), np.array(splits, dtype=np.int8)


def passages_in_training(
    store: DocumentStore, held_out: Rows, train: Rows, near: NearDuplicates
) -> Rows:
    """Return the passages `held_out` of which a document of `train` contains most shingles.

    Most means the share `near.threshold`. A long document that contains a passage is not its
    near-duplicate, because the passage is short in comparison; the share of shingles finds it.
    """
    sets = [shingle_set(store.text(row), near.shingle) for row in held_out.tolist()]
    owner = np.repeat(np.arange(held_out.size), [own.size for own in sets])
    hashes = np.concatenate([np.empty(0, np.uint64), *sets])
    size = np.bincount(owner, minlength=held_out.size)
    found = np.zeros(held_out.size, dtype=bool)
    for row in train.tolist():
        inside = sorted_contains(shingle_set(store.text(row), near.shingle), hashes)
        shared = np.bincount(owner[inside], minlength=held_out.size)
        found |= (shared >= near.threshold * size) & (size > 0)
    return held_out[found]
