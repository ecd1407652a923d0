"""The stage `tokenize`: encode a domain's documents into token files with a sidecar."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.files import sha256_file, write_json
from splitlaw.common.parallel import ordered_map
from splitlaw.common.progress import Progress
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.splitting import SPLITS
from splitlaw.corpus.working_folder import working_folder
from splitlaw.experiment.settings import HeldOutConfig
from splitlaw.tokens.encoding import Encoder

_BATCH_CHARACTERS = 1_000_000
"""Text per task: encoding it takes much longer than sending it to a process."""


def tokenize_domain(
    corpus: Path,
    tokenizer_folder: Path,
    domain: str,
    held_out: HeldOutConfig,
    out: Path,
    *,
    workers: int = 1,
    required_tokens: int = 0,
) -> None:
    """Write `{train,validation,test}.bin`, the held-out tables and `tokens.json` into `out`.

    The bytes do not depend on `workers`. Raises `UserError` for a held-out split that is too short
    to measure a loss on, and for a training split of fewer than `required_tokens` tokens.
    """
    encoder = Encoder(tokenizer_folder)
    out.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = {}
    with working_folder(out) as folder:
        for split in ("validation", "test", "train"):  # short ones first: they may be refused
            max_characters = None if split == "train" else held_out.characters_per_document
            documents = _read_texts(corpus, domain, split, max_characters)
            path = folder / f"{split}.bin"
            splits[split] = _write_split(encoder, documents, path, workers)
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


def _read_texts(
    corpus: Path, domain: str, split: str, max_characters: int | None
) -> Iterator[tuple[str, str]]:
    """Yield the source and text of each document, cut to `max_characters`."""
    for sources, texts in read_documents(corpus, domain, split):
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


def _write_split(
    encoder: Encoder, documents: Iterator[tuple[str, str]], path: Path, workers: int
) -> dict[str, Any]:
    """Write one token file and, for a held-out split, its table; returns the sidecar's entry."""
    tables = [np.empty((0, 2), np.int64)]
    by_source: Counter[str] = Counter()
    checksum = hashlib.sha256()
    with path.open("wb") as stream, Progress(f"encoding {path.stem}", unit="B") as progress:
        for sources, (tokens, table) in ordered_map(encoder, _batches(documents), workers):
            data = tokens.tobytes()
            stream.write(data)
            checksum.update(data)
            tables.append(table)
            for source, count in zip(sources, table[:, 0].tolist(), strict=True):
                by_source[source] += count
            progress.add(int(table[:, 1].sum()))
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
