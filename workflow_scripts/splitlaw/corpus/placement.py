"""Where every clean document goes: which copies stay, in which split, for which domain."""

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.deduplication.duplicates import exact_duplicates, near_duplicates
from splitlaw.corpus.deduplication.leakage import leaking
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore
from splitlaw.corpus.domains.clusters import discover
from splitlaw.corpus.passages import add_parts, few_documents, repeated
from splitlaw.corpus.splitting import (
    TRAIN,
    arrange,
    assign_clusters,
    assign_slices,
    assign_splits,
    keep_shares,
    priority,
)
from splitlaw.experiment.corpus_settings import CorpusConfig

KEPT, CUT, EXACT, BENCHMARK, NEAR, LEAK, REPEATED, OVER_WEIGHT = range(8)
REASONS = {
    EXACT: "exact_duplicate",
    BENCHMARK: "benchmark",
    NEAR: "near_duplicate",
    LEAK: "near_held_out",
    REPEATED: "passage_in_training",
    OVER_WEIGHT: "over_weight",
}
"""Why a document is neither kept nor cut into its parts."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What became of every document; all arrays are `[documents]`."""

    index: DocumentIndex
    """The documents, the parts of cut ones behind them."""
    owner: NDArray[np.int64]
    """The domain whose source it comes from, an index of `CorpusConfig.names`."""
    split: NDArray[np.int8]
    """An index of `SPLITS`."""
    fate: NDArray[np.int8]
    """`KEPT`, `CUT` where its parts stand for it, or one of `REASONS`."""
    destination: NDArray[np.int64]
    """The domain it goes to: its owner, or `general` for a slice."""
    clusters: list[dict[str, Any]]
    """What was discovered, for a person to look at; empty where domains are given."""


def place(
    config: CorpusConfig, owners: NDArray[np.int64], store: DocumentStore, workers: int
) -> Placement:
    """Decide for every document of the store whether it stays, in which split, for which domain.

    `owners` is the domain of each source, an index of `CorpusConfig.names`, `[sources]`.
    """
    index = store.index()
    owner = owners[index.source]
    few = few_documents(
        index.keys, owner, domains=len(config.names), below=config.splits.passages_below
    )
    placed = Placement(
        index=index,
        owner=owner,
        split=assign_splits(
            index.keys, validation=config.splits.validation, test=config.splits.test
        ),
        fate=np.full(owner.size, KEPT, np.int8),
        destination=owner,
        clusters=[],
    )
    placed.split[few[owner]] = TRAIN  # as a whole; until it is cut it may go to either side
    _drop_copies(config, store, placed, few[owner], workers)
    if few.any():
        placed = _cut(config, store, placed, few, workers)
    _keep_weights(config, placed)
    return _divide(config, store, placed)


def _drop_copies(
    config: CorpusConfig,
    store: DocumentStore,
    placed: Placement,
    uncut: NDArray[np.bool_],
    workers: int,
) -> None:
    """Mark copies in `fate`; a copy in train of a held-out document goes, always.

    Documents that are still to be cut, `uncut`, stand on both sides.
    """
    index, owner, split, fate = placed.index, placed.owner, placed.split, placed.fate
    rank = priority(owner, split)
    rows = np.flatnonzero(fate == KEPT)
    by_source = rank[rows] * (index.source.max(initial=0) + 1) + index.source[rows]
    fate[exact_duplicates(index, rows, by_source)] = EXACT
    fate[(fate == KEPT) & index.benchmark & (split == TRAIN)] = BENCHMARK
    near = config.cleaning.near_duplicates
    if near is None:
        return
    rows = arrange(index.keys, np.flatnonzero(fate == KEPT))
    rows = rows[np.argsort(rank[rows], kind="stable")]
    fate[near_duplicates(store, index, rows, near)] = NEAR
    train = np.flatnonzero((fate == KEPT) & (split == TRAIN))
    held = np.flatnonzero((fate == KEPT) & ((split != TRAIN) | uncut))
    fate[leaking(store, index, train, held, near, workers=workers)] = LEAK


def _cut(
    config: CorpusConfig,
    store: DocumentStore,
    whole: Placement,
    few: NDArray[np.bool_],
    workers: int,
) -> Placement:
    """Replace the kept documents of domains that have few by their parts, then drop copies."""
    for number in np.flatnonzero(few):
        documents = int(((whole.owner == number) & (whole.fate == KEPT)).sum())
        print(
            f"domain {config.names[number]}: {documents} documents, fewer than "
            f"corpus.splits.passages_below {config.splits.passages_below}; held out by passage",
            file=sys.stderr,
        )
    rows = np.flatnonzero(few[whole.owner] & (whole.fate == KEPT))
    rows = arrange(whole.index.keys, rows)
    of, splits = add_parts(store, whole.index, rows, config)
    whole.fate[rows] = CUT
    owner = np.concatenate([whole.owner, whole.owner[of]])
    placed = Placement(
        index=store.index(),
        owner=owner,
        split=np.concatenate([whole.split, splits]),
        fate=np.concatenate([whole.fate, np.full(of.size, KEPT, np.int8)]),
        destination=owner,
        clusters=[],
    )
    _drop_copies(config, store, placed, np.zeros(owner.size, dtype=bool), workers)
    if near := config.cleaning.near_duplicates:
        for number in np.flatnonzero(few):
            own = (placed.owner == number) & (placed.fate == KEPT)
            held = np.flatnonzero(own & (placed.split != TRAIN))
            train = np.flatnonzero(own & (placed.split == TRAIN))
            placed.fate[repeated(store, placed.index, held, train, near)] = REPEATED
    return placed


def _keep_weights(config: CorpusConfig, placed: Placement) -> None:
    """Drop documents of the general sources that have too many for their weight."""
    weights = [source.weight for source in config.general.sources if source.weight is not None]
    if not weights:
        return
    index = placed.index
    own = np.flatnonzero((placed.fate == KEPT) & (placed.owner == 0))
    source = index.source[own].astype(np.int64)
    kept = keep_shares(index.keys[own], index.size[own], source, weights)
    placed.fate[own[~kept]] = OVER_WEIGHT


def _divide(config: CorpusConfig, store: DocumentStore, placed: Placement) -> Placement:
    """Send slices of domains to general, or the documents of general to discovered domains."""
    index = placed.index
    discovery = config.discovery
    if discovery is None:
        shares = np.array([config.general.slices.get(name, 0.0) for name in config.names])
        sliced = assign_slices(index.keys, placed.owner, placed.split, shares)
        return replace(placed, destination=np.where(sliced, 0, placed.owner))
    rows = arrange(index.keys, np.flatnonzero(placed.fate == KEPT))
    found, clusters = discover(
        store, index, rows, discovery.discover, config.seed, discovery.embedding
    )
    destination = placed.owner.copy()
    destination[rows] = assign_clusters(index.keys[rows], found, discovery.general_share)
    return replace(placed, destination=destination, clusters=clusters)
