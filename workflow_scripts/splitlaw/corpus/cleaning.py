"""From raw text to clean documents with their hashes: the part that runs on every core."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams
from splitlaw.corpus.deduplication.shingles import (
    Hashes,
    Offsets,
    ngram_hashes,
    shingles_of_words,
    word_hashes,
)
from splitlaw.experiment.corpus_settings import Cleaning, NearDuplicates

_CONTROL = bytes({*range(32), 127} - {*b"\t\n"})
_BEYOND = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_MINHASH_SEED = 1
KEY_WORDS = 4
"""A document's key is this many 64-bit words: order, split, slice, mixture."""


def normalise(text: str) -> str:
    """Unicode NFC, newlines as `\\n`, no control characters or lone surrogates, ends stripped."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text.encode("ascii").translate(None, _CONTROL).decode("ascii").strip()
    return unicodedata.normalize("NFC", _BEYOND.sub("", text)).strip()


def document_key(text: bytes, seed: int) -> bytes:
    """32 bytes from a document's text and the seed alone: its identity, order, split and slice."""
    return hashlib.blake2b(text, digest_size=8 * KEY_WORDS, key=seed.to_bytes(8, "little")).digest()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clean documents of one source."""

    texts: list[bytes]
    """UTF-8."""
    keys: NDArray[np.uint64]
    """`[documents, KEY_WORDS]`, see `document_key`."""
    signatures: NDArray[np.uint32]
    """MinHash signatures, `[documents, permutations]`; no columns where none are asked for."""
    benchmark: NDArray[np.bool_]
    """Whether a document shares words with a benchmark's item."""
    dropped: dict[str, tuple[int, int]]
    """Reason to the documents and bytes dropped for it."""


def clean_batch(
    texts: Sequence[str], cleaning: Cleaning, seed: int, items: BenchmarkNgrams
) -> Batch:
    """Clean a batch of raw documents; what comes out depends on each document alone."""
    kept: list[bytes] = []
    dropped: dict[str, tuple[int, int]] = {}
    for raw in texts:
        text = normalise(raw)
        reason = _length_reason(len(text), cleaning)
        if reason is None:
            kept.append(text.encode("utf-8"))
        else:
            documents, size = dropped.get(reason, (0, 0))
            dropped[reason] = documents + 1, size + len(raw.encode("utf-8", "surrogatepass"))
    keys = b"".join(document_key(text, seed) for text in kept)
    words, bounds = word_hashes(kept)
    return Batch(
        texts=kept,
        keys=np.frombuffer(keys, dtype="<u8").reshape(len(kept), KEY_WORDS),
        signatures=_signatures(words, bounds, cleaning.near_duplicates),
        benchmark=_shared(words, bounds, items),
        dropped=dropped,
    )


def clean_numbered(
    task: tuple[int, list[str]], *, cleaning: Cleaning, seed: int, items: BenchmarkNgrams
) -> tuple[int, Batch]:
    """Clean a numbered batch; here, so that a process that does it loads nothing more."""
    return task[0], clean_batch(task[1], cleaning, seed, items)


def _length_reason(characters: int, cleaning: Cleaning) -> str | None:
    if characters == 0:
        return "blank"
    if characters < cleaning.min_characters:
        return "too_short"
    return "too_long" if characters > cleaning.max_characters else None


def _signatures(words: Hashes, bounds: Offsets, near: NearDuplicates | None) -> NDArray[np.uint32]:
    """MinHash signatures of the texts' shingles, `[documents, permutations]`."""
    documents = bounds.size - 1
    if near is None or not documents:
        return np.empty((documents, near.permutations if near else 0), np.uint32)
    hashes, offsets = shingles_of_words(words, bounds, near.shingle)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets.astype(np.uint64), near.permutations, _MINHASH_SEED
    )
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(documents, near.permutations)


def _shared(words: Hashes, bounds: Offsets, items: BenchmarkNgrams) -> NDArray[np.bool_]:
    """Which texts share an n-gram with a benchmark's item, `bool [documents]`."""
    shared = np.zeros(bounds.size - 1, dtype=bool)
    if not items.widths:
        return shared
    for width, hashes in zip(items.widths, ngram_hashes(words, list(items.widths)), strict=True):
        found = items.find(hashes, width)
        owner = np.searchsorted(bounds, found, side="right") - 1
        shared[owner[found + width <= bounds[owner + 1]]] = True
    return shared
