"""Atomic writing of files, JSON, and digests."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splitlaw.common.errors import NO_ROOM, UserError, no_room

SCHEMA_VERSION = 1
"""Version of the keys of JSON files; increase it when the meaning of a key changes."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Context with a temporary path beside `path`, which it replaces if the block succeeds.

    A reader sees either the old or the complete new file. After an error, `path` is unchanged and
    the temporary file is removed. Raises `UserError` if no file can be written at `path`, and
    `OSError` with the path if the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    if target.is_dir():
        raise UserError(f"{path}: is a folder; give the path of a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not with `tempfile`: its files are readable by their owner only, whatever the umask.
        temporary.touch(exist_ok=False)
    except OSError as cause:
        if cause.errno in NO_ROOM:
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise UserError(
            f"{path}: cannot be written ({cause.strerror}); give a path in a writable folder"
        ) from None
    try:
        yield temporary
        temporary.replace(target)
    except Exception as cause:
        number = no_room(cause)
        named = getattr(cause, "filename", None)
        if number is None or named not in (None, str(temporary)):  # or of another file
            raise
        raise OSError(number, os.strerror(number), str(path)) from cause
    finally:
        temporary.unlink(missing_ok=True)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file at `path`; False for a name that is too long for one."""
    return os.path.isfile(path)  # noqa: PTH113, Path.is_file raises an error for such a name


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder at `path`; False for a name that is too long for one."""
    return os.path.isdir(path)  # noqa: PTH112, as above


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` atomically, in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write `content` atomically as indented JSON whose first key is `schema_version`.

    Raises `ValueError` for NaN and infinity, which JSON cannot represent.
    """
    versioned = {"schema_version": SCHEMA_VERSION, **content}
    write_text(path, json.dumps(versioned, indent=1, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; `UserError` where the file is missing or damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name an existing JSON file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name an existing JSON file") from None
    except (OSError, ValueError) as cause:
        raise UserError(f"{path}: cannot be read as JSON ({cause}); write it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: contains no JSON object; write it again")
    return content


def canonical_json(content: Any) -> str:
    """`content` as JSON with sorted keys and no spaces: equal content gives an equal string."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON of `content`."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:16]


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
