"""Token files of groups of the documents of a domain, copied from its token files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json
from splitlaw.tokens.files import open_documents, open_tokens, read_sidecar

Rows = NDArray[np.int64]
"""Numbers of documents in the order of the token file."""

Groups = Mapping[str, Mapping[str, Rows]]
"""The documents of each group by split: `train` and `test`."""


def write_groups(sidecar: Path, groups: Groups, out: Path) -> None:
    """Write `{out}/{group}/tokens.json` and its token files for every group.

    `sidecar` is the `tokens.json` that the documents are from. Raises `UserError` where its
    training documents have no known boundaries.
    """
    about = read_json(sidecar)
    training = open_tokens(sidecar, "train")
    bounds = _training_offsets(sidecar, training)
    held_out, offsets, sizes = open_documents(sidecar, "test")
    for name, rows in groups.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        lengths = np.diff(offsets)[rows["test"]]
        np.save(folder / "test_documents.npy", np.stack([lengths, sizes[rows["test"]]], 1))
        train = _write(folder / "train.bin", training, bounds, rows["train"])
        test = _write(folder / "test.bin", held_out, offsets, rows["test"])
        test |= {"bytes": int(sizes[rows["test"]].sum()), "documents_file": "test_documents.npy"}
        splits = {"train": train, "test": test}
        write_json(folder / "tokens.json", {**about, "domain": name, "splits": splits})


def _training_offsets(sidecar: Path, tokens: NDArray[np.unsignedinteger[Any]]) -> Rows:
    """Positions of the training documents, `[documents + 1]`: each begins with the end of text."""
    starts = np.flatnonzero(tokens == read_json(sidecar)["end_of_text"])
    if len(starts) != read_sidecar(sidecar, "train").documents:
        raise UserError(
            f"{sidecar}: the end of text occurs inside training documents, so that they cannot be "
            "grouped; use a tokenizer that does not encode it from text"
        )
    return np.append(starts, len(tokens)).astype(np.int64)


def _write(
    file: Path, tokens: NDArray[np.unsignedinteger[Any]], offsets: Rows, rows: Rows
) -> dict[str, Any]:
    """Write the tokens of some documents; returns the sidecar's entry."""
    checksum, count = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for row in rows:
            document = tokens[offsets[row] : offsets[row + 1]]
            data = document.tobytes()
            stream.write(data)
            checksum.update(data)
            count += len(document)
    return {
        "file": file.name,
        "tokens": count,
        "documents": len(rows),
        "bytes": 0,
        "sha256": checksum.hexdigest(),
    }
