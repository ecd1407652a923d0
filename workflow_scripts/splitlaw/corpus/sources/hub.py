"""Documents of a Hugging Face data set: from the hub, from its cache, or from a local folder."""

import dataclasses
import glob
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import is_file, is_folder
from splitlaw.corpus.shards import WHOLE, Shard
from splitlaw.corpus.sources.arrow_files import (
    arrow_remarks,
    check_arrow_files,
    saved_files,
    saved_split,
)
from splitlaw.corpus.sources.availability import visible_paths
from splitlaw.corpus.sources.files import files_of_shard, read_file
from splitlaw.corpus.sources.formats import FORMATS, file_format
from splitlaw.corpus.sources.hub_errors import explained, opening_explained, silenced_loggers
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.located import Located, decode_utf8
from splitlaw.experiment.source_settings import Source

_WHOLE_SPLIT = "train"
"""Split of a data set without others, as `datasets` calls it."""
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
    with silenced_loggers(), explained(source):
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
    # The format that was saved with a data set may leave columns out.
    for number, row in enumerate(_explained_rows(source, rows.with_format(None)), start=1):
        text, location = row.get(source.text_field), f"dataset {name}: row {number}{part}"
        if isinstance(text, bytes):  # as some writers of Parquet mark UTF-8
            text = decode_utf8(text, location, errors)
        elif not isinstance(text, str):
            kind = type(text).__name__
            errors.report(location, f"field {source.text_field!r} is not text ({kind})")
            continue
        if text is not None:
            yield location, text


def _explained_rows(source: Source, rows: Any) -> Iterator[Any]:
    """Yield the rows; errors of `datasets` and of the parsers that it calls become `UserError`.

    The options of a parser in the header of README.md are not checked before it is called, and a
    wrong one raises any error.
    """
    with silenced_loggers(), explained(source), opening_explained(source, is_arrow=False):
        yield from rows


def count_files(source: Source) -> int:
    """Return the number of parts that shards of a data set can read without the others.

    It is that of the files. Of a data set that is not streamed, all rows can be read on their own.
    """
    files = _local_files(source)
    if files:
        return len(files)
    with silenced_loggers(), explained(source):
        rows = _open_dataset(source, None)
    return 0 if rows is None else int(getattr(rows, "num_shards", 0)) or len(rows)


def check_dataset(source: Source) -> None:
    """Raise `UserError` if a data set cannot be opened, before the documents of others are read."""
    if source.dataset is None or is_file(source.dataset) or is_folder(source.dataset):
        return
    from datasets import load_dataset_builder

    _refuse_format(source.dataset)
    with silenced_loggers(), explained(source):
        load_dataset_builder(source.dataset, source.config, revision=source.revision)


def _refuse_format(name: str) -> None:
    """Refuse the name of a format, of which `datasets` would read the files in this folder."""
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    if name in _PACKAGED_DATASETS_MODULES and not Path(name).exists():
        raise UserError(
            f"dataset {name}: is the name of a format; use files with a pattern as the source"
        )


def _local_files(source: Source) -> list[Path]:
    """Return the files of the split, for a folder of files in known formats; else nothing.

    As in `datasets`, the names of files and folders say which split they belong to. Folders that
    `datasets` has saved, or that have their own configuration, are opened by that library.
    """
    assert source.dataset is not None
    folder = Path(source.dataset)
    if is_file(folder) and file_format(folder) in FORMATS:
        if source.split != _WHOLE_SPLIT:
            raise UserError(f"dataset {folder}: is one file, without splits; remove split")
        return [folder]
    own = ("dataset_dict.json", "dataset_info.json", ".huggingface.yaml")
    if not is_folder(folder) or any((folder / name).exists() for name in own):
        return []
    if (folder / "state.json").is_file() and any(folder.glob("*.arrow")):
        raise UserError(
            f"dataset {folder}: dataset_info.json is missing beside state.json; save it again"
        )
    card = folder / "README.md"
    if card.is_file() and _CONFIGS.search(card.read_text(encoding="utf-8", errors="replace")):
        return _configured_files(source)
    if source.config:
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


def _configured_files(source: Source) -> list[Path]:
    """Return the local files that README.md names, if it says nothing else about them.

    `datasets` reads CSV less strictly: a separator at the end of every row shifts the columns.
    """
    from datasets import load_dataset_builder

    with silenced_loggers(), explained(source), opening_explained(source, is_arrow=False):
        config = load_dataset_builder(str(source.dataset), source.config).config
    named = ("name", "version", "description", "data_dir", "data_files")
    options = [field for field in dataclasses.fields(config) if field.name not in named]
    if any(getattr(config, option.name) != option.default for option in options):
        return []
    files = [Path(name) for name in (config.data_files or {}).get(source.split, ())]
    # A name may also be a URL.
    return files if all(is_file(path) and file_format(path) in FORMATS for path in files) else []


def _saved_folder(source: Source) -> Path | None:
    """Return the folder in which `datasets` has saved the split; None for other data sets."""
    folder = Path(str(source.dataset))
    if (folder / "dataset_dict.json").is_file():
        return folder / source.split
    return folder if (folder / "dataset_info.json").is_file() else None


def _check_split(saved: Path, source: Source) -> None:
    """Refuse another split than that of a data set which was saved without others."""
    if saved != Path(str(source.dataset)) or source.split == _WHOLE_SPLIT:
        return
    if (own := saved_split(saved)) != source.split:
        raise UserError(
            f"dataset {source.dataset}: was saved as {f'the split {own}' if own else 'a whole'}, "
            f"and has no split {source.split}; remove split"
        )


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
    _refuse_format(source.dataset)
    saved = _saved_folder(source)
    if saved is not None:
        _check_split(saved, source)
    if saved is not None and saved_files(saved) == []:
        return None
    # The others are copied into a cache, which reads all rows.
    files = _arrow_files(source)
    check_arrow_files(files, WHOLE if saved is None else shard)
    with opening_explained(source, is_arrow=saved is not None or bool(files)):
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
