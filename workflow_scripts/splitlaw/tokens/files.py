"""Reading of token files."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """The entry of one split in `tokens.json`."""

    path: Path
    """The token file."""
    dtype: np.dtype[Any]
    """Little-endian unsigned integers of 16 or 32 bits."""
    tokens: int
    """Number of tokens, including the end-of-text tokens."""
    documents: int
    """Number of documents."""
    bytes: int
    """UTF-8 bytes of the encoded text."""
    documents_path: Path | None
    """The table of the documents; None for train, which has none."""


def read_sidecar(path: str | os.PathLike[str], split: str) -> Sidecar:
    """Read the entry of one split in `tokens.json`; raises `UserError` if it is missing."""
    content = read_json(path)
    entry = content.get("splits", {}).get(split)
    if entry is None:
        raise UserError(f"{path}: has no split {split!r}; name one of {list(content['splits'])}")
    folder = Path(path).parent
    documents = entry.get("documents_file")
    return Sidecar(
        path=folder / entry["file"],
        dtype=np.dtype(content["dtype"]).newbyteorder("<"),
        tokens=entry["tokens"],
        documents=entry["documents"],
        bytes=entry["bytes"],
        documents_path=folder / documents if documents else None,
    )


def open_tokens(path: str | os.PathLike[str], split: str) -> NDArray[np.unsignedinteger[Any]]:
    """Open the tokens of a split as a read-only memory map, `[tokens]`.

    `path` is that of `tokens.json`. Raises `UserError` if the token file is missing or does not
    have the size given there.
    """
    sidecar = read_sidecar(path, split)
    if not sidecar.tokens:
        raise UserError(f"{path}: split {split!r} has no tokens; add documents and tokenize again")
    expected = sidecar.tokens * sidecar.dtype.itemsize
    size = sidecar.path.stat().st_size if sidecar.path.is_file() else None
    if size != expected:
        problem = "is missing" if size is None else f"has {size} bytes"
        raise UserError(
            f"{sidecar.path}: {problem}, but {path} lists {expected} bytes; run tokenize again"
        )
    return np.memmap(sidecar.path, dtype=sidecar.dtype, mode="r", shape=(sidecar.tokens,))


def open_documents(
    path: str | os.PathLike[str], split: str
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64], NDArray[np.int64]]:
    """Open the tokens of a held-out split with the bounds of its documents.

    Returns the tokens, `[tokens]`; offsets, `int64 [documents + 1]`, so that document i is
    `tokens[offsets[i]:offsets[i + 1]]`, whose first token is the end of text; and the UTF-8 bytes
    of each document's text, `int64 [documents]`, for bits per byte.
    """
    tokens = open_tokens(path, split)
    table_path = read_sidecar(path, split).documents_path
    if table_path is None:
        raise UserError(f"{path}: split {split!r} has no table of documents; open a held-out split")
    try:
        table = np.load(table_path)
    except (OSError, EOFError, ValueError) as cause:  # EOFError: the file is empty
        raise UserError(f"{table_path}: cannot be read ({cause}); run tokenize again") from None
    offsets = np.concatenate(([0], np.cumsum(table[:, 0])))
    if offsets[-1] != tokens.size:
        raise UserError(
            f"{table_path}: its tokens do not add up to {tokens.size}; run tokenize again"
        )
    return tokens, offsets, table[:, 1]
