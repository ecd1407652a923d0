"""From a configuration to a folder of clean, split documents and a card for every domain."""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.card import Dropped, write_card
from splitlaw.corpus.cleaning import clean_numbered
from splitlaw.corpus.deduplication.decontamination import benchmark_items, benchmark_ngrams
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore
from splitlaw.corpus.documents import Documents, split_path, write_documents
from splitlaw.corpus.domains.router import make_router
from splitlaw.corpus.placement import CUT, KEPT, REASONS, Placement, place
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import batches, check_shared_files, documents
from splitlaw.corpus.splitting import SPLITS, arrange
from splitlaw.experiment.corpus_settings import CorpusConfig, Source

_ROW_GROUP_BYTES = 16 << 20


def prepare_corpus(config: CorpusConfig, out: Path, *, workers: int = 1) -> None:
    """Read, clean, de-duplicate, split and write the corpus into the folder `out`.

    The same sources and configuration give the same bytes, whatever `workers` and the order of
    the files. Raises `UserError` for bad input and for a split without documents.
    """
    sources = [(name, source) for name, listed in config.sources.items() for source in listed]
    check_shared_files(sources)
    out.mkdir(parents=True, exist_ok=True)
    near = config.cleaning.near_duplicates
    with (
        tempfile.TemporaryDirectory(dir=out, prefix=".work-") as folder,
        DocumentStore(Path(folder), near.permutations if near else 0) as store,
    ):
        dropped = _read(config, sources, store, workers)
        owners = np.array([config.names.index(name) for name, _ in sources])
        placement = place(config, owners, store, workers)
        _count_dropped(config, placement, dropped)
        _check_sizes(config, placement, dropped)
        _write(config, sources, store, placement, dropped, out)
    if placement.clusters:
        named = dict(zip(config.names[1:], placement.clusters, strict=True))
        write_json(out / "clusters.json", {"clusters": named})
    if len(config.names) > 2:
        make_router(out, config.names[1:])


def _read(
    config: CorpusConfig, sources: list[tuple[str, Source]], store: DocumentStore, workers: int
) -> dict[str, Dropped]:
    """Fill the store with clean documents; gives by domain what was dropped on the way."""
    trouble = {name: InputErrors(config.cleaning.on_bad_input) for name in config.names}
    dropped: dict[str, Dropped] = {name: {} for name in config.names}
    read: Counter[int] = Counter()

    def tasks() -> Iterator[tuple[int, list[str]]]:
        for number, (name, source) in enumerate(sources):
            for batch in batches(documents(source, trouble[name])):
                yield number, batch

    items = benchmark_ngrams(
        benchmark_items(config.cleaning.benchmarks), config.cleaning.benchmark_words
    )
    clean = partial(clean_numbered, cleaning=config.cleaning, seed=config.seed, items=items)
    with Progress("reading", unit="B") as progress:
        for number, batch in ordered_map(clean, tasks(), workers):
            store.append(batch, number)
            read[number] += len(batch.texts)
            for reason, (count, size) in batch.dropped.items():
                _add(dropped[sources[number][0]], reason, count, size)
            progress.add(sum(map(len, batch.texts)))
    for name, troubles in trouble.items():
        for reason, count in sorted(troubles.counts.items()):
            print(f"domain {name}: {count} skipped: {reason}", file=sys.stderr)
            _add(dropped[name], f"bad_input: {reason}", count, 0)
    return dropped


def _add(dropped: Dropped, reason: str, documents: int, size: int) -> None:
    before = dropped.get(reason, (0, 0))
    dropped[reason] = before[0] + documents, before[1] + size


def _count_dropped(config: CorpusConfig, placement: Placement, dropped: dict[str, Dropped]) -> None:
    """Add to `dropped`, by domain, the documents of the store that are not kept."""
    size = placement.index.size
    for number, name in enumerate(config.names):
        for code, reason in REASONS.items():
            chosen = (placement.owner == number) & (placement.fate == code)
            if chosen.any():
                _add(dropped[name], reason, int(chosen.sum()), int(size[chosen].sum()))


def _check_sizes(config: CorpusConfig, placement: Placement, dropped: dict[str, Dropped]) -> None:
    for number, name in enumerate(config.names):
        mine = (placement.destination == number) & (placement.fate == KEPT)
        counts = np.bincount(placement.split[mine], minlength=len(SPLITS))
        for split, count in zip(SPLITS, counts, strict=True):
            if not count:
                gone = [f"{count} {reason}" for reason, (count, _) in dropped[name].items()]
                told = f" (dropped: {', '.join(sorted(gone))})" if gone else ""
                size = placement.index.size[mine].sum()
                raise UserError(
                    f"domain {name}: {size:,} bytes of text in {mine.sum()} documents or passages"
                    f"{told} leave none for {split}; give it more text, or raise corpus.splits, "
                    "which draws the held-out text of every domain anew"
                )


def _write(
    config: CorpusConfig,
    sources: list[tuple[str, Source]],
    store: DocumentStore,
    placement: Placement,
    dropped: dict[str, Dropped],
    out: Path,
) -> None:
    index, kept = placement.index, placement.fate == KEPT
    labels = [source.label for _, source in sources]
    with Progress("writing", total=int(index.size[kept].sum()), unit="B") as progress:
        for (number, name), (code, split) in product(enumerate(config.names), enumerate(SPLITS)):
            chosen = kept & (placement.destination == number) & (placement.split == code)
            rows = arrange(index.keys, np.flatnonzero(chosen))
            write_documents(split_path(out, name, split), _batches(store, index, rows, labels))
            progress.add(int(index.size[rows].sum()))
    for number, name in enumerate(config.names):
        own = placement.owner == number
        write_card(
            out,
            name,
            sources=[
                label for label, (owner, _) in zip(labels, sources, strict=True) if owner == name
            ],
            dropped=dropped[name],
            to_general=int((own & kept & (placement.destination == 0) & (number > 0)).sum()),
            cut=int((own & (placement.fate == CUT)).sum()),
        )


def _batches(
    store: DocumentStore, index: DocumentIndex, rows: NDArray[np.int64], labels: list[str]
) -> Iterator[Documents]:
    for part, texts in store.batches(index, rows, size=_ROW_GROUP_BYTES):
        ids = [f"{first:016x}{second:016x}" for first, second in index.keys[part, :2].tolist()]
        yield ids, [labels[number] for number in index.source[part]], texts
