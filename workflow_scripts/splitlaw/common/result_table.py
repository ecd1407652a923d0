"""Tables that the stages write and read, in CSV; names in them stay text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from splitlaw.common.files import atomic_path

TEXT = (
    "run stage split size train_domain domain trunk strategy system against task metric verdict"
).split()
"""Columns of names. One such as `null` or `1e3` is not read as a missing value or a number."""
MISSING = ["", "nan", "NaN"]
"""A missing number, as the stages and NumPy write it."""


def write_result_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically, without its index."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def read_result_table(path: Path) -> pd.DataFrame:
    """Read a table; raises `OSError` or `ValueError` for a file that is no CSV table."""
    columns = pd.read_csv(path, nrows=0).columns
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(set(TEXT) & set(columns), "str"),
        keep_default_na=False,
        na_values={column: MISSING for column in columns if column not in TEXT},
    )
