"""The second step of `prepare_corpus`: decide on all documents, and list those of every file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json
from splitlaw.corpus.document_store import DocumentIndex, DocumentStore, Rows, split_by_size
from splitlaw.corpus.documents import file_names
from splitlaw.corpus.placement import CUT, DROP_REASONS, Placement, place_documents
from splitlaw.corpus.reading import Reading, join_readings, listed_sources, signature_columns
from splitlaw.corpus.sources.packages import source_versions
from splitlaw.corpus.splitting import SPLITS, sort_by_key
from splitlaw.experiment.corpus_settings import CorpusConfig

MERGED = "merged.json"
"""File that lists the files of the corpus and the content of the cards."""
ROW = np.dtype([("start", "<i8"), ("size", "<i8"), ("source", "<i2"), ("key", "<u8", 2)])
"""A document of a file: its text in the stores of all shards, its source, and its key."""


def merge_shards(config: CorpusConfig, folders: list[Path], out: Path, *, workers: int = 1) -> None:
    """Decide on the documents of all shards, and write `merged.json` and lists of rows into `out`.

    `folders` are those of the stores of the shards. Raises `UserError` for a split without
    documents.
    """
    readings = join_readings(config, folders)
    sources = listed_sources(config)
    owners = np.array([config.names.index(name) for name, _ in sources])
    out.mkdir(parents=True, exist_ok=True)
    with DocumentStore(out, signature_columns(config), folders) as store:
        placement = place_documents(config, owners, store, workers)
    _count_dropped(config, placement, readings)
    _check_no_split_is_empty(config, placement, readings)
    _check_domains_are_parts(config, placement)
    files = _list_files(config, placement, out)
    cards = {name: _card(config, placement, name, readings[name]) for name in config.names}
    write_json(out / MERGED, {"files": files, "cards": cards, "clusters": placement.clusters})


def rows_path(merged: Path, number: int) -> Path:
    """Return the path of the rows of a file of the corpus, an array of `ROW`."""
    return merged / f"rows-{number:05}.npy"


def _list_files(config: CorpusConfig, placement: Placement, out: Path) -> list[dict[str, Any]]:
    """Write the rows of every file of the corpus; returns their domains, splits and names."""
    listed: list[dict[str, Any]] = []
    for number, domain in enumerate(config.names):
        members = placement.members(number)
        for code, split in enumerate(SPLITS):
            index = placement.index
            rows = sort_by_key(index.keys, np.flatnonzero(members & (placement.split == code)))
            sizes = index.size[rows]
            parts = list(
                split_by_size(rows, sizes, size=config.max_file_bytes, documents=rows.size)
            )
            for part, name in zip(parts, file_names(split, len(parts)), strict=True):
                np.save(rows_path(out, len(listed)), _table(index, part))
                size = int(index.size[part].sum())
                listed.append({"domain": domain, "split": split, "file": name, "bytes": size})
    return listed


def _table(index: DocumentIndex, rows: Rows) -> NDArray[np.void]:
    table = np.empty(rows.size, ROW)
    for name in ("start", "size", "source"):
        table[name] = getattr(index, name)[rows]
    table["key"] = index.keys[rows, :2]
    return table


def _card(
    config: CorpusConfig, placement: Placement, name: str, reading: Reading
) -> dict[str, Any]:
    """Return the content of a domain's card, except what is counted when the files are written."""
    number = config.names.index(name)
    own = placement.owner == number
    moved = own & placement.members(0) & (placement.destination == 0) & (number > 0)
    includes = number == 0 and placement.general_has_all
    sources = [source for owner, source in listed_sources(config) if includes or owner == name]
    return {
        "sources": [source.label for source in sources],
        "versions": source_versions(source.package for source in sources),
        "dropped": reading.dropped,
        "to_general": int(moved.sum()),
        "cut": int((own & (placement.outcome == CUT)).sum()),
        "long": reading.long,
        "encodings": reading.encodings,
        "notes": reading.notes,
        "includes_domains": includes,
        "skipped": config.cleaning.skipped_steps,
        "label": placement.clusters[number - 1]["label"] if placement.clusters and number else "",
    }


def _count_dropped(
    config: CorpusConfig, placement: Placement, readings: dict[str, Reading]
) -> None:
    """Count, by domain, the documents of the store that are not kept."""
    size = placement.index.size
    for number, name in enumerate(config.names):
        for code, reason in DROP_REASONS.items():
            chosen = (placement.owner == number) & (placement.outcome == code)
            if chosen.any():
                readings[name].drop(reason, int(chosen.sum()), int(size[chosen].sum()))


def _check_no_split_is_empty(
    config: CorpusConfig, placement: Placement, readings: dict[str, Reading]
) -> None:
    for number, name in enumerate(config.names):
        own = placement.members(number)
        counts = np.bincount(placement.split[own], minlength=len(SPLITS))
        if counts.all():
            continue
        split = SPLITS[int(np.argmin(counts))]
        dropped = readings[name].dropped
        drops = sorted(f"{count} {reason}" for reason, (count, _) in dropped.items())
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
