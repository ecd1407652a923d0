"""Record the hash of every artifact when a workflow ends, and check artifacts against it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, sha256_file, write_json

MANIFEST = "manifest.json"
SKIPPED = {MANIFEST, "experiment.json", "forecast.csv"}
"""Files in the results folder itself that are written again without new results."""
SKIPPED_FOLDERS = {"logs", "status", "checkpoints"}
"""No result is computed from logs or statuses, and states contain a checksum of their own."""


def artifacts(results: Path) -> Iterator[Path]:
    """Every file that the manifest covers."""
    for folder, folders, names in os.walk(results):
        here = Path(folder)
        if here == results:
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            if not name.startswith(".") and not (here == results and name in SKIPPED):
                yield here / name


def record(results: Path, *, since: float) -> None:
    """Record the hash of every file that is new or was written after `since`.

    `since` is the time at which the workflow began, in seconds since the epoch. A file that changed
    earlier was not changed by the workflow: it keeps its old hash, and `check` reports it.
    """
    if not results.is_dir():
        return
    file = results / MANIFEST
    known = read_json(file)["files"] if file.exists() else {}
    files = {}
    for path in artifacts(results):
        name, status = str(path.relative_to(results)), path.stat()
        before = known.get(name)
        unchanged = before and before["mtime_ns"] == status.st_mtime_ns
        if before and (unchanged or status.st_mtime < since):
            files[name] = before
            continue
        files[name] = {
            "sha256": sha256_file(path),
            "bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
        }
    write_json(file, {"files": files})


def check(results: Path) -> list[str]:
    """Artifacts that differ from the manifest, one line each.

    Raises `UserError` where there is no manifest.
    """
    file = results / MANIFEST
    if not file.exists():
        raise UserError(f"{file}: no such file; it is written when a workflow ends")
    known = read_json(file)["files"]
    wrong = []
    for name, entry in known.items():
        path = results / name
        if not path.exists():
            wrong.append(f"{path}: is missing")
        elif sha256_file(path) != entry["sha256"]:
            wrong.append(f"{path}: differs from the file that the workflow wrote")
    for path in artifacts(results):
        if str(path.relative_to(results)) not in known:
            wrong.append(f"{path}: was not written by a workflow")
    wrong += [f"{path}: is damaged" for path in states(results) if not is_intact(path, results)]
    for sidecar in sorted(results.glob("tokens/*/tokens.json")):
        wrong += wrong_tokens(sidecar)
    return wrong


def states(results: Path) -> list[Path]:
    """Every training state."""
    return sorted((results / "checkpoints").rglob("*.safetensors"))


def is_intact(state: Path, results: Path) -> bool:
    """Whether a state has the identity in its folder's name and the checksum in its header."""
    from splitlaw.training.states import Store

    size, seed, identity = state.relative_to(results / "checkpoints").parts[:3]
    root = results / "checkpoints" / size / seed / identity
    try:
        return Store(root=root, identity=identity, data={}).load(state) is not None
    except UserError:
        return False


def wrong_tokens(sidecar: Path) -> list[str]:
    """Token files that differ from the description in their sidecar."""
    return [
        f"{sidecar.parent / entry['file']}: differs from its description in {sidecar.name}"
        for entry in read_json(sidecar)["splits"].values()
        if sha256_file(sidecar.parent / entry["file"]) != entry["sha256"]
    ]
