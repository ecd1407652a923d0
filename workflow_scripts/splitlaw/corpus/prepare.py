"""The stage `prepare_corpus`: from a configuration to clean, split documents of every domain."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.cleaning import clean_numbered_batch
from splitlaw.corpus.deduplication.decontamination import benchmark_items, benchmark_ngrams
from splitlaw.corpus.document_store import DocumentStore
from splitlaw.corpus.documents import (
    Documents,
    DroppedCounts,
    split_path,
    write_card,
    write_documents,
)
from splitlaw.corpus.domains.router import make_router
from splitlaw.corpus.placement import CUT, DROP_REASONS, Placement, place_documents
from splitlaw.corpus.sources.availability import check_shared_files
from splitlaw.corpus.sources.hub import check_dataset
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import batch_documents, read_source
from splitlaw.corpus.splitting import SPLITS, sort_by_key
from splitlaw.corpus.summary import describe_cards
from splitlaw.corpus.working_folder import working_folder
from splitlaw.experiment.corpus_settings import CorpusConfig, Source

_ROW_GROUP_BYTES = 16 << 20
"""Text per row group of the Parquet files, which is held in memory while it is written."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The counts of the first pass over the sources, by domain."""

    dropped: dict[str, DroppedCounts]
    """Documents and bytes that were dropped, by reason."""
    long: Counter[str]
    """Number of long documents that were cut."""
    errors: dict[str, InputErrors]
    """Files that could not be read, and detected encodings."""


def prepare_corpus(config: CorpusConfig, out: Path, *, workers: int = 1) -> None:
    """Read, clean, de-duplicate, split and write the corpus into the folder `out`.

    The same sources and configuration give the same bytes for any number of `workers` and any order
    of the files. Raises `UserError` for bad input and for a split without documents.
    """
    sources = [(name, source) for name, listed in config.sources.items() for source in listed]
    check_shared_files(sources)
    for _, source in sources:
        check_dataset(source)
    out.mkdir(parents=True, exist_ok=True)
    near = config.cleaning.near_duplicates
    with (
        working_folder(out) as folder,
        DocumentStore(folder, near.permutations if near else 0) as store,
    ):
        reading = _fill_store(config, sources, store, workers)
        owners = np.array([config.names.index(name) for name, _ in sources])
        placement = place_documents(config, owners, store, workers)
        _count_dropped(config, placement, reading.dropped)
        _check_no_split_is_empty(config, placement, reading.dropped)
        _check_domains_are_parts(config, placement)
        _write(config, sources, store, placement, reading, out)
    for line in describe_cards(out / name / "card.json" for name in config.names):
        print(line, file=sys.stderr)
    if placement.clusters:
        named = dict(zip(config.names[1:], placement.clusters, strict=True))
        write_json(out / "clusters.json", {"clusters": named})
    if len(config.names) > 2:
        make_router(out, config.names[1:])


def _fill_store(
    config: CorpusConfig, sources: list[tuple[str, Source]], store: DocumentStore, workers: int
) -> Reading:
    """Fill the store with clean documents."""
    errors = {name: InputErrors(config.cleaning.on_bad_input) for name in config.names}
    dropped: dict[str, DroppedCounts] = {name: {} for name in config.names}
    long: Counter[str] = Counter()

    def tasks() -> Iterator[tuple[int, list[str]]]:
        for number, (name, source) in enumerate(sources):
            for batch in batch_documents(read_source(source, errors[name])):
                yield number, batch

    cleaning = config.cleaning
    items = benchmark_ngrams(benchmark_items(cleaning.benchmarks), cleaning.benchmark_words)
    clean = partial(clean_numbered_batch, cleaning=cleaning, seed=config.seed, items=items)
    with Progress("reading", unit="B") as progress:
        for number, batch in ordered_map(clean, tasks(), workers):
            store.append(batch, number)
            long[sources[number][0]] += batch.long
            for reason, (count, size) in batch.dropped.items():
                _add_dropped(dropped[sources[number][0]], reason, count, size)
            progress.add(sum(map(len, batch.texts)))
    for name, domain_errors in errors.items():
        for reason, count in sorted(domain_errors.counts.items()):
            print(f"domain {name}: {count} skipped: {reason}", file=sys.stderr)
            _add_dropped(dropped[name], f"bad_input: {reason}", count, domain_errors.bytes[reason])
    return Reading(dropped=dropped, long=long, errors=errors)


