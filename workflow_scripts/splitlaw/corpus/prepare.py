"""The stage `prepare_corpus`: from a configuration to clean, split documents of every domain.

It has four steps. `read` reads and cleans the documents of a shard, `merge` decides on those of all
shards, `write_shard` writes some of the files, and `complete_corpus` writes the cards and the
router. `prepare_corpus` takes them one after another in one process; the workflow runs them as jobs
if the configuration has several `shards`.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json
from splitlaw.common.progress import Progress
from splitlaw.corpus.document_store import TEXTS, JoinedFiles, split_by_size
from splitlaw.corpus.documents import (
    Documents,
    FileContent,
    remove_other_files,
    write_card,
    write_documents,
)
from splitlaw.corpus.domains.router import make_router
from splitlaw.corpus.merging import MERGED, merge_shards, rows_path
from splitlaw.corpus.reading import listed_sources, read_shard
from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.summary import describe_cards
from splitlaw.corpus.working_folder import working_folder
from splitlaw.experiment.corpus_settings import CorpusConfig

_MERGED = "merged"  # folder of the second step
_ROW_GROUP_BYTES = 16 << 20
"""Text per row group of the Parquet files, which is held in memory while it is written."""


def prepare_corpus(config: CorpusConfig, out: Path, *, workers: int = 1) -> None:
    """Read, clean, de-duplicate, split and write the corpus into the folder `out`.

    The same sources and configuration give the same bytes for any number of `workers`, any order
    of the files, and any number of shards in which the steps are taken elsewhere. Raises
    `UserError` for bad input and for a split without documents.
    """
    out.mkdir(parents=True, exist_ok=True)
    with working_folder(out) as work:
        read(config, work, WHOLE, workers=workers)
        merge(config, work, WHOLE.count, workers=workers)
        write_shard(config, work, out, WHOLE)
        complete_corpus(config, work, out, WHOLE.count)


def read(config: CorpusConfig, work: Path, shard: Shard, *, workers: int = 1) -> None:
    """Read and clean the documents of a shard; see `read_shard`."""
    read_shard(config, _stores(work, shard.count)[shard.number], shard, workers=workers)


def merge(config: CorpusConfig, work: Path, shards: int, *, workers: int = 1) -> None:
    """Decide on the documents of all shards; see `merge_shards`."""
    merge_shards(config, _stores(work, shards), work / _MERGED, workers=workers)


def _stores(work: Path, shards: int) -> list[Path]:
    return [work / "read" / str(shard) for shard in range(shards)]


def _written_path(work: Path, shard: int) -> Path:
    """Return the path of the description of the files that a shard has written."""
    return work / "written" / f"{shard}.json"


def write_shard(config: CorpusConfig, work: Path, out: Path, shard: Shard) -> None:
    """Write those files of the corpus into `out` that belong to the shard, and describe them."""
    merged = work / _MERGED
    files = read_json(merged / MERGED)["files"]
    labels = [source.label for _, source in listed_sources(config)]
    own = shard.own([file["bytes"] for file in files])
    total = sum(files[number]["bytes"] for number in own)
    described: dict[str, Any] = {}
    with ExitStack() as stack, Progress("writing", total=total, unit="B") as progress:
        opened = [
            stack.enter_context((f / TEXTS).open("rb"))
            for f in (*_stores(work, shard.count), merged)
        ]
        texts = JoinedFiles(opened)
        for number in own:
            rows = np.load(rows_path(merged, number))
            path = out / files[number]["domain"] / files[number]["file"]
            content = write_documents(path, _batches(texts, rows, labels))
            described[str(number)] = vars(content)
            progress.add(files[number]["bytes"])
    write_json(_written_path(work, shard.number), {"files": described})


def _batches(texts: JoinedFiles, rows: NDArray[np.void], labels: list[str]) -> Iterator[Documents]:
    for part in split_by_size(np.arange(rows.size), rows["size"], size=_ROW_GROUP_BYTES):
        listed = rows[part]
        ids = [f"{first:016x}{second:016x}" for first, second in listed["key"].tolist()]
        places = zip(listed["start"].tolist(), listed["size"].tolist(), strict=True)
        read = [texts.read(start, size) for start, size in places]
        yield ids, [labels[number] for number in listed["source"]], read


def complete_corpus(config: CorpusConfig, work: Path, out: Path, shards: int) -> None:
    """Write the cards, the descriptions of clusters and the router of a corpus with all files."""
    merged = read_json(work / _MERGED / MERGED)
    written = _written_files(work, shards, len(merged["files"]))
    for name, card in merged["cards"].items():
        own = [number for number, file in enumerate(merged["files"]) if file["domain"] == name]
        files = [(merged["files"][number], written[number]) for number in own]
        remove_other_files(out, name, [file["file"] for file, _ in files])
        write_card(out, name, files=files, **card)
    for line in describe_cards(out / name / "card.json" for name in config.names):
        print(line, file=sys.stderr)
    if merged["clusters"]:
        named = dict(zip(config.names[1:], merged["clusters"], strict=True))
        write_json(out / "clusters.json", {"clusters": named})
    if len(config.names) > 2:
        make_router(out, config.names[1:])


def _written_files(work: Path, shards: int, count: int) -> list[FileContent]:
    described: dict[str, Any] = {}
    for shard in range(shards):
        described |= read_json(_written_path(work, shard))["files"]
    if len(described) != count:
        raise UserError(
            f"{work}: {len(described)} of {count} files are written; delete {work} and run the "
            "same command again"
        )
    return [FileContent(**described[str(number)]) for number in range(count)]
