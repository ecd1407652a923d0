"""Domains from a folder of text files."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.availability import matching_paths
from splitlaw.experiment.lineage import GENERAL

TEXT_SUFFIXES = (".txt", ".md")
"""Suffixes of files that are one document, compared without case like all suffixes."""
SUFFIXES = (*TEXT_SUFFIXES, ".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")
"""Suffixes of files that are read as text."""
COMPRESSED = ("", ".gz", ".zst", ".bz2", ".xz")
"""Suffixes of compressed files, which may follow; such files are decompressed."""
BYTES_PER_TOKEN = 2.4
"""For English text and the default vocabulary of 1,024; the default domains have 2.3 to 2.6."""
SLICE = 0.15
"""Share of a domain's training documents that goes to general, as in the default configuration."""
FEW_FILES = 40
"""A domain of fewer text files gives none of them to general, because one may be a large part."""
RESERVED = ("discover", "general_share", "embedding")
"""Keys of `corpus.domains`, which no domain can have as its name."""
NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""Bytes of a file name that are not UTF-8, as Python represents them."""
LETTERS = 8
"""Letters of a name in another script that are represented by their code points."""
YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
"""Names that YAML does not read as text."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The text files of one domain."""

    name: str
    """Its name in the configuration."""
    patterns: tuple[str, ...]
    """Glob patterns, one for each kind of file."""
    files: int
    """Number of files that they match."""
    bytes: int
    """Size of all files; compressed ones count with their compressed size."""
    paths: tuple[Path, ...] = ()
    """The files."""

    @property
    def tokens(self) -> float:
        """Estimated tokens of all its text."""
        return self.bytes / BYTES_PER_TOKEN

    @property
    def slice(self) -> float:
        """Share of its training documents that goes to `general`."""
        few = self.files < FEW_FILES and all(p.endswith(TEXT_SUFFIXES) for p in self.patterns)
        return 0.0 if few else SLICE


def find_domains(text: Path) -> list[Domain]:
    """The domains in a folder, `general` first if it is one of them.

    Each folder in `text` that has text files is a domain of its name; without such folders `text`
    is one domain. Raises `UserError` if there is no text, or no domain except `general`.
    """
    if not text.is_dir():
        raise UserError(f"{text}: is not a folder; name one that has text files")
    folders = [folder for folder in sorted(text.iterdir()) if _plain_folder(folder)]
    found = [domain for folder in folders if (domain := _domain(folder, deep=True))]
    loose = [file for file in _files(text, deep=False) if file.stem.lower() != "readme"]
    if found and loose:
        raise UserError(
            f"{text}: has both folders of text and loose files such as {loose[0].name}; put the "
            "files into folders, one for each domain"
        )
    own = _domain(text, deep=False)
    found = found or ([own] if own else [])
    if not [domain for domain in found if domain.name != GENERAL]:
        raise UserError(f"{text}: has no text of a domain; add files ({', '.join(SUFFIXES)})")
    names = [domain.name for domain in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice:
        same = [folder.name for folder in folders if plain(folder.name) == twice]
        raise UserError(
            f"{text}: two folders give the name {twice}, {' and '.join(same)}; rename one of them"
        )
    return sorted(found, key=lambda domain: domain.name != GENERAL)


def _plain_folder(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _files(folder: Path, *, deep: bool) -> Iterator[Path]:
    # Linked folders are followed, as they are when a pattern is read.
    pattern = f"{glob.escape(str(folder))}/**/*"
    found = matching_paths(pattern) if deep else folder.iterdir()
    for file in sorted(found):
        if file.is_file() and not file.name.startswith(".") and _kind(file) and file.stat().st_size:
            yield file


def _kind(file: Path) -> str | None:
    """The suffix of a file that is read as text; None for other files."""
    endings = (suffix + packed for suffix in SUFFIXES for packed in COMPRESSED)
    return next((ending for ending in endings if file.name.lower().endswith(ending)), None)


def _domain(folder: Path, *, deep: bool) -> Domain | None:
    files = list(_files(folder, deep=deep))
    if not files:
        return None
    kinds = sorted({str(_kind(file)) for file in files})
    nested = any(file.parent != folder for file in files)
    within = "**/*" if nested else "*"
    # A byte that is not UTF-8 cannot be written in the configuration; `?` matches any character.
    path = NOT_UTF8.sub("?", glob.escape(folder.as_posix()))
    return Domain(
        name=plain(folder.resolve().name),
        patterns=tuple(f"{path}/{within}{kind}" for kind in kinds),
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        paths=tuple(files),
    )


def plain(name: str) -> str:
    """A name as the configuration allows it: lower-case letters, digits and underscores."""
    letters = unicodedata.normalize("NFKD", name.lower())
    made = re.sub(r"[^a-z0-9]+", "_", re.sub(r"[\u0300-\u036f]", "", letters)).strip("_")
    if not made:  # a name in other letters, such as 法律
        made = "_".join(f"{ord(letter):x}" for letter in name[:LETTERS] if letter.isalnum())
    if not made or not made[0].isalpha() or made in (*RESERVED, *YAML_WORDS):
        made = f"text_{made}".rstrip("_")
    return made
