"""Reading of the tables that the stages write, in which names stay text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

TEXT = (
    "run stage split size train_domain domain trunk strategy system against task metric verdict"
).split()
"""Columns of names. One such as `null` or `1e3` is not read as a missing value or a number."""
MISSING = ["", "nan", "NaN"]
"""A missing number, as the stages and NumPy write it."""


def read_own_table(path: Path) -> pd.DataFrame:
    """Read a CSV file; raises `OSError` or `ValueError` if it is none."""
    columns = pd.read_csv(path, nrows=0).columns
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(set(TEXT) & set(columns), "str"),
        keep_default_na=False,
        na_values={column: MISSING for column in columns if column not in TEXT},
    )
