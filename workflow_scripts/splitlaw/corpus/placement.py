"""The decisions on every clean document: whether it is kept, in which split, for which domain."""

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.deduplication.duplicates import exact_duplicates, near_duplicates
from splitlaw.corpus.deduplication.leakage import find_leaks
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore
from splitlaw.corpus.domains.clusters import discover_clusters
from splitlaw.corpus.passages import append_passages, find_small_domains, passages_in_training
from splitlaw.corpus.splitting import (
    TRAIN,
    assign_clusters,
    assign_slices,
    assign_splits,
    copy_ranks,
    keep_by_weight,
    sort_by_key,
    split_draws,
)
from splitlaw.experiment.corpus_settings import CorpusConfig

KEPT, CUT, EXACT, BENCHMARK, NEAR, LEAK, IN_TRAINING, OVER_WEIGHT = range(8)
DROP_REASONS = {
    EXACT: "exact_duplicate",
    BENCHMARK: "benchmark",
    NEAR: "near_duplicate",
    LEAK: "near_held_out",
    IN_TRAINING: "passage_in_training",
    OVER_WEIGHT: "over_weight",
}
"""The outcomes of documents that are neither kept nor cut into passages, as named in the card."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The decisions on all documents; all arrays are `[documents]`."""

    index: DocumentIndex
    """The documents, followed by the passages of those that were cut."""
    owner: NDArray[np.int64]
    """The domain of the document's source, an index of `CorpusConfig.names`."""
    split: NDArray[np.int8]
    """An index of `SPLITS`."""
    outcome: NDArray[np.int8]
    """`KEPT`, `CUT` if its passages replace it, or one of `DROP_REASONS`."""
    destination: NDArray[np.int64]
    """The domain that gets the document: its owner, or `general` for a slice."""
    clusters: list[dict[str, Any]]
    """Descriptions of the discovered clusters; empty if domains are given."""
    general_has_all: bool
    """Whether `general` has the documents of every domain too."""

    def members(self, domain: int) -> NDArray[np.bool_]:
        """Which documents a domain has; it is an index of `CorpusConfig.names`."""
        kept = self.outcome == KEPT
        return kept if domain == 0 and self.general_has_all else kept & (self.destination == domain)


def place_documents(
    config: CorpusConfig, owners: NDArray[np.int64], store: DocumentStore, workers: int
) -> Placement:
    """Decide for every document of the store whether it is kept, its split and its domain.

    `owners` is the domain of each source, an index of `CorpusConfig.names`, `[sources]`.
    """
    index = store.build_index()
    owner = owners[index.source]
    small = find_small_domains(
        index.keys, owner, domains=len(config.names), below=config.splits.passages_below
    )
    placement = Placement(
        index=index,
        owner=owner,
        split=assign_splits(
            index.keys, validation=config.splits.validation, test=config.splits.test
        ),
        outcome=np.full(owner.size, KEPT, np.int8),
        destination=owner,
        clusters=[],
        general_has_all=config.general.includes_domains,
    )
    placement.split[small[owner]] = TRAIN  # of the whole document, until it is cut into passages
    _drop_copies(config, store, placement, small[owner], workers)
    if small.any():
        placement = _cut_documents(config, store, placement, small, workers)
    _drop_over_weight(config, placement)
    return _assign_destinations(config, store, placement, workers)


