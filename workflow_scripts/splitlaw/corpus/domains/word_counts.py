"""Counts of hashed words: what clusters and the router see of a text."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from splitlaw.corpus.deduplication.shingles import word_hashes

BITS = 18
COLUMNS = 1 << BITS
SEEN = 10_000
"""Only this many bytes of a text are looked at."""


def word_counts(texts: Sequence[bytes]) -> sparse.csr_matrix:
    """Count the words of each text (UTF-8) by hash, `float32 [texts, COLUMNS]`."""
    words, bounds = word_hashes([text[:SEEN] for text in texts])
    columns = (words >> np.uint64(64 - BITS)).astype(np.int64)
    ones = np.ones(words.size, np.float32)
    counts = sparse.csr_matrix((ones, columns, bounds), shape=(len(texts), COLUMNS))
    counts.sum_duplicates()
    return counts
