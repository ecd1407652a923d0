"""Errors of `datasets` in one line, with the name of the data set."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from splitlaw.common.errors import UserError, no_room
from splitlaw.common.network import is_network_error
from splitlaw.experiment.source_settings import Source

_MAX_CAUSE_CHARACTERS = 300  # messages of `datasets` can be many lines long


@contextmanager
def opening_explained(source: Source, *, is_arrow: bool) -> Iterator[None]:
    """Turn errors that `datasets` raises within itself when it opens a data set.

    The cause is a damaged description of the columns in Arrow files, and the configuration in
    others. Errors that `explained` knows are left to it, which is the outer context.
    """
    from datasets.exceptions import DatasetGenerationError

    explained_there = (OSError, ValueError, RuntimeError, DatasetGenerationError)
    try:
        yield
    except (UserError, MemoryError, *explained_there):
        raise
    except Exception as cause:
        if is_network_error(cause):
            raise
        problem = "`datasets` cannot open it"
        remedy = "check its name and config, and the header of its README.md"
        if is_arrow:
            problem = "its description of the columns is damaged"
            remedy = "save or download the data set again"
        raise UserError(
            f"dataset {source.dataset}: {problem} ({type(cause).__name__}: {_reason(cause)}); "
            f"{remedy}"
        ) from None


@contextmanager
def explained(source: Source) -> Iterator[None]:
    """Turn errors of `datasets` into `UserError`."""
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except ConnectionError as cause:
        raise UserError(f"dataset {source.dataset}: {_reason(cause)}; {_remedy(source)}") from None
    except DatasetGenerationError as cause:
        found = cause.__cause__ or cause
        if no_room(found):
            raise found from None
        raise UserError(
            f"dataset {source.dataset}: {_reason(found)}; if its files have different columns, "
            "download them and use files or the folder as the source"
        ) from None
    except (OSError, ValueError, LookupError, RuntimeError) as cause:
        if no_room(cause):
            raise
        if isinstance(cause, RuntimeError) and "script" in str(cause):
            raise UserError(
                f"dataset {source.dataset}: has a loading script, which `datasets` does not run "
                f"({_reason(cause)}); convert it to Parquet, or use files as the source"
            ) from None
        remedy = "check its name, config, split and revision"
        if is_network_error(cause) or "LocalEntryNotFoundError" in str(cause):
            remedy = _remedy(source)
        raise UserError(f"dataset {source.dataset}: {_reason(cause)}; {remedy}") from None
    except Exception as cause:
        if not is_network_error(cause):
            raise
        raise UserError(f"dataset {source.dataset}: {_reason(cause)}; {_remedy(source)}") from None


def _remedy(source: Source) -> str:
    """Return how to read a data set that is not in the cache without the network."""
    from datasets import config

    download = f"hf download --repo-type dataset {source.dataset} --local-dir FOLDER"
    if config.HF_HUB_OFFLINE:
        return (
            "HF_HUB_OFFLINE is set, and the cache of `datasets` does not have it: where there is a "
            f"network, run {download}, and give FOLDER as the dataset"
        )
    return (
        "connect to the network, set HF_HUB_OFFLINE=1 to use the cache, or download it elsewhere "
        f"({download}) and give FOLDER as the dataset"
    )


def _reason(cause: BaseException) -> str:
    return " ".join(str(cause).split())[:_MAX_CAUSE_CHARACTERS]


@contextmanager
def silenced_loggers() -> Iterator[None]:
    """Suppress the hub's messages about retries: a failed connection is reported once, as error."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
