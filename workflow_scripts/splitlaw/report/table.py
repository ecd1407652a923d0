"""A table of a report."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a title; the first column names the row."""

    title: str
    """Content of the table."""
    head: Sequence[str]
    """Column headings, with units."""
    rows: Sequence[Sequence[str]]
    """Cells as text."""
    note: str = ""
    """Explanation printed below the table."""
