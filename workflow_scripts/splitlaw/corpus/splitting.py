"""The split of a document, whether `general` takes it, and its place in the order.

Each is a function of the document's key, and so of its text and the seed alone: adding a document
does not change the others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
_ORDER, _SPLIT, _SLICE, _MIXTURE = range(4)
"""The use of each integer of a key. Independent integers make the decisions independent."""
_RANK_OF_TRAIN = 1_000_000
"""Above the rank of any held-out document, which is three times the number of its domain."""
_FULL_SHARE = 1 - 1e-12
"""Larger shares count as 1: rounding must not drop documents of the source that is kept in full."""


def uniform(keys: NDArray[np.uint64], integer: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each document, from one integer of its key."""
    return np.asarray((keys[:, integer] >> np.uint64(11)) * 2.0**-53)  # the 53 bits of a double


def split_draws(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the number in [0, 1) that decides the split of each document, `[documents]`."""
    return uniform(keys, _SPLIT)


def passage_draws(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the number in [0, 1) that decides which of its text a document holds out.

    The passages of one long document have the same draw for the split, which would hold out the
    same place of each, or nothing of any; they have draws of their own here.
    """
    _, group, sizes = np.unique(keys[:, _SPLIT], return_inverse=True, return_counts=True)
    return np.where(sizes[group] > 1, uniform(keys, _ORDER), split_draws(keys))


def split_of_draws(
    draws: NDArray[np.float64], *, validation: float, test: float
) -> NDArray[np.int8]:
    """Return the split of each draw, an index of `SPLITS`, in the shape of `draws`."""
    split = np.full(draws.shape, TRAIN, np.int8)
    split[draws < validation + test] = VALIDATION
    split[draws < test] = TEST
    return split


def assign_splits(keys: NDArray[np.uint64], *, validation: float, test: float) -> NDArray[np.int8]:
    """Return the split of each document, an index of `SPLITS`, `int8 [documents]`."""
    return split_of_draws(split_draws(keys), validation=validation, test=test)


def assign_slices(
    keys: NDArray[np.uint64],
    domain: NDArray[np.int64],
    split: NDArray[np.int8],
    shares: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which documents `general` takes from their domain, `bool [documents]`.

    `shares` is `[domains]`. Only training documents move: all held-out text of a domain stays.
    """
    return (uniform(keys, _SLICE) < shares[domain]) & (split == TRAIN)


def assign_clusters(
    keys: NDArray[np.uint64], cluster: NDArray[np.int64], general_share: float
) -> NDArray[np.int64]:
    """Return the domain of documents of discovered clusters: 0 for `general`, else cluster + 1.

    `general` keeps its share of every cluster, in every split, so that it remains a mixture of all.
    """
    return np.where(uniform(keys, _SLICE) < general_share, 0, cluster + 1)


def copy_ranks(domain: NDArray[np.int64], split: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return the rank of each document among its copies, `int64 [documents]`: the lowest is kept.

    Held-out documents precede training documents of any domain, so that the copy in training text
    is dropped. Within both, domains are in the order of the configuration, so that a domain added
    at its end takes nothing from the others. Test precedes validation.
    """
    return (split == TRAIN) * _RANK_OF_TRAIN + domain * len(SPLITS) + (TEST - split)


def sort_by_key(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `rows` in the order of their keys, which is shuffled and stable under additions."""
    return rows[np.lexsort(keys[rows].T[::-1])]


def keep_by_weight(
    keys: NDArray[np.uint64],
    size: NDArray[np.int64],
    source: NDArray[np.int64],
    weights: Sequence[float],
) -> NDArray[np.bool_]:
    """Return which documents to keep so that the bytes of the sources have the ratio of `weights`.

    The source that has the least text for its weight is kept in full; of the others, a share of the
    documents is drawn by key. Nothing is repeated.
    """
    total = np.bincount(source, weights=size, minlength=len(weights))
    wanted = np.asarray(weights) * (total / np.asarray(weights)).min()
    share = np.divide(wanted, total, out=np.ones(len(weights)), where=total > 0)
    return uniform(keys, _MIXTURE) < np.where(share >= _FULL_SHARE, 1.0, share)[source]
