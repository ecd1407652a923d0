"""Cleaning of raw text, with the hashes of each document; this part runs in parallel processes."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from splitlaw.corpus.boundaries import cut_long_text
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams
from splitlaw.corpus.deduplication.shingles import (
    Hashes,
    Offsets,
    ngram_hashes,
    shingles_of_words,
    word_hashes,
)
from splitlaw.experiment.corpus_settings import Cleaning, NearDuplicates

_ASCII_CONTROL = bytes({*range(32), 127} - {*b"\t\n"})
_CONTROL_OR_SURROGATE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_MINHASH_SEED = 1  # any value would do; another one gives other candidates for near-duplicates
KEY_INTEGERS = 4
"""A document's key has this many 64-bit integers, which decide its order, split, slice and
mixture; see `splitlaw.corpus.splitting`."""
KEY_OF_TEXT = [0, 3]
"""The integers of a key that depend on the text alone, also for passages of a long document."""


def normalise(text: str) -> str:
    """Bring text to Unicode NFC with `\\n` newlines, and strip its ends.

    Control characters other than tabs and newlines, and lone surrogates, are removed.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text.encode("ascii").translate(None, _ASCII_CONTROL).decode("ascii").strip()
    return unicodedata.normalize("NFC", _CONTROL_OR_SURROGATE.sub("", text)).strip()


def document_key(text: bytes, seed: int) -> bytes:
    """Return 32 bytes that depend on a document's text and the seed alone.

    They are the document's identity, and decide its order, split, slice and mixture.
    """
    key = seed.to_bytes(8, "little")
    return hashlib.blake2b(text, digest_size=8 * KEY_INTEGERS, key=key).digest()


def _passages(text: str, cleaning: Cleaning, seed: int) -> tuple[list[str], bytes | None]:
    """Return the passages of a long text with the key of the whole; else the text and None."""
    if len(text) <= cleaning.max_characters:
        return [text], None
    return cut_long_text(text, cleaning.max_characters), document_key(text.encode("utf-8"), seed)


def _passage_key(passage: bytes, whole: bytes) -> bytes:
    """Return a passage's key: it has the split and the slice of its document, of key `whole`.

    So no passage of a document is trained on while another is held out.
    """
    return passage[:8] + whole[8:24] + passage[24:]


@dataclass(frozen=True, kw_only=True)
class CleanBatch:
    """Clean documents of one source."""

    texts: list[bytes]
    """UTF-8."""
    keys: NDArray[np.uint64]
    """`[documents, KEY_INTEGERS]`, see `document_key`."""
    signatures: NDArray[np.uint32]
    """MinHash signatures, `[documents, permutations]`; without columns if near-duplicates are
    kept."""
    benchmark: NDArray[np.bool_]
    """Whether a document shares an n-gram with a benchmark item."""
    dropped: dict[str, tuple[int, int]]
    """The numbers of documents and bytes dropped for each reason."""
    long: int = 0
    """The number of documents that were cut into passages of `max_characters`."""


def clean_batch(
    texts: Sequence[str], cleaning: Cleaning, seed: int, items: BenchmarkNgrams
) -> CleanBatch:
    """Clean a batch of raw documents; the result for a document depends on that document alone.

    A document of more than `max_characters` is replaced by passages.
    """
    kept: list[bytes] = []
    keys: list[bytes] = []
    dropped: dict[str, tuple[int, int]] = {}
    long = 0
    for raw in texts:
        passages, whole = _passages(normalise(raw), cleaning, seed)
        long += len(passages) > 1
        for text in passages:
            reason = _reason_to_drop(len(text), cleaning)
            if reason is None:
                kept.append(text.encode("utf-8"))
                key = document_key(kept[-1], seed)
                keys.append(_passage_key(key, whole) if whole else key)
            else:
                dropped_text = raw if whole is None else text
                documents, size = dropped.get(reason, (0, 0))
                size += len(dropped_text.encode("utf-8", "surrogatepass"))
                dropped[reason] = documents + 1, size
    words, bounds = word_hashes(kept)
    return CleanBatch(
        texts=kept,
        keys=np.frombuffer(b"".join(keys), dtype="<u8").reshape(len(kept), KEY_INTEGERS),
        signatures=_minhash_signatures(words, bounds, cleaning.near_duplicates),
        benchmark=_contains_item(words, bounds, items),
        dropped=dropped,
        long=long,
    )


def clean_numbered_batch(
    task: tuple[int, list[str]], *, cleaning: Cleaning, seed: int, items: BenchmarkNgrams
) -> tuple[int, CleanBatch]:
    """Clean a batch that carries the number of its source.

    It is in this module so that the processes that run it import nothing else.
    """
    return task[0], clean_batch(task[1], cleaning, seed, items)


def _reason_to_drop(characters: int, cleaning: Cleaning) -> str | None:
    if characters == 0:
        return "blank"
    return "too_short" if characters < cleaning.min_characters else None


def _minhash_signatures(
    words: Hashes, bounds: Offsets, near: NearDuplicates | None
) -> NDArray[np.uint32]:
    """Return MinHash signatures of the texts' shingles, `[documents, permutations]`."""
    documents = bounds.size - 1
    if near is None or not documents:
        return np.empty((documents, near.permutations if near else 0), np.uint32)
    hashes, offsets = shingles_of_words(words, bounds, near.shingle)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets.astype(np.uint64), near.permutations, _MINHASH_SEED
    )
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(documents, near.permutations)


def _contains_item(words: Hashes, bounds: Offsets, items: BenchmarkNgrams) -> NDArray[np.bool_]:
    """Return which texts share an n-gram with a benchmark item, `bool [documents]`."""
    contains = np.zeros(bounds.size - 1, dtype=bool)
    if not items.by_width:
        return contains
    widths = list(items.by_width)
    for width, hashes in zip(widths, ngram_hashes(words, widths), strict=True):
        found = items.positions(hashes, width)
        owner = np.searchsorted(bounds, found, side="right") - 1
        contains[owner[found + width <= bounds[owner + 1]]] = True  # not across two texts
    return contains