def _drop_copies(
    config: CorpusConfig,
    store: DocumentStore,
    placement: Placement,
    uncut: NDArray[np.bool_],
    workers: int,
) -> None:
    """Mark copies in `outcome`; of a held-out document, every copy in training text is dropped.

    Documents that are yet to be cut, `uncut`, count as both training and held-out documents.
    """
    index, split, outcome = placement.index, placement.split, placement.outcome
    rank = copy_ranks(placement.owner, split)
    rows = np.flatnonzero(outcome == KEPT)
    by_source = rank[rows] * (index.source.max(initial=0) + 1) + index.source[rows]
    outcome[exact_duplicates(index, rows, by_source)] = EXACT
    outcome[(outcome == KEPT) & index.benchmark & (split == TRAIN)] = BENCHMARK
    near = config.cleaning.near_duplicates
    if near is None:
        return
    rows = sort_by_key(index.keys, np.flatnonzero(outcome == KEPT))
    rows = rows[np.argsort(rank[rows], kind="stable")]
    outcome[near_duplicates(store, rows, near)] = NEAR
    train = np.flatnonzero((outcome == KEPT) & (split == TRAIN))
    held_out = np.flatnonzero((outcome == KEPT) & ((split != TRAIN) | uncut))
    outcome[find_leaks(store, train, held_out, near, workers=workers)] = LEAK


def _cut_documents(
    config: CorpusConfig,
    store: DocumentStore,
    whole: Placement,
    small: NDArray[np.bool_],
    workers: int,
) -> Placement:
    """Replace the kept documents of small domains by their passages, then drop copies of these."""
    for number in np.flatnonzero(small):
        own = (whole.owner == number) & (whole.outcome == KEPT)
        documents = np.unique(split_draws(whole.index.keys[own])).size  # not passages of long ones
        print(
            f"domain {config.names[number]}: {documents} documents, fewer than "
            f"corpus.splits.passages_below {config.splits.passages_below}; held out by passage",
            file=sys.stderr,
        )
    rows = np.flatnonzero(small[whole.owner] & (whole.outcome == KEPT))
    rows = sort_by_key(whole.index.keys, rows)
    parents, splits = append_passages(store, rows, config)
    whole.outcome[rows] = CUT
    owner = np.concatenate([whole.owner, whole.owner[parents]])
    placement = Placement(
        index=store.build_index(),
        owner=owner,
        split=np.concatenate([whole.split, splits]),
        outcome=np.concatenate([whole.outcome, np.full(parents.size, KEPT, np.int8)]),
        destination=owner,
        clusters=[],
        general_has_all=whole.general_has_all,
    )
    _drop_copies(config, store, placement, np.zeros(owner.size, dtype=bool), workers)
    if near := config.cleaning.near_duplicates:
        for number in np.flatnonzero(small):
            own = (placement.owner == number) & (placement.outcome == KEPT)
            held_out = np.flatnonzero(own & (placement.split != TRAIN))
            train = np.flatnonzero(own & (placement.split == TRAIN))
            repeated = passages_in_training(store, held_out, train, near)
            placement.outcome[repeated] = IN_TRAINING
    return placement


def _drop_over_weight(config: CorpusConfig, placement: Placement) -> None:
    """Drop documents of the general sources that have too many for their weight."""
    weights = [source.weight for source in config.general.sources if source.weight is not None]
    if not weights:
        return
    index = placement.index
    general = np.flatnonzero((placement.outcome == KEPT) & (placement.owner == 0))
    source = index.source[general].astype(np.int64)
    kept = keep_by_weight(index.keys[general], index.size[general], source, weights)
    placement.outcome[general[~kept]] = OVER_WEIGHT


def _assign_destinations(
    config: CorpusConfig, store: DocumentStore, placement: Placement, workers: int
) -> Placement:
    """Assign slices of domains to general, or documents of general to discovered domains."""
    index = placement.index
    discovery = config.discovery
    if discovery is None:
        shares = np.array([config.general.slices.get(name, 0.0) for name in config.names])
        sliced = assign_slices(index.keys, placement.owner, placement.split, shares)
        return replace(placement, destination=np.where(sliced, 0, placement.owner))
    rows = sort_by_key(index.keys, np.flatnonzero(placement.outcome == KEPT))
    found, clusters = discover_clusters(store, rows, discovery, config.seed, workers=workers)
    destination = placement.owner.copy()
    own_share = 0.0 if placement.general_has_all else discovery.general_share
    destination[rows] = assign_clusters(index.keys[rows], found, own_share)
    return replace(placement, destination=destination, clusters=clusters)
