"""From a configuration to a folder of clean, split documents and a card for every domain."""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from splitlaw.corpus.benchmarks import benchmark_items, item_words
from splitlaw.corpus.card import Dropped, write_card
from splitlaw.corpus.cleaning import Batch, clean_batch
from splitlaw.corpus.clusters import discover
from splitlaw.corpus.config import GENERAL, CorpusConfig, Source
from splitlaw.corpus.documents import Documents, split_path, write_documents
from splitlaw.corpus.duplicates import exact_duplicates, near_duplicates
from splitlaw.corpus.leaks import leaking
from splitlaw.corpus.parallel import ordered_map
from splitlaw.corpus.router import make_router
from splitlaw.corpus.sources import batches, check_shared_files, documents
from splitlaw.corpus.splitting import (
    SPLITS,
    TRAIN,
    arrange,
    assign_clusters,
    assign_slices,
    assign_splits,
    keep_shares,
    priority,
)
from splitlaw.corpus.store import Index, Store
from splitlaw.corpus.trouble import Trouble
from splitlaw.errors import UserError
from splitlaw.files import write_json

_ROW_GROUP_BYTES = 16 << 20
KEPT, EXACT, BENCHMARK, NEAR, LEAK, OVER_WEIGHT = range(6)
REASONS = (
    "kept",
    "exact_duplicate",
    "benchmark",
    "near_duplicate",
    "near_held_out",
    "over_weight",
)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where every document goes; all arrays are `[documents]`."""

    owner: NDArray[np.int64]
    """The domain whose source it comes from, an index of `CorpusConfig.names`."""
    destination: NDArray[np.int64]
    """The domain it goes to: its owner, or `general` for a slice."""
    split: NDArray[np.int8]
    """An index of `SPLITS`."""
    fate: NDArray[np.int8]
    """An index of `REASONS`."""
    clusters: list[dict[str, Any]]
    """What was discovered, for a person to look at; empty where domains are given."""


def prepare_corpus(config: CorpusConfig, out: Path, *, workers: int = 1) -> None:
    """Read, clean, de-duplicate, split and write the corpus into the folder `out`.

    The same sources and configuration give the same bytes, whatever `workers` and the order of
    the files. Raises `UserError` for bad input and for a split without documents.
    """
    sources = [(GENERAL, source) for source in config.general]
    sources += [(name, source) for name, listed in config.domains.items() for source in listed]
    check_shared_files(sources)
    out.mkdir(parents=True, exist_ok=True)
    near = config.cleaning.near_duplicates
    with (
        tempfile.TemporaryDirectory(dir=out, prefix=".work-") as folder,
        Store(Path(folder), near.permutations if near else 0) as store,
    ):
        dropped = _read(config, sources, store, workers)
        index = store.index()
        print(f"comparing {len(index.keys)} documents", file=sys.stderr)
        placement = _place(config, sources, store, index, workers)
        _check_sizes(config, placement)
        print(f"writing {int((placement.fate == KEPT).sum())} documents", file=sys.stderr)
        _write(config, sources, store, index, placement, dropped, out)
    if placement.clusters:
        named = dict(zip(config.names[1:], placement.clusters, strict=True))
        write_json(out / "clusters.json", {"clusters": named})
    if len(config.names) > 2:
        make_router(out, config.names[1:])


def _read(
    config: CorpusConfig, sources: list[tuple[str, Source]], store: Store, workers: int
) -> dict[str, Dropped]:
    """Fill the store with clean documents; gives by domain what was dropped on the way."""
    trouble = {name: Trouble(config.cleaning.on_bad_input) for name in config.names}
    dropped: dict[str, Dropped] = {name: {} for name in config.names}
    read: Counter[int] = Counter()

    def tasks() -> Iterator[tuple[int, list[str]]]:
        for number, (name, source) in enumerate(sources):
            for batch in batches(documents(source, trouble[name])):
                yield number, batch

    items = item_words(benchmark_items(config.cleaning.benchmarks), config.cleaning.benchmark_words)
    clean = partial(_clean, cleaning=config.cleaning, seed=config.seed, items=items)
    with tqdm(desc="reading", unit="B", unit_scale=True, mininterval=1) as progress:
        for number, batch in ordered_map(clean, tasks(), workers):
            store.append(batch, number)
            read[number] += len(batch.texts)
            for reason, (count, size) in batch.dropped.items():
                _add(dropped[sources[number][0]], reason, count, size)
            progress.update(sum(map(len, batch.texts)))
    for name, troubles in trouble.items():
        for reason, count in sorted(troubles.counts.items()):
            _add(dropped[name], f"bad_input: {reason}", count, 0)
    return dropped


def _clean(task: tuple[int, list[str]], **settings: object) -> tuple[int, Batch]:
    return task[0], clean_batch(task[1], **settings)  # type: ignore[arg-type]


def _add(dropped: Dropped, reason: str, documents: int, size: int) -> None:
    before = dropped.get(reason, (0, 0))
    dropped[reason] = before[0] + documents, before[1] + size


def _place(
    config: CorpusConfig,
    sources: list[tuple[str, Source]],
    store: Store,
    index: Index,
    workers: int,
) -> Placement:
    """Decide for every document whether it stays, in which split, and for which domain."""
    numbers = {name: number for number, name in enumerate(config.names)}
    owner = np.array([numbers[name] for name, _ in sources])[index.source]
    split = assign_splits(index.keys, validation=config.validation, test=config.test)
    shares = np.array([config.slices.get(name, 0.0) for name in config.names])
    sliced = assign_slices(index.keys, owner, split, shares)
    fate = np.full(owner.size, KEPT, np.int8)
    fate[exact_duplicates(index, index.source.astype(np.int64))] = EXACT
    fate[(fate == KEPT) & index.benchmark & (split == TRAIN)] = BENCHMARK
    _drop_near(config, store, index, owner, split, fate, workers)
    weights = [source.weight for source in config.general if source.weight is not None]
    if weights:
        own = np.flatnonzero((fate == KEPT) & (owner == 0))
        source = index.source[own].astype(np.int64)
        fate[own[~keep_shares(index.keys[own], index.size[own], source, weights)]] = OVER_WEIGHT
    destination = np.where(sliced, 0, owner)
    clusters: list[dict[str, Any]] = []
    if config.discover is not None:
        rows = arrange(index.keys, np.flatnonzero(fate == KEPT))
        found, clusters = discover(store, index, rows, config.discover, config.seed)
        destination[rows] = assign_clusters(index.keys[rows], found, config.general_share)
    return Placement(
        owner=owner, destination=destination, split=split, fate=fate, clusters=clusters
    )


def _drop_near(
    config: CorpusConfig,
    store: Store,
    index: Index,
    owner: NDArray[np.int64],
    split: NDArray[np.int8],
    fate: NDArray[np.int8],
    workers: int,
) -> None:
    """Mark near-duplicates in `fate`; a copy in train of a held-out document goes, always."""
    near = config.cleaning.near_duplicates
    if near is None:
        return
    rows = arrange(index.keys, np.flatnonzero(fate == KEPT))
    rows = rows[np.argsort(priority(owner, split)[rows], kind="stable")]
    fate[near_duplicates(store, index, rows, near)] = NEAR
    train = np.flatnonzero((fate == KEPT) & (split == TRAIN))
    held = np.flatnonzero((fate == KEPT) & (split != TRAIN))
    fate[leaking(store, index, train, held, near, workers=workers)] = LEAK


def _check_sizes(config: CorpusConfig, placement: Placement) -> None:
    for number, name in enumerate(config.names):
        mine = (placement.destination == number) & (placement.fate == KEPT)
        counts = np.bincount(placement.split[mine], minlength=len(SPLITS))
        for split, count in zip(SPLITS, counts, strict=True):
            if not count:
                raise UserError(
                    f"domain {name}: {mine.sum()} documents leave none for {split}; "
                    "give it more documents, or raise corpus.splits"
                )


def _write(
    config: CorpusConfig,
    sources: list[tuple[str, Source]],
    store: Store,
    index: Index,
    placement: Placement,
    dropped: dict[str, Dropped],
    out: Path,
) -> None:
    labels = [source.label for _, source in sources]
    for number, name in enumerate(config.names):
        _add_dropped(dropped[name], index, placement, number)
        for code, split in enumerate(SPLITS):
            chosen = (placement.destination == number) & (placement.split == code)
            rows = arrange(index.keys, np.flatnonzero(chosen & (placement.fate == KEPT)))
            write_documents(split_path(out, name, split), _batches(store, index, rows, labels))
        moved = (placement.owner == number) & (placement.destination == 0) & (number > 0)
        write_card(
            out,
            name,
            sources=[
                label for label, (owner, _) in zip(labels, sources, strict=True) if owner == name
            ],
            dropped=dropped[name],
            to_general=int((moved & (placement.fate == KEPT)).sum()),
        )


def _add_dropped(dropped: Dropped, index: Index, placement: Placement, number: int) -> None:
    for code, reason in enumerate(REASONS):
        chosen = (placement.owner == number) & (placement.fate == code)
        if code != KEPT and chosen.any():
            _add(dropped, reason, int(chosen.sum()), int(index.size[chosen].sum()))


def _batches(
    store: Store, index: Index, rows: NDArray[np.int64], labels: list[str]
) -> Iterator[Documents]:
    for part, texts in store.batches(index, rows, size=_ROW_GROUP_BYTES):
        ids = [f"{first:016x}{second:016x}" for first, second in index.keys[part, :2].tolist()]
        yield ids, [labels[number] for number in index.source[part]], texts
