"""Checks of the configured sources that run before anything is read or scheduled."""

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.common.files import is_file, is_folder
from splitlaw.corpus.sources.located import index_path
from splitlaw.corpus.sources.packages import read_package
from splitlaw.corpus.sources.saved_tokenizer import local_tokenizer
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.source_settings import Source


def matching_paths(pattern: str) -> list[Path]:
    """Return the files and folders that a glob pattern matches, sorted, without hidden ones.

    The suffix of a known format after a wildcard matches in either case: `*.txt` matches `A.TXT`.
    A folder or file whose name contains `[` is meant where it exists: `law [2024]/*.txt`.
    """
    paths = sorted(map(Path, _glob(pattern)))
    return _without_repeated_folders(paths) if "**" in pattern else paths


def _without_repeated_folders(paths: list[Path]) -> list[Path]:
    """Leave out what a link leads to again, such as a link to a folder that contains it.

    Of a folder that is reached by several paths, the one with the fewest parts is kept; of several
    such, the first of those with the fewest links. Every process keeps the same, for its shard.
    """

    def order(folder: Path) -> tuple[int, int, Path]:
        links = sum(part.is_symlink() for part in (folder, *folder.parents))
        return len(folder.parts), links, folder

    kept: dict[str, Path] = {}
    for folder in sorted({path.parent for path in paths}, key=order):
        kept.setdefault(os.path.realpath(folder), folder)
    folders = set(kept.values())
    return [path for path in paths if path.parent in folders]


def token_paths(pattern: str) -> list[Path]:
    """Return the token files that a pattern matches, without folders and indices of Megatron."""
    paths = matching_paths(pattern)
    return [path for path in paths if path.suffix.lower() != ".idx" and not path.is_dir()]


def visible_paths(folder: Path) -> list[Path]:
    """Return everything below a folder, sorted, without hidden files and those in hidden folders.

    Linked folders are listed but not entered, as in `datasets`.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


_SUFFIXES = re.compile(
    r"(\.(txt|md|jsonl|ndjson|json|parquet|csv|tsv|gz|zst|bz2|xz|npy|bin))+$", re.IGNORECASE
)


def _existing_names(pattern: str) -> str:
    """Return a pattern in which brackets of folders and files that exist are taken literally."""
    made, before = "", ""
    for part in re.split("(/)", pattern):
        exists = os.path.lexists(before + part)
        made += part.replace("[", "[[]") if exists else part
        if glob.has_magic(part) and not exists:
            return made + pattern[len(before) + len(part) :]
        before += part
    return made


def _in_any_case(pattern: str) -> str:
    """Return a pattern of which the suffix, if it follows a wildcard, matches in any case."""
    folder, slash, name = pattern.rpartition("/")
    suffix = _SUFFIXES.search(name)
    if suffix is None or not glob.has_magic(name[: suffix.start()]):
        return pattern
    letters = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in suffix[0])
    return f"{folder}{slash}{name[: suffix.start()]}{''.join(letters)}"


def _glob(pattern: str) -> Iterator[str]:
    # Path.glob refuses absolute patterns, and a corpus is often outside the working directory.
    return glob.iglob(_in_any_case(_existing_names(pattern)), recursive=True)  # noqa: PTH207


def check_sources_exist(config: CorpusConfig) -> None:
    """Raise `UserError`, with the key, for a missing package, file or embedding model.

    Data sets of the hub are not checked, because that requires the network. If bad input is
    skipped, a pattern may match no file as long as the domain has another source with files.
    """
    embedding = config.discovery.embedding if config.discovery else None
    if embedding is not None and not is_folder(embedding):
        raise UserError(
            f"corpus.domains.embedding: {embedding} is not a folder; "
            "give the folder of a saved model"
        )
    for name, sources in config.sources.items():
        key = f"corpus.{name}.sources" if name == GENERAL else f"corpus.domains.{name}.sources"
        skip = config.cleaning.on_bad_input == "skip" and any(map(_has_files, sources))
        for source in sources:
            if not skip and not _has_files(source):
                raise UserError(
                    f"{key}: {source.pattern} matches no file; fix the pattern"
                    f"{_brackets(source)}, or add the files"
                )
            if source.package:
                _check_package(source.package, key)
            if source.dataset:
                _check_dataset(Path(source.dataset), key)
            if source.tokenizer:
                _check_tokenizer_exists(source.tokenizer, key)


def _brackets(source: Source) -> str:
    """A hint for a pattern with brackets, which match one character of those in them."""
    return " (of a [ in a name, write [[])" if "[" in str(source.pattern) else ""


def _has_files(source: Source) -> bool:
    if source.token_files:
        return bool(token_paths(source.token_files))
    return not source.files or any(_glob(source.files))


def _check_package(package: str, key: str) -> None:
    try:
        first = next(read_package(package), None)
    except UserError as cause:
        raise UserError(f"{key}: {cause}") from None
    if first is None:
        raise UserError(f"{key}: package {package} has no documents; install it again")


def _check_dataset(folder: Path, key: str) -> None:
    """Refuse a local data set that is missing, or that is only the script that would make it."""
    if not is_file(folder) and not is_folder(folder) and str(folder).startswith(("/", ".", "~")):
        raise UserError(f"{key}: {folder} does not exist; give the folder of a data set")
    files = [folder] if is_file(folder) else visible_paths(folder) if is_folder(folder) else []
    names = [file.name for file in files if file.stem.lower() not in ("readme", "dataset_infos")]
    scripts = [name for name in names if name.endswith(".py")]
    if scripts and not any(name.endswith(".arrow") or _SUFFIXES.search(name) for name in names):
        raise UserError(
            f"{key}: {folder} has a loading script, which `datasets` does not run, and no data; "
            "convert it to Parquet"
        )


def _check_tokenizer_exists(name: str, key: str) -> None:
    path = local_tokenizer(name)
    if path is not None and not is_file(path) and not is_folder(path):
        raise UserError(f"{key}: {path} does not exist; give the folder of a tokenizer")


def check_shared_files(sources: list[tuple[str, Source]]) -> None:
    """Raise `UserError` for a file that two domains use; `sources` are (domain, source) pairs."""
    owners: dict[str, str] = {}
    for domain, source in sources:
        for path in matching_paths(source.pattern) if source.pattern else []:
            owner = owners.setdefault(os.path.realpath(path), domain)
            if owner != domain:
                raise UserError(
                    f"{path}: a file of domain {owner} and of domain {domain}; "
                    "give it to one of them"
                )


def files_digest(config: CorpusConfig) -> str:
    """Return a digest of the names and sizes of all source files; empty if there are none.

    Of token files, these are also the indices beside them and the file of a local tokenizer.
    The digest changes if a file is added, removed or changes its size, but not if only its
    modification time changes.
    """
    sources = [source for listed in config.sources.values() for source in listed]
    patterns = {source.pattern for source in sources if source.pattern}
    files = {file for pattern in patterns for file in _glob(pattern)}
    files |= {str(index_path(Path(file))) for file in files}
    tokenizers = [local_tokenizer(source.tokenizer) for source in sources if source.tokenizer]
    files |= {
        str(path if path.is_file() else path / "tokenizer.json") for path in tokenizers if path
    }
    found = {(file, Path(file).stat().st_size) for file in files if Path(file).is_file()}
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:16] if patterns else ""
