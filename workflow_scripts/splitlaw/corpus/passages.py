"""Domains of few documents are held out by passage, so that ten files leave text for every split.

By document, of ten files as a rule none falls into a split of 5%. Each document of such a domain
therefore gives its own share of its passages: one stretch for test and one for validation, at a
place drawn from its key. As with whole documents this is a function of text, seed and shares, and
another document moves none of it. What lies between the stretches stays in one piece for training.
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.cleaning import clean_batch
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams
from splitlaw.corpus.deduplication.shingles import Hashes, shingle_set
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows
from splitlaw.corpus.splitting import TRAIN, split_draws, split_of
from splitlaw.experiment.corpus_settings import CorpusConfig, NearDuplicates

PASSAGE = 1000
"""Characters of a passage, about."""

_REACH = PASSAGE // 4
_ENDS = [re.compile(end) for end in (r"\n\s*\n", r"\n", r"[.!?][\"')\]]*\s|[。！？]", r"\s")]


def few_documents(
    keys: NDArray[np.uint64], owner: NDArray[np.int64], *, domains: int, below: int
) -> NDArray[np.bool_]:
    """Which domains have fewer than `below` different documents, `bool [domains]`.

    `owner` is the domain of each document, `[documents]`. A domain's own documents count, whether
    or not another domain has them too, so that no domain depends on another.
    """
    counts = [np.unique(keys[owner == domain, 0]).size for domain in range(domains)]
    return np.array([0 < count < below for count in counts])


def parts(text: str, draw: float, *, validation: float, test: float) -> Iterator[tuple[str, int]]:
    """Cut a document into its held-out passages and the pieces between, each with its split.

    `draw` in [0, 1) places the held-out stretches. Cuts are moved to the nearest end of a
    paragraph, else of a line, a sentence or a word. A document of one passage stays whole.
    """
    number = max(1, round(len(text) / PASSAGE))
    draws = (draw + np.arange(number) / number) % 1.0
    splits = split_of(draws, validation=validation, test=test).tolist()
    begin = 0
    for passage, split in enumerate(splits):
        last = passage + 1 == number
        if not last and split == splits[passage + 1] == TRAIN:
            continue
        end = len(text) if last else _cut(text, round((passage + 1) * len(text) / number))
        yield text[begin:end].strip(), split
        begin = end


def _cut(text: str, target: int) -> int:
    low = target - _REACH
    for pattern in _ENDS:
        ends = [low + found.end() for found in pattern.finditer(text[low : target + _REACH])]
        if ends:
            return min(ends, key=lambda end: abs(end - target))
    return target


def add_parts(
    store: DocumentStore, index: DocumentIndex, rows: Rows, config: CorpusConfig
) -> tuple[Rows, NDArray[np.int8]]:
    """Append the parts of the documents `rows` to the store, in their order.

    Gives for every part the row of its document and its split. The index must be made again.
    """
    of, splits = [], []
    for row, draw in zip(rows.tolist(), split_draws(index.keys[rows]).tolist(), strict=True):
        text = store.text(index, row).decode("utf-8")
        made = [
            (part, split)
            for part, split in parts(
                text, draw, validation=config.splits.validation, test=config.splits.test
            )
            if len(part) >= config.cleaning.min_characters
        ]
        batch = clean_batch(
            [part for part, _ in made], config.cleaning, config.seed, BenchmarkNgrams()
        )
        assert len(batch.texts) == len(made), "a part of a clean document is clean"
        store.append(batch, int(index.source[row]))
        of += [row] * len(made)
        splits += [split for _, split in made]
    return np.array(of, dtype=np.int64), np.array(splits, dtype=np.int8)


def repeated(
    store: DocumentStore, index: DocumentIndex, held: Rows, train: Rows, near: NearDuplicates
) -> Rows:
    """The passages `held` of whose shingles one of `train` has the share `near.threshold`.

    A passage is short beside what it is cut from, so its copy in a long document is no near copy of
    that document; its share of common shingles shows it.
    """
    sets = [shingle_set(store.text(index, row), near.shingle) for row in held.tolist()]
    owner = np.repeat(np.arange(held.size), [own.size for own in sets])
    hashes = np.concatenate([np.empty(0, np.uint64), *sets])
    size = np.bincount(owner, minlength=held.size)
    found = np.zeros(held.size, dtype=bool)
    for row in train.tolist():
        inside = _among(hashes, shingle_set(store.text(index, row), near.shingle))
        shared = np.bincount(owner[inside], minlength=held.size)
        found |= (shared >= near.threshold * size) & (size > 0)
    return held[found]


def _among(hashes: Hashes, ordered: Hashes) -> NDArray[np.bool_]:
    if not ordered.size:
        return np.zeros(hashes.size, dtype=bool)
    place = np.minimum(np.searchsorted(ordered, hashes), ordered.size - 1)
    return np.asarray(ordered[place] == hashes)
