"""Documents written by pandas, pyarrow and `datasets` come back unchanged, whatever their text."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, disable_progress_bars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source

disable_progress_bars()

MARKS = st.text(st.sampled_from("ab 1,;\t\"'\\/{}[]:\n\r\u2028\x85\x1c\x0cé深😀"), max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
"""Any text of Unicode but NUL, which is refused as binary."""
TEXTS = st.lists(MARKS | TEXT, min_size=1, max_size=5)
QUICK = settings(
    max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
"""Within a second or two for each writer; no files beside the tests."""

Write = Callable[[pd.DataFrame, Path], object]


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def dataset(frame: pd.DataFrame) -> Dataset:
    return Dataset.from_pandas(frame, preserve_index=False)


def typed(frame: pd.DataFrame, kind: pa.DataType) -> pa.Table:
    table = arrow(frame)
    number = table.column_names.index("text")
    return table.set_column(number, "text", table["text"].cast(kind))


DICTIONARY = pa.dictionary(pa.int32(), pa.string())
WRITERS: dict[str, tuple[str, Write]] = {
    "pandas csv": (".csv", lambda frame, path: frame.to_csv(path, index=False)),
    "pandas csv with an index": (".csv", lambda frame, path: frame.to_csv(path)),
    "pandas csv, all quoted": (
        ".csv",
        lambda frame, path: frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL),
    ),
    "pandas tsv": (".tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
    "pandas jsonl": (
        ".jsonl",
        lambda frame, path: frame.to_json(path, orient="records", lines=True),
    ),
    "pandas json": (
        ".json",
        lambda frame, path: frame.to_json(path, orient="records", force_ascii=False, indent=1),
    ),
    "pandas json by column": (".json", lambda frame, path: frame.to_json(path)),
    "pandas jsonl.bz2": (
        ".jsonl.bz2",
        lambda frame, path: frame.to_json(path, orient="records", lines=True),
    ),
    "pandas csv.xz": (
        ".csv.xz",
        lambda frame, path: frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL),
    ),
    "pandas parquet": (".parquet", lambda frame, path: frame.to_parquet(path)),
    "pyarrow csv": (".csv", lambda frame, path: pyarrow.csv.write_csv(arrow(frame), path)),
    "pyarrow parquet": (".parquet", lambda frame, path: pq.write_table(arrow(frame), path)),
    "pyarrow parquet, dictionary": (
        ".parquet",
        lambda frame, path: pq.write_table(typed(frame, DICTIONARY), path),
    ),
    "pyarrow parquet, binary": (
        ".parquet",
        lambda frame, path: pq.write_table(typed(frame, pa.binary()), path, row_group_size=2),
    ),
    "datasets csv": (".csv", lambda frame, path: dataset(frame).to_csv(path)),
    "datasets jsonl": (".jsonl", lambda frame, path: dataset(frame).to_json(path)),
    "datasets parquet": (".parquet", lambda frame, path: dataset(frame).to_parquet(path)),
    "datasets saved": ("", lambda frame, path: dataset(frame).save_to_disk(path)),
}
"""By name, the suffix of the file and what writes it."""
UNQUOTED = ("pandas csv", "pandas csv with an index", "pandas tsv", "datasets csv")
"""These do not quote a carriage return, which then ends a row for every reader, pandas' too."""


@pytest.mark.parametrize("writer", WRITERS)
def test_texts_come_back(tmp_path: Path, writer: str) -> None:
    suffix, write = WRITERS[writer]
    path = tmp_path / f"written{suffix}"

    @given(texts=TEXTS, position=st.integers(0, 2))
    @QUICK
    def come_back(texts: list[str], position: int) -> None:
        if writer in UNQUOTED:
            texts = [text.replace("\r", "\n") for text in texts]
        frame = pd.DataFrame({"id": range(len(texts)), "note": ["x, y"] * len(texts)})
        frame.insert(position, "text", texts)
        write(frame, path)
        source = Source(files=str(path)) if suffix else Source(dataset=str(path))
        assert list(read_source(source, InputErrors("stop"))) == texts

    come_back()
