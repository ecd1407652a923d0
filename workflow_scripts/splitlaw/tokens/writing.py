"""The stage `tokenize`: encode a domain's documents into token files with a sidecar."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.files import sha256_file, write_json
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.documents import read_file_documents, split_files
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.splitting import SPLITS
from splitlaw.corpus.working_folder import working_folder
from splitlaw.experiment.settings import HeldOutConfig
from splitlaw.tokens.encoding import Encoder

_BATCH_CHARACTERS = 1_000_000
"""Text per task: encoding it takes much longer than sending it to a process."""
_COPIED_BYTES = 16 << 20  # bounds the memory of joining files


def tokenize_domain(
    corpus: Path,
    tokenizer_folder: Path,
    domain: str,
    held_out: HeldOutConfig,
    out: Path,
    *,
    workers: int = 1,
    required_tokens: int = 0,
    encoded: Sequence[Path] = (),
) -> None:
    """Write `{train,validation,test}.bin`, the held-out tables and `tokens.json` into `out`.

    `encoded` are folders that `encode_shard` has written for all shards; without them, the text is
    encoded here. The bytes do not depend on `workers` and on shards. Raises `UserError` for a
    held-out split that is too short to measure a loss on, and for a training split of fewer than
    `required_tokens` tokens.
    """
    encoder = Encoder(tokenizer_folder)
    out.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = {}
    with working_folder(out) as folder:
        for split in ("validation", "test", "train"):  # short ones first: they may be refused
            files = split_files(corpus, domain, split)
            if not encoded:
                _encode_files(encoder, files, held_out, folder, workers)
            splits[split] = _join(files, [*encoded] or [folder], folder / f"{split}.bin")
            if split != "train":
                _check_held_out_tokens(domain, split, splits[split]["tokens"], held_out)
        _check_training_tokens(domain, splits["train"]["tokens"], required_tokens)
        for path in folder.glob("*.*"):
            path.replace(out / path.name)
    write_json(
        out / "tokens.json",
        {
            "domain": domain,
            "dtype": encoder.dtype.name,
            "vocabulary": encoder.vocabulary,
            "end_of_text": encoder.end_of_text,
            "tokenizer_sha256": sha256_file(tokenizer_folder / "tokenizer.json"),
            "characters_per_held_out_document": held_out.characters_per_document,
            "splits": {split: splits[split] for split in SPLITS},
        },
    )


def encode_shard(
    corpus: Path,
    tokenizer_folder: Path,
    domain: str,
    held_out: HeldOutConfig,
    folder: Path,
    shard: Shard,
    *,
    workers: int = 1,
) -> None:
    """Encode those files of a domain that belong to the shard into files in `folder`."""
    files = [path for split in SPLITS for path in split_files(corpus, domain, split)]
    own = [files[number] for number in shard.own([path.stat().st_size for path in files])]
    folder.mkdir(parents=True, exist_ok=True)
    _encode_files(Encoder(tokenizer_folder), own, held_out, folder, workers)


def _check_held_out_tokens(domain: str, split: str, tokens: int, held_out: HeldOutConfig) -> None:
    if tokens < held_out.minimum_tokens:
        raise UserError(
            f"domain {domain}: {split} has {tokens} tokens, fewer than evaluation.minimum_tokens "
            f"{held_out.minimum_tokens}; give it more documents, or discover fewer domains"
        )


def _check_training_tokens(domain: str, tokens: int, required: int) -> None:
    if tokens < required:
        raise UserError(
            f"domain {domain}: {tokens:,} training tokens, but the grid's longest run reads "
            f"{required:,}; give it about {required / max(tokens, 1):.1f} times the text, "
            "lower the token counts in grid, or set execution.repeat to true"
        )


def _read_texts(path: Path, max_characters: int | None) -> Iterator[tuple[str, str]]:
    """Yield the source and text of each document of a file, cut to `max_characters`."""
    for sources, texts in read_file_documents(path):
        for source, text in zip(sources, texts, strict=True):
            yield source, text[:max_characters]


def _batches(documents: Iterator[tuple[str, str]]) -> Iterator[tuple[list[str], list[str]]]:
    """Group sources and texts into lists of about `_BATCH_CHARACTERS` characters."""
    sources: list[str] = []
    texts: list[str] = []
    size = 0
    for source, text in documents:
        sources.append(source)
        texts.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield sources, texts
            sources, texts, size = [], [], 0
    if texts:
        yield sources, texts


def _encode_files(
    encoder: Encoder, files: Sequence[Path], held_out: HeldOutConfig, folder: Path, workers: int
) -> None:
    """Write for each Parquet file a token file, and an `.npz` that describes its documents."""
    for path in files:
        is_train = path.name.startswith("train")
        documents = _read_texts(path, None if is_train else held_out.characters_per_document)
        by_source: Counter[str] = Counter()
        tables = [np.empty((0, 2), np.int64)]
        part = _part_path(folder, path)
        with part.open("wb") as stream, Progress(f"encoding {path.stem}", unit="B") as progress:
            for sources, (tokens, table) in ordered_map(encoder, _batches(documents), workers):
                stream.write(tokens.tobytes())
                tables.append(table)
                for source, count in zip(sources, table[:, 0].tolist(), strict=True):
                    by_source[source] += count
                progress.add(int(table[:, 1].sum()))
        np.savez(
            part.with_suffix(".npz"),
            table=np.concatenate(tables),
            sources=np.array(list(by_source), dtype=str),
            tokens=np.array(list(by_source.values()), dtype=np.int64),
        )


def _part_path(folder: Path, file: Path) -> Path:
    return folder / f"{file.stem}.part"


def _join(files: Sequence[Path], folders: Sequence[Path], path: Path) -> dict[str, Any]:
    """Join the encoded files of a split into one, and write the table of a held-out split.

    Returns the sidecar's entry.
    """
    tables = []
    by_source: Counter[str] = Counter()
    checksum = hashlib.sha256()
    with path.open("wb") as stream:
        for file in files:
            part = next((p for p in (_part_path(f, file) for f in folders) if p.is_file()), None)
            if part is None:
                raise UserError(
                    f"{file}: is not encoded in {folders[0].parent}; delete that folder and run "
                    "the same command again"
                )
            with part.open("rb") as encoded:
                while data := encoded.read(_COPIED_BYTES):
                    stream.write(data)
                    checksum.update(data)
            with np.load(part.with_suffix(".npz"), allow_pickle=False) as described:
                tables.append(described["table"])
                by_source.update(
                    dict(
                        zip(
                            described["sources"].tolist(), described["tokens"].tolist(), strict=True
                        )
                    )
                )
            if part.parent == path.parent:  # encoded here, not by a job that may be asked for again
                part.unlink()
                part.with_suffix(".npz").unlink()
    table = np.concatenate(tables)
    entry = {
        "file": path.name,
        "tokens": int(table[:, 0].sum()),
        "documents": len(table),
        "bytes": int(table[:, 1].sum()),
        "sha256": checksum.hexdigest(),
        "tokens_by_source": dict(sorted(by_source.items())),
    }
    if path.stem != "train":
        documents_path = path.with_name(f"{path.stem}_documents.npy")
        entry["documents_file"] = documents_path.name
        np.save(documents_path, table)
    return entry
