"""Word shingles as 64-bit hashes, computed for whole batches, and their Jaccard similarity.

A word is a run of ASCII letters, digits and underscores, or of characters beyond ASCII; in scripts
without spaces (U+3000 and above) every character is a word. ASCII case is ignored. Hashes depend on
the bytes alone, so they are the same on every machine; two different shingles have the same hash
with probability 2**-64.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]

_SPACE = 32
_WEIGHTED_POSITIONS = 256
"""Bytes of a word before the weights repeat; words are hardly ever longer."""
_PIECE_BYTES = 1 << 17
"""The arrays of such a piece fit into the processor's cache, which makes hashing twice as fast."""


def _make_fold_table() -> bytes:
    """Map each byte: ASCII letters to lower case, bytes that are in no word to a space."""
    in_words = {*b"abcdefghijklmnopqrstuvwxyz0123456789_", *range(128, 256)}
    folded = (byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
    return bytes(byte if byte in in_words else _SPACE for byte in folded)


_FOLD_TABLE = _make_fold_table()
# Any random bits would do; the raw stream of a bit generator is the same in every NumPy version.
_RANDOM = np.random.PCG64(20240229)
_BYTE_HASHES = _RANDOM.random_raw(256)
_BYTE_HASHES[_SPACE] = 0  # separators add nothing to the word before them
_POSITION_WEIGHTS = _RANDOM.random_raw(_WEIGHTED_POSITIONS) | np.uint64(1)  # odd, so invertible
_NGRAM_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so invertible modulo 2**64: the golden ratio, as in splitmix64."""


def word_hashes(texts: Sequence[bytes]) -> tuple[Hashes, Offsets]:
    """Hash every word of every text (UTF-8).

    Returns the hashes of all words, `uint64 [words]`, and the position of each text's first word
    with the total number of words at the end, `int64 [texts + 1]`.
    """
    folded = b" ".join((*texts, b"")).translate(_FOLD_TABLE)
    ends = np.cumsum(np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
    starts, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for low, high in _piece_bounds(folded):
        piece_starts, piece_hashes = _hash_piece(np.frombuffer(folded[low:high], np.uint8))
        starts.append(piece_starts + low)
        hashes.append(piece_hashes)
    bounds = np.searchsorted(np.concatenate(starts), ends)
    return np.concatenate(hashes), np.concatenate(([0], bounds))


def _piece_bounds(folded: bytes) -> Iterator[tuple[int, int]]:
    """Cut between words into pieces of about `_PIECE_BYTES`."""
    low = 0
    while low < len(folded):
        high = folded.rfind(b" ", low, low + _PIECE_BYTES) + 1
        if not high:  # one word longer than a piece
            high = folded.find(b" ", low) + 1 or len(folded)
        yield low, high
        low = high


def _hash_piece(folded: NDArray[np.uint8]) -> tuple[Offsets, Hashes]:
    """Return the starts and hashes of a piece's words: sums of byte hashes weighted by position."""
    starts = _word_starts(folded)
    if not starts.size:
        return starts, np.empty(0, np.uint64)
    first = starts[0]
    position = np.arange(first, folded.size)
    position -= np.repeat(starts, np.diff(starts, append=folded.size))
    position &= _WEIGHTED_POSITIONS - 1
    values = _BYTE_HASHES.take(folded[first:].astype(np.intp))
    values *= _POSITION_WEIGHTS.take(position)
    return starts, _mix_bits(np.add.reduceat(values, starts - first))


def _word_starts(folded: NDArray[np.uint8]) -> Offsets:
    in_word = folded != _SPACE
    after_space = np.ones(folded.size, dtype=bool)
    after_space[1:] = ~in_word[:-1]
    unspaced = (folded >= 0xE3) & (folded < 0xF0)  # first bytes of U+3000 to U+FFFF
    return np.flatnonzero(in_word & (after_space | unspaced))


def _mix_bits(values: Hashes) -> Hashes:
    """Apply the finaliser of splitmix64 (Steele, Lea and Flood 2014): each bit affects all."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def ngram_hashes(words: Hashes, widths: Sequence[int]) -> Iterator[Hashes]:
    """Hash every `width` words in a row, for each of `widths`, which are in increasing order.

    Yields `uint64 [words - width + 1]`, empty if there are too few words.
    """
    total = words.copy()
    for width in range(1, max(widths) + 1):
        if width > 1:
            total = total[:-1] * _NGRAM_MULTIPLIER + words[width - 1 :]
        if width in widths:
            yield _mix_bits(total)


def shingle_hashes(texts: Sequence[bytes], width: int) -> tuple[Hashes, Offsets]:
    """Hash every shingle of `width` words of every text; see `shingles_of_words`."""
    return shingles_of_words(*word_hashes(texts), width)


def shingles_of_words(words: Hashes, bounds: Offsets, width: int) -> tuple[Hashes, Offsets]:
    """Hash every shingle of `width` words within texts whose `bounds` are `[texts + 1]`.

    Returns the hashes, `uint64 [shingles]`, repeats included, and the offsets of the texts,
    `int64 [texts + 1]`. A text of fewer words has one shingle, all of its words; a text without
    words has none.
    """
    counts = np.diff(bounds)
    short = np.flatnonzero((counts > 0) & (counts < width))
    (hashes,) = ngram_hashes(words, [width])
    owner = np.repeat(np.arange(counts.size), counts)
    hashes = hashes[owner[: hashes.size] == owner[width - 1 :]]
    shingles = np.maximum(counts - width + 1, 0)
    place = np.cumsum(shingles)[short]
    extra = [next(ngram_hashes(words[bounds[i] : bounds[i + 1]], [int(counts[i])])) for i in short]
    if extra:
        hashes = np.insert(hashes, place, np.concatenate(extra))
        shingles[short] = 1
    return hashes, np.concatenate(([0], np.cumsum(shingles)))


def shingle_set(text: bytes, width: int) -> Hashes:
    """Return the distinct shingles of one text, sorted."""
    return sorted_unique(shingle_hashes([text], width)[0])


def sorted_unique(hashes: Hashes) -> Hashes:
    """Return the distinct hashes, sorted; several times faster than `numpy.unique` on them."""
    ordered = np.sort(hashes)
    return ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]


def sorted_contains(ordered: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    """Return which of `hashes` are in the sorted array `ordered`, `bool [hashes]`."""
    if not ordered.size:
        return np.zeros(hashes.size, dtype=bool)
    place = np.minimum(np.searchsorted(ordered, hashes), ordered.size - 1)
    return np.asarray(ordered[place] == hashes)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Return the Jaccard similarity of two sorted sets: intersection over union; 0 if both are
    empty.
    """
    common = np.intersect1d(left, right, assume_unique=True).size
    union = left.size + right.size - common
    return common / union if union else 0.0
