"""Documents of a Hugging Face data set: from the hub, from its cache, or from a local folder."""

import glob
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.network import is_network_error
from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.sources.arrow_files import arrow_remarks, check_arrow_files, saved_files
from splitlaw.corpus.sources.availability import visible_paths
from splitlaw.corpus.sources.files import files_of_shard, read_file
from splitlaw.corpus.sources.formats import FORMATS, file_format
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import Located
from splitlaw.experiment.corpus_settings import Source

_MAX_CAUSE_CHARACTERS = 300  # messages of `datasets` can be many lines long
_CONFIGS = re.compile(r"^configs:", re.MULTILINE)
"""Key of the configurations of a data set, in the header of its README.md."""


def read_dataset(source: Source, errors: InputErrors, shard: Shard = WHOLE) -> Iterator[Located]:
    """Yield the documents of a data set; a text file is one document.

    Files of a local folder are read as those of a pattern are: their other columns may differ.
    Raises `UserError` if the data set cannot be opened or does not have the configured column.
    """
    files = _local_files(source)
    if files:
        for path in files_of_shard(files, shard):
            yield from read_file(path, source.text_field, errors, encoding=source.encoding)
        return
    name = source.dataset
    with _silenced_loggers(), _explained(source):
        rows = _open_dataset(source, shard)
        if rows is None:
            errors.count_empty(f"dataset {name}")
            return
        if shard.count > 1:
            rows = rows.shard(num_shards=shard.count, index=shard.number)
    columns = getattr(rows, "column_names", None)
    if columns is not None and source.text_field not in columns:
        raise UserError(
            f"dataset {name}: no column {source.text_field!r} (it has {', '.join(columns)}); "
            "set text_field"
        )
    if shard.number == 0:
        for location, remark in arrow_remarks(_arrow_files(source)):
            errors.note(location, remark)
    part = "" if shard.count == 1 else f" of shard {shard.number}"
    with _explained(source):
        # The format that was saved with a data set may leave columns out.
        for number, row in enumerate(rows.with_format(None), start=1):
            text, location = row.get(source.text_field), f"dataset {name}: row {number}{part}"
            if isinstance(text, str):
                yield location, text
            else:
                errors.report(
                    location,
                    f"field {source.text_field!r} is not text ({type(text).__name__})",
                )


def count_files(source: Source) -> int:
    """Return the number of parts that shards of a data set can read without the others.

    It is that of the files. Of a data set that is not streamed, all rows can be read on their own.
    """
    files = _local_files(source)
    if files:
        return len(files)
    with _silenced_loggers(), _explained(source):
        rows = _open_dataset(source, None)
    return 0 if rows is None else int(getattr(rows, "num_shards", 0)) or len(rows)


def check_dataset(source: Source) -> None:
    """Raise `UserError` if a data set cannot be opened, before the documents of others are read."""
    if source.dataset is None or Path(source.dataset).exists():
        return
    from datasets import load_dataset_builder

    with _silenced_loggers(), _explained(source):
        load_dataset_builder(source.dataset, source.config, revision=source.revision)


def _local_files(source: Source) -> list[Path]:
    """Return the files of the split, for a folder of files in known formats; else nothing.

    As in `datasets`, the names of files and folders say which split they belong to. Folders that
    `datasets` has saved, or that have their own configuration, are opened by that library.
    """
    assert source.dataset is not None
    folder = Path(source.dataset)
    own = ("dataset_dict.json", "dataset_info.json", ".huggingface.yaml")
    if not folder.is_dir() or source.config or any((folder / name).exists() for name in own):
        return []
    card = folder / "README.md"
    if card.is_file() and _CONFIGS.search(card.read_text(encoding="utf-8", errors="replace")):
        return []
    from datasets.data_files import DataFilesDict, EmptyDatasetError, get_data_patterns

    place = glob.escape(str(folder.resolve()))
    try:
        found = DataFilesDict.from_patterns(get_data_patterns(place), base_path=place)
    except EmptyDatasetError:
        return []
    files = [Path(name) for name in found.get(source.split, ())]
    linked = next((p for p in visible_paths(folder) if p.is_symlink() and p.is_dir()), None)
    if linked is not None:
        raise UserError(
            f"dataset {source.dataset}: {linked.name} is a link to a folder, which `datasets` does "
            f"not follow; use files: {source.dataset}/**/* as the source"
        )
    known = [path for path in files if file_format(path) in FORMATS]
    if known and len(known) < len(files):
        other = next(path.name for path in files if path not in known)
        print(
            f"dataset {source.dataset}: {len(files) - len(known)} files of other formats are not "
            f"read, such as {other}",
            file=sys.stderr,
        )
    return known


def _saved_folder(source: Source) -> Path | None:
    """Return the folder in which `datasets` has saved the split; None for other data sets."""
    folder = Path(str(source.dataset))
    if (folder / "dataset_dict.json").is_file():
        return folder / source.split
    return folder if (folder / "dataset_info.json").is_file() else None


def _arrow_files(source: Source) -> list[Path]:
    """Return the Arrow files of a data set in a local folder."""
    saved = _saved_folder(source)
    if saved is not None:
        return saved_files(saved) or []
    paths = visible_paths(Path(str(source.dataset)))
    return [path for path in paths if path.suffix == ".arrow"]


def _open_dataset(source: Source, shard: Shard | None) -> Any:
    """Open a data set, checked as far as `shard` needs; None if it was saved without rows."""
    # Takes a second to import; only needed here.
    from datasets import load_dataset, load_dataset_builder, load_from_disk

    assert source.dataset is not None
    saved = _saved_folder(source)
    if saved is not None and saved_files(saved) == []:
        return None
    # The others are copied into a cache, which reads all rows.
    files = _arrow_files(source)
    check_arrow_files(files, WHOLE if saved is None else shard)
    with _opening_explained(source, is_arrow=saved is not None or bool(files)):
        if saved is not None:
            return load_from_disk(str(saved))
        builder = load_dataset_builder(source.dataset, source.config, revision=source.revision)
        # Otherwise `datasets` makes a row of every line of a text file.
        whole = {"sample_by": "document"} if builder.name == "text" else {}
        return load_dataset(
            source.dataset,
            source.config,
            split=source.split,
            revision=source.revision,
            streaming=source.streaming,
            **whole,
        )


@contextmanager
def _opening_explained(source: Source, *, is_arrow: bool) -> Iterator[None]:
    """Turn errors that `datasets` raises within itself when it opens a data set.

    The cause is a damaged description of the columns in Arrow files, and the configuration in
    others.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError) as cause:
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
def _explained(source: Source) -> Iterator[None]:
    """Turn errors of `datasets` into `UserError`."""
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except ConnectionError as cause:
        raise UserError(f"dataset {source.dataset}: {_reason(cause)}; {_remedy(source)}") from None
    except DatasetGenerationError as cause:
        raise UserError(
            f"dataset {source.dataset}: {_reason(cause.__cause__ or cause)}; if its files have "
            "different columns, download them and use files or the folder as the source"
        ) from None
    except RuntimeError as cause:
        if "script" not in str(cause):
            raise
        raise UserError(
            f"dataset {source.dataset}: has a loading script, which `datasets` does not run "
            f"({_reason(cause)}); convert it to Parquet, or use files as the source"
        ) from None
    except (OSError, ValueError, LookupError) as cause:
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
