"""Documents of a Hugging Face data set: from the hub, from its cache, or from a local folder."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.formats import Located
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.experiment.corpus_settings import Source

_MAX_CAUSE_CHARACTERS = 300  # messages of `datasets` can be many lines long


def read_dataset(source: Source, errors: InputErrors) -> Iterator[Located]:
    """Yield the documents of a data set.

    Raises `UserError` if the data set cannot be opened or does not have the configured column.
    """
    name = source.dataset
    with _silenced_loggers():
        rows = _open_dataset(source)
    columns = getattr(rows, "column_names", None)
    if columns is not None and source.text_field not in columns:
        raise UserError(
            f"dataset {name}: no column {source.text_field!r} (it has {', '.join(columns)}); "
            "set text_field"
        )
    for number, row in enumerate(rows, start=1):
        text = row.get(source.text_field)
        if isinstance(text, str):
            yield f"dataset {name}: row {number}", text
        else:
            kind = type(text).__name__
            errors.report(
                f"dataset {name}: row {number}", f"field {source.text_field!r} is not text ({kind})"
            )


def _open_dataset(source: Source) -> Iterable[dict[str, Any]]:
    from datasets import load_dataset, load_from_disk  # takes a second to import; only needed here

    assert source.dataset is not None
    folder = Path(source.dataset)
    try:
        if (folder / "dataset_dict.json").is_file():
            return load_from_disk(source.dataset)[source.split]
        if (folder / "dataset_info.json").is_file():
            return load_from_disk(source.dataset)
        return load_dataset(
            source.dataset,
            source.config,
            split=source.split,
            revision=source.revision,
            streaming=source.streaming,
        )
    except ConnectionError as cause:
        raise UserError(
            f"dataset {source.dataset}: {cause}; connect to the network, set HF_HUB_OFFLINE=1 to "
            "use the cache, or use files or packages as the source"
        ) from None
    except (OSError, ValueError, KeyError) as cause:
        reason = " ".join(str(cause).split())[:_MAX_CAUSE_CHARACTERS]
        raise UserError(
            f"dataset {source.dataset}: {reason}; check its name, config, split and revision"
        ) from None


@contextmanager
def _silenced_loggers() -> Iterator[None]:
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
