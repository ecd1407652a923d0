"""Whether the sources are there at all, asked before anything is planned."""

import glob
from pathlib import Path

from splitlaw.corpus.config import GENERAL, CorpusConfig, Source
from splitlaw.corpus.packages import read_package
from splitlaw.errors import UserError


def check_presence(config: CorpusConfig) -> None:
    """Raise `UserError`, naming the key, for a package or files that are not here.

    A hub's data set is not asked for: that takes the network.
    """
    if config.embedding is not None and not Path(config.embedding).is_dir():
        raise UserError(
            f"corpus.domains.embedding: {config.embedding} is no folder; give that of a saved model"
        )
    for source in config.general:
        _check(source, f"corpus.{GENERAL}.sources")
    for domain, sources in config.domains.items():
        for source in sources:
            _check(source, f"corpus.domains.{domain}.sources")


def _check(source: Source, key: str) -> None:
    # Path.glob takes no absolute pattern, and a corpus often lies elsewhere.
    if source.files and not any(glob.iglob(source.files, recursive=True)):  # noqa: PTH207
        raise UserError(f"{key}: {source.files} matches no file; mend the pattern or add the files")
    if source.package:
        try:
            first = next(read_package(source.package), None)
        except UserError as cause:
            raise UserError(f"{key}: {cause}") from None
        if first is None:
            raise UserError(f"{key}: package {source.package} has no documents; install it again")
