"""Tables of losses and of points as they were given, before their values are checked."""

import os
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.table_file import read_table_file
from splitlaw.laws.column_names import check_columns
from splitlaw.laws.points import Array, Mask

PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
SUFFIXED = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)) ?([kKmMbBgGtT])")
SUFFIXES = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
MISSING = ("nan", "na", "n/a", "null", "none")
"""Texts in lower case that libraries write for a missing value."""

NOT_FINITE = (*MISSING, "inf", "+inf", "-inf", "infinity", "-infinity")
"""Texts that libraries write for a number that is missing or not finite, in lower case."""


@dataclass(frozen=True)
class Sheet:
    """A table with the names of its rows, for messages."""

    name: str
    """The file, or `losses` or `points` for a data frame."""

    frame: pd.DataFrame
    """The cells: text from a file, anything from a data frame. The index counts from 0."""

    labels: tuple[str, ...]
    """Names of the rows: their number, with the line of the file or the index of the frame."""

    separator: str = ""
    """Separator of the cells of the file."""

    quotes: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of unquoted cells with a quotation mark."""

    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, column: str) -> bool:
        return column in self.frame

    def at(self, bad: Mask) -> str:
        """The table and the first bad row, as messages begin."""
        return f"{self.name}, {self.labels[int(np.flatnonzero(bad)[0])]}"

    def take(self, rows: Mask) -> "Sheet":
        """The sheet of some rows."""
        labels = tuple(label for label, keep in zip(self.labels, rows, strict=True) if keep)
        return replace(self, frame=self.frame[rows].reset_index(drop=True), labels=labels)

    def text(self, column: str) -> pd.Series:
        """A column as text without spaces around it; empty where nothing was given."""
        cells = self.frame[column].astype(object)
        return cells.where(cells.notna(), "").astype(str).str.strip()

    def names(self, column: str) -> pd.Series:
        """A column of names as text; `UserError` for one that quotation marks may have broken."""
        names = self.text(column)
        number = list(self.frame.columns).index(column)
        stray = np.array([(row, number) in self.quotes for row in range(len(self))], dtype=bool)
        broken = stray | names.str.contains(r"[\r\n]").to_numpy(dtype=bool)
        if broken.any():
            raise UserError(
                f"{self.at(broken)}: {column} {names[broken].iloc[0]!r} contains a quotation mark "
                "or a line break; check the quotation marks there, or rename it"
            )
        return names

    def numbers(self, column: str) -> Array:
        """A column as numbers; NaN where a cell is none.

        Columns of counts may have thousands separators and suffixes: "25,328", 25.3k, 1.5B.
        """
        cells = self.frame[column]
        if pd.api.types.is_numeric_dtype(cells):
            return cells.to_numpy(dtype=float, na_value=np.nan)
        counts = column != "loss"
        return np.array([self._number(cell, counts) for cell in cells], dtype=float)

    def _number(self, cell: Any, counts: bool) -> float:
        if not isinstance(cell, str):
            try:
                return float(cell)
            except (TypeError, ValueError):
                return np.nan
        text = cell.strip()
        if PLAIN.fullmatch(text):
            return float(text)
        # One group after a comma is a decimal fraction in many files with semicolons.
        ambiguous = self.separator == ";" and text.count(",") == 1
        if counts and GROUPED.fullmatch(text) and not ambiguous:
            return float(text.replace(",", ""))
        suffixed = SUFFIXED.fullmatch(text)
        if counts and suffixed:
            return float(Decimal(suffixed[1]) * SUFFIXES[suffixed[2].lower()])
        return np.nan

    def show(self, column: str, bad: Mask) -> str:
        """The value of the first bad cell of a column, as messages show it."""
        value = self.frame[column].iloc[int(np.flatnonzero(bad)[0])]
        if isinstance(value, str):
            return repr(value.strip()) if value.strip() else "empty"
        if pd.api.types.is_scalar(value) and pd.isna(value) and not isinstance(value, float):
            return "empty"
        return f"{value:g}" if isinstance(value, (int, float, np.number)) else repr(value)

    def remedy(self, column: str, bad: Mask) -> str:
        """The advice for a cell that is no finite number."""
        value = self.frame[column].iloc[int(np.flatnonzero(bad)[0])]
        if not isinstance(value, str) or value.strip().lower() in ("", *NOT_FINITE):
            return "give a finite number"
        if value.strip() == column:
            return "remove the repeated header"
        if "," in value:
            return "give a finite number with a decimal point and without thousands separators"
        return "give a finite number, such as 25328 or 2.5e4"


def load_sheet(
    table: str | os.PathLike[str] | pd.DataFrame, name: str, wanted: tuple[str, ...]
) -> Sheet:
    """The table of a CSV file or of a data frame, which has the columns `wanted`.

    `name` is used in messages about a data frame. Raises `UserError` where the file cannot be
    read, two columns have one name, a column is missing, or there are no rows.
    """
    sheet = _of_frame(table, name) if isinstance(table, pd.DataFrame) else _of_file(table, wanted)
    check_columns(sheet.frame, sheet.name, wanted)
    if not len(sheet):
        raise UserError(f"{sheet.name}: has no rows; give at least one")
    return sheet


def _of_frame(table: pd.DataFrame, name: str) -> Sheet:
    labels = tuple(f"row {k + 1} (index {label})" for k, label in enumerate(table.index))
    frame = table.reset_index(drop=True)
    frame.columns = [c.strip() if isinstance(c, str) else c for c in frame.columns]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise UserError(f"{name}: two columns are called {twice[0]}; remove one or rename it")
    return Sheet(name, frame, labels)


def _of_file(table: str | os.PathLike[str], wanted: tuple[str, ...]) -> Sheet:
    file = read_table_file(table, wanted)
    labels = tuple(f"row {k + 1} (line {line})" for k, line in enumerate(file.lines))
    frame = pd.DataFrame(file.rows, columns=file.header, dtype=object)
    incomplete = f"{file.path}: the last line has no line end; check that the file is complete."
    notes = [] if file.ended or not file.rows else [incomplete]
    if file.gap:
        notes.append(
            f"{file.path}, line {file.gap}: an empty line before a row; check that no row is lost."
        )
    if file.quotes:
        row, column = min(file.quotes)
        notes.append(
            f"{file.path}, {labels[row]}: {file.header[column]} contains a quotation mark but is "
            "not quoted; check that its row is complete."
        )
    return Sheet(file.path, frame, labels, file.separator, file.quotes, tuple(notes))
