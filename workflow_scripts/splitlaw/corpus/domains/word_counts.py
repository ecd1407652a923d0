"""Counts of hashed words: the features of a text that clusters and the router use."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from splitlaw.corpus.deduplication.shingles import word_hashes

HASH_BITS = 18
"""Bits of a word's hash that select its column: a tenth of 30,000 words share one with another."""
COLUMNS = 1 << HASH_BITS
MAX_TEXT_BYTES = 10_000
"""Only the beginning of a text is used: some 1,500 words show its domain."""


def count_words(texts: Sequence[bytes]) -> sparse.csr_matrix:
    """Count the words of each text (UTF-8) by hash, `float32 [texts, COLUMNS]`."""
    words, bounds = word_hashes([text[:MAX_TEXT_BYTES] for text in texts])
    columns = (words >> np.uint64(64 - HASH_BITS)).astype(np.int64)
    ones = np.ones(words.size, np.float32)
    counts = sparse.csr_matrix((ones, columns, bounds), shape=(len(texts), COLUMNS))
    counts.sum_duplicates()
    return counts
