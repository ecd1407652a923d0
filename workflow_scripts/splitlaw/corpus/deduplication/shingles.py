"""Word shingles as 64-bit hashes, whole batches at a time, and Jaccard similarity on them.

A word is a run of ASCII letters, digits and underscores, or of characters beyond ASCII; in scripts
without spaces (U+3000 and above) every character is a word. ASCII case does not count. Hashes
depend on the bytes alone: they are the same on every machine, and a collision of two different
shingles has a chance of 2**-64.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Offsets = NDArray[np.int64]

_SPACE = 32
_POSITIONS = 256
_PIECE = 1 << 17


def _fold() -> bytes:
    """Byte to byte: lower case for ASCII letters, a space for what is in no word."""
    inside = {*b"abcdefghijklmnopqrstuvwxyz0123456789_", *range(128, 256)}
    folded = (byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
    return bytes(byte if byte in inside else _SPACE for byte in folded)


_FOLD = _fold()
_STREAM = np.random.PCG64(20240229)  # any bits would do; the raw stream is the same in any numpy
_BYTE_HASH = _STREAM.random_raw(256)
_BYTE_HASH[_SPACE] = 0  # separators add nothing to the word before them
_PLACE_HASH = _STREAM.random_raw(_POSITIONS) | np.uint64(1)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def word_hashes(texts: Sequence[bytes]) -> tuple[Hashes, Offsets]:
    """Hash every word of every text (UTF-8).

    Gives the hashes of all words, `uint64 [words]`, and where each text's begin,
    `int64 [texts + 1]`.
    """
    folded = b" ".join((*texts, b"")).translate(_FOLD)
    ends = np.cumsum(np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
    starts, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for low, high in _pieces(folded):
        piece_starts, piece_hashes = _hash_piece(np.frombuffer(folded[low:high], np.uint8))
        starts.append(piece_starts + low)
        hashes.append(piece_hashes)
    bounds = np.searchsorted(np.concatenate(starts), ends)
    return np.concatenate(hashes), np.concatenate(([0], bounds))


def _pieces(folded: bytes) -> Iterator[tuple[int, int]]:
    """Cut between words into pieces whose arrays stay in the processor's cache: twice as fast."""
    low = 0
    while low < len(folded):
        high = folded.rfind(b" ", low, low + _PIECE) + 1
        if not high:  # one word longer than a piece
            high = folded.find(b" ", low) + 1 or len(folded)
        yield low, high
        low = high


def _hash_piece(folded: NDArray[np.uint8]) -> tuple[Offsets, Hashes]:
    """Where the words of a piece begin, and their hashes: sums over bytes, weighted by place."""
    starts = _word_starts(folded)
    if not starts.size:
        return starts, np.empty(0, np.uint64)
    first = starts[0]
    place = np.arange(first, folded.size)
    place -= np.repeat(starts, np.diff(starts, append=folded.size))
    place &= _POSITIONS - 1
    values = _BYTE_HASH.take(folded[first:].astype(np.intp))
    values *= _PLACE_HASH.take(place)
    return starts, _mix(np.add.reduceat(values, starts - first))


def _word_starts(folded: NDArray[np.uint8]) -> Offsets:
    inside = folded != _SPACE
    fresh = np.ones(folded.size, dtype=bool)
    fresh[1:] = ~inside[:-1]
    unspaced = (folded >= 0xE3) & (folded < 0xF0)  # first bytes of U+3000 to U+FFFF
    return np.flatnonzero(inside & (fresh | unspaced))


def _mix(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def ngram_hashes(words: Hashes, widths: Sequence[int]) -> Iterator[Hashes]:
    """Hash every `width` words in a row, for each of the rising `widths`.

    Yields `uint64 [words - width + 1]`, empty where there are too few words.
    """
    total = words.copy()
    for width in range(1, max(widths) + 1):
        if width > 1:
            total = total[:-1] * _STEP + words[width - 1 :]
        if width in widths:
            yield _mix(total)


def shingle_hashes(texts: Sequence[bytes], width: int) -> tuple[Hashes, Offsets]:
    """Hash every shingle of `width` words of every text; see `shingles_of_words`."""
    return shingles_of_words(*word_hashes(texts), width)


def shingles_of_words(words: Hashes, bounds: Offsets, width: int) -> tuple[Hashes, Offsets]:
    """Hash every shingle of `width` words within the texts that `bounds` tells, `[texts + 1]`.

    Gives `uint64 [shingles]`, repeats included, and `int64 [texts + 1]` offsets. A text of fewer
    words has one shingle, all of its words; a text without words has none.
    """
    counts = np.diff(bounds)
    short = np.flatnonzero((counts > 0) & (counts < width))
    (whole,) = ngram_hashes(words, [width])
    owner = np.repeat(np.arange(counts.size), counts)
    whole = whole[owner[: whole.size] == owner[width - 1 :]]
    shingles = np.maximum(counts - width + 1, 0)
    place = np.cumsum(shingles)[short]
    extra = [next(ngram_hashes(words[bounds[i] : bounds[i + 1]], [int(counts[i])])) for i in short]
    if extra:
        whole = np.insert(whole, place, np.concatenate(extra))
        shingles[short] = 1
    return whole, np.concatenate(([0], np.cumsum(shingles)))


def shingle_set(text: bytes, width: int) -> Hashes:
    """The distinct shingles of one text, sorted."""
    return sorted_unique(shingle_hashes([text], width)[0])


def sorted_unique(hashes: Hashes) -> Hashes:
    """The different hashes, sorted; several times faster than `numpy.unique` on 64-bit hashes."""
    ordered = np.sort(hashes)
    return ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]


def jaccard(left: Hashes, right: Hashes) -> float:
    """Size of the intersection over size of the union of two sorted sets; 0 for two empty ones."""
    common = np.intersect1d(left, right, assume_unique=True).size
    union = left.size + right.size - common
    return common / union if union else 0.0
