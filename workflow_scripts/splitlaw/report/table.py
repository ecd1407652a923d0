"""A table of a report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


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

    def without_empty_columns(self) -> "Table":
        """The table without the columns, after the first, in which no row has a value."""
        kept = [
            place
            for place in range(len(self.head))
            if place == 0 or any(row[place] not in EMPTY for row in self.rows)
        ]
        return replace(
            self,
            head=[self.head[place] for place in kept],
            rows=[[row[place] for place in kept] for row in self.rows],
        )


EMPTY = ("", "–")
"""Cells without a value."""
