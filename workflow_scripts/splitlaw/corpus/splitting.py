"""Which split a document belongs to, whether `general` takes it, and where it stands in the order.

Each is a function of the document's key, so of its text and the seed alone: adding a document moves
no other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
_ORDER, _SPLIT, _SLICE, _MIXTURE = range(4)


def uniform(keys: NDArray[np.uint64], word: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each document, from one word of its key."""
    return np.asarray((keys[:, word] >> np.uint64(11)) * 2.0**-53)


def split_draws(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The number in [0, 1) that decides the split of each document, `[documents]`."""
    return uniform(keys, _SPLIT)


def split_of(draw: NDArray[np.float64], *, validation: float, test: float) -> NDArray[np.int8]:
    """The split that each draw falls into, an index of `SPLITS`, of the shape of `draw`."""
    split = np.full(draw.shape, TRAIN, np.int8)
    split[draw < validation + test] = VALIDATION
    split[draw < test] = TEST
    return split


def assign_splits(keys: NDArray[np.uint64], *, validation: float, test: float) -> NDArray[np.int8]:
    """The split of each document, an index of `SPLITS`, `int8 [documents]`."""
    return split_of(split_draws(keys), validation=validation, test=test)


def assign_slices(
    keys: NDArray[np.uint64],
    domain: NDArray[np.int64],
    split: NDArray[np.int8],
    shares: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which documents `general` takes from their domain, `bool [documents]`.

    `shares` is `[domains]`. Only train documents move: a domain's held-out text stays whole.
    """
    return (uniform(keys, _SLICE) < shares[domain]) & (split == TRAIN)


def assign_clusters(
    keys: NDArray[np.uint64], cluster: NDArray[np.int64], general_share: float
) -> NDArray[np.int64]:
    """Where documents of discovered clusters go: 0 for `general`, else the cluster's number plus 1.

    `general` keeps its share of every cluster, in every split, so that it stays a mixture of all.
    """
    return np.where(uniform(keys, _SLICE) < general_share, 0, cluster + 1)


def priority(domain: NDArray[np.int64], split: NDArray[np.int8]) -> NDArray[np.int64]:
    """The rank of each document among its copies: the lowest stays, `int64 [documents]`.

    Held-out documents come before train documents of any domain, so that the copy in train goes.
    Within both, domains in the order of the configuration: one added at its end takes nothing from
    the others. Test comes before validation.
    """
    return (split == TRAIN) * 1_000_000 + domain * 3 + (TEST - split)


def arrange(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """`rows` in the order of the documents' keys: shuffled, and stable under additions."""
    return rows[np.lexsort(keys[rows].T[::-1])]


def keep_shares(
    keys: NDArray[np.uint64],
    size: NDArray[np.int64],
    source: NDArray[np.int64],
    weights: Sequence[float],
) -> NDArray[np.bool_]:
    """Which documents to keep so that the sources stand in the ratio of their weights, in bytes.

    The source that is shortest for its weight is kept whole; of the others a share of the
    documents is drawn by key. Nothing is repeated.
    """
    total = np.bincount(source, weights=size, minlength=len(weights))
    wanted = np.asarray(weights) * (total / np.asarray(weights)).min()
    share = np.divide(wanted, total, out=np.ones(len(weights)), where=total > 0)
    return uniform(keys, _MIXTURE) < np.where(share >= 1 - 1e-12, 1.0, share)[source]
