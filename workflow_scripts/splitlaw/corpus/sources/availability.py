"""Whether the sources are there at all, asked before anything is planned."""

import glob
import hashlib
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.packages import read_package
from splitlaw.experiment.corpus_settings import CorpusConfig, Source
from splitlaw.experiment.lineage import GENERAL


def check_sources_exist(config: CorpusConfig) -> None:
    """Raise `UserError`, naming the key, for a package or files that are not here.

    A hub's data set is not asked for: that takes the network. Where bad input is skipped, files may
    be missing if the domain has another source.
    """
    embedding = config.discovery.embedding if config.discovery else None
    if embedding is not None and not Path(embedding).is_dir():
        raise UserError(
            f"corpus.domains.embedding: {embedding} is no folder; give that of a saved model"
        )
    for name, listed in config.sources.items():
        key = f"corpus.{name}.sources" if name == GENERAL else f"corpus.domains.{name}.sources"
        skip = config.cleaning.on_bad_input == "skip" and any(map(_files_are_there, listed))
        for source in listed:
            _check(source, key, skip=skip)


def files_digest(config: CorpusConfig) -> str:
    """A digest of the names and sizes of all files that sources name; empty where none does.

    It changes when a file comes, goes, or has another length, not when one is touched.
    """
    patterns = {
        source.files for listed in config.sources.values() for source in listed if source.files
    }
    found = {
        (file, Path(file).stat().st_size)
        for pattern in patterns
        for file in glob.iglob(pattern, recursive=True)  # noqa: PTH207
        if Path(file).is_file()
    }
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:16] if patterns else ""


def _files_are_there(source: Source) -> bool:
    # Path.glob takes no absolute pattern, and a corpus often lies elsewhere.
    return not source.files or any(glob.iglob(source.files, recursive=True))  # noqa: PTH207


def _check(source: Source, key: str, *, skip: bool) -> None:
    if not skip and not _files_are_there(source):
        raise UserError(f"{key}: {source.files} matches no file; mend the pattern or add the files")
    if source.package:
        try:
            first = next(read_package(source.package), None)
        except UserError as cause:
            raise UserError(f"{key}: {cause}") from None
        if first is None:
            raise UserError(f"{key}: package {source.package} has no documents; install it again")