def _add_dropped(dropped: DroppedCounts, reason: str, documents: int, size: int) -> None:
    before = dropped.get(reason, (0, 0))
    dropped[reason] = before[0] + documents, before[1] + size


def _count_dropped(
    config: CorpusConfig, placement: Placement, dropped: dict[str, DroppedCounts]
) -> None:
    """Add to `dropped`, by domain, the documents of the store that are not kept."""
    size = placement.index.size
    for number, name in enumerate(config.names):
        for code, reason in DROP_REASONS.items():
            chosen = (placement.owner == number) & (placement.outcome == code)
            if chosen.any():
                _add_dropped(dropped[name], reason, int(chosen.sum()), int(size[chosen].sum()))


def _check_no_split_is_empty(
    config: CorpusConfig, placement: Placement, dropped: dict[str, DroppedCounts]
) -> None:
    for number, name in enumerate(config.names):
        own = placement.members(number)
        counts = np.bincount(placement.split[own], minlength=len(SPLITS))
        if counts.all():
            continue
        split = SPLITS[int(np.argmin(counts))]
        drops = sorted(f"{count} {reason}" for reason, (count, _) in dropped[name].items())
        described = f" (dropped: {', '.join(drops)})" if drops else ""
        size = placement.index.size[own].sum()
        raise UserError(
            f"domain {name}: {size:,} bytes of text in {own.sum()} documents or passages"
            f"{described} leave none for {split}; give it more text, or change corpus.splits, "
            "which changes the held-out text of every domain"
        )


def _check_domains_are_parts(config: CorpusConfig, placement: Placement) -> None:
    """Refuse a domain that is all of the mixture: general text and the domain would not differ."""
    whole = placement.members(0).sum()
    for number, name in enumerate(config.names):
        if number and placement.general_has_all and placement.members(number).sum() == whole:
            raise UserError(
                f"domain {name}: has all documents of general; add a domain, or sources of general"
            )


def _write(
    config: CorpusConfig,
    sources: list[tuple[str, Source]],
    store: DocumentStore,
    placement: Placement,
    reading: Reading,
    out: Path,
) -> None:
    index = placement.index
    labels = [source.label for _, source in sources]
    members = [placement.members(number) for number in range(len(config.names))]
    total = sum(int(index.size[own].sum()) for own in members)
    with Progress("writing", total=total, unit="B") as progress:
        for (number, name), (code, split) in product(enumerate(config.names), enumerate(SPLITS)):
            chosen = members[number] & (placement.split == code)
            rows = sort_by_key(index.keys, np.flatnonzero(chosen))
            batches = _document_batches(store, rows, labels)
            write_documents(split_path(out, name, split), batches)
            progress.add(int(index.size[rows].sum()))
    for number, name in enumerate(config.names):
        own = placement.owner == number
        moved = own & members[0] & (placement.destination == 0) & (number > 0)
        includes = number == 0 and placement.general_has_all
        write_card(
            out,
            name,
            sources=[source.label for owner, source in sources if includes or owner == name],
            dropped=reading.dropped[name],
            to_general=int(moved.sum()),
            cut=int((own & (placement.outcome == CUT)).sum()),
            long=reading.long[name],
            encodings=reading.errors[name].encodings,
            includes_domains=includes,
            skipped=config.cleaning.skipped_steps,
        )


def _document_batches(
    store: DocumentStore, rows: NDArray[np.int64], labels: list[str]
) -> Iterator[Documents]:
    for part, texts in store.batches(rows, size=_ROW_GROUP_BYTES):
        keys = store.index.keys[part, :2].tolist()
        ids = [f"{first:016x}{second:016x}" for first, second in keys]
        yield ids, [labels[number] for number in store.index.source[part]], texts
