"""The first step of `prepare_corpus`: read and clean the documents of a shard into a store."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import digest, read_json, write_json
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.cleaning import clean_numbered_batch
from splitlaw.corpus.deduplication.decontamination import benchmark_items, benchmark_ngrams
from splitlaw.corpus.document_store import INDEX, SIGNATURES, TEXTS, DocumentStore
from splitlaw.corpus.documents import DroppedCounts
from splitlaw.corpus.domains.embedding import check_embedding
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.sources.availability import check_shared_files, files_digest
from splitlaw.corpus.sources.hub import check_dataset
from splitlaw.corpus.sources.input_errors import InputErrors, Notes, add_note
from splitlaw.corpus.sources.reading import batch_documents, read_source
from splitlaw.corpus.sources.token_files import check_token_files
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.source_settings import Source

_ABOUT = "shard.json"


@dataclass(kw_only=True)
class Reading:
    """Counts of the documents of a domain that were read."""

    dropped: DroppedCounts = field(default_factory=dict)
    """Documents and bytes that were dropped, by reason."""
    encodings: Counter[str] = field(default_factory=Counter)
    """Files by the encoding that was detected."""
    notes: Notes = field(default_factory=dict)
    """Remarks on files that were read."""
    long: int = 0
    """Number of long documents that were cut."""

    def drop(self, reason: str, documents: int, size: int) -> None:
        """Count documents that are dropped."""
        before = self.dropped.get(reason, (0, 0))
        self.dropped[reason] = before[0] + documents, before[1] + size

    def add(self, stored: dict[str, Any]) -> None:
        """Add the counts of a shard, as stored in its JSON."""
        for reason, (documents, size) in stored["dropped"].items():
            self.drop(reason, documents, size)
        self.encodings.update(stored["encodings"])
        for remark, (count, first) in stored.get("notes", {}).items():
            add_note(self.notes, remark, count, first)
        self.long += stored["long"]


def listed_sources(config: CorpusConfig) -> list[tuple[str, Source]]:
    """The domain and the source of every source, in the order of the configuration."""
    return [(name, source) for name, listed in config.sources.items() for source in listed]


def read_shard(config: CorpusConfig, folder: Path, shard: Shard, *, workers: int = 1) -> None:
    """Read and clean the documents of a shard, and write them into a store in `folder`."""
    sources = listed_sources(config)
    check_shared_files(sources)
    for _, source in sources:
        check_dataset(source)
        check_token_files(source)
    check_embedding(config.discovery.embedding if config.discovery else None)
    folder.mkdir(parents=True, exist_ok=True)
    with DocumentStore(folder, signature_columns(config)) as store:
        readings = _fill_store(config, sources, store, shard, workers)
        store.save_index()
    write_json(
        folder / _ABOUT,
        {
            "input": _input_digest(config),
            "shards": shard.count,
            "bytes": _file_sizes(folder),
            "domains": {name: vars(reading) for name, reading in readings.items()},
        },
    )


def signature_columns(config: CorpusConfig) -> int:
    """Number of values in the signature of a document; 0 if near-duplicates are kept."""
    near = config.cleaning.near_duplicates
    return near.permutations if near else 0


def _fill_store(
    config: CorpusConfig,
    sources: list[tuple[str, Source]],
    store: DocumentStore,
    shard: Shard,
    workers: int,
) -> dict[str, Reading]:
    """Fill the store with clean documents; returns the counts of each domain."""
    errors = {name: InputErrors(config.cleaning.on_bad_input) for name in config.names}
    readings = {
        name: Reading(encodings=errors[name].encodings, notes=errors[name].notes)
        for name in config.names
    }

    def tasks() -> Iterator[tuple[int, list[str]]]:
        for number, (name, source) in enumerate(sources):
            for batch in batch_documents(read_source(source, errors[name], shard)):
                yield number, batch

    cleaning = config.cleaning
    items = benchmark_ngrams(benchmark_items(cleaning.benchmarks), cleaning.benchmark_words)
    clean = partial(clean_numbered_batch, cleaning=cleaning, seed=config.seed, items=items)
    with Progress("reading", unit="B") as progress:
        for number, batch in ordered_map(clean, tasks(), workers):
            store.append(batch, number)
            reading = readings[sources[number][0]]
            reading.long += batch.long
            for reason, (count, size) in batch.dropped.items():
                reading.drop(reason, count, size)
            progress.add(sum(map(len, batch.texts)))
    for name, domain_errors in errors.items():
        for reason, count in sorted(domain_errors.counts.items()):
            print(f"domain {name}: {count} skipped: {reason}", file=sys.stderr)
            readings[name].drop(f"bad_input: {reason}", count, domain_errors.bytes[reason])
    return readings


def join_readings(config: CorpusConfig, folders: list[Path]) -> dict[str, Reading]:
    """Return the counts of each domain over all shards, whose stores are in `folders`.

    Raises `UserError` for a shard that is missing or damaged, and for one that was read from other
    files or with another configuration than this one.
    """
    readings = {name: Reading() for name in config.names}
    expected = _input_digest(config)
    for number, folder in enumerate(folders):
        remedy = f"delete {folder} and run the same command again"
        named = f"shard {number} of {len(folders)}"
        if not (folder / _ABOUT).is_file():
            raise UserError(f"{named}: {folder} is not complete; {remedy}")
        about = read_json(folder / _ABOUT)
        if about["bytes"] != _file_sizes(folder):
            raise UserError(f"{named}: the files in {folder} are damaged; {remedy}")
        if (about["input"], about["shards"]) != (expected, len(folders)):
            raise UserError(
                f"{named}: {folder} was read with another configuration, or files were added or "
                f"changed since; {remedy}"
            )
        for name, reading in readings.items():
            reading.add(about["domains"][name])
    return readings


def _input_digest(config: CorpusConfig) -> str:
    """A digest of all that determines the documents: the configuration and the files."""
    content = config.model_dump(mode="json", exclude={"shards"})
    return digest({"config": content, "files": files_digest(config)})


def _file_sizes(folder: Path) -> dict[str, int]:
    paths = (folder / name for name in (TEXTS, SIGNATURES, INDEX))
    return {path.name: path.stat().st_size for path in paths if path.is_file()}
