"""Small HTML tables, the rich display of a result in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a row of headings; the first column is text, the others are numbers."""
    cells = ["".join(f"<th>{escape(name)}</th>" for name in head)]
    for first, *others in rows:
        numbers = "".join(f"<td>{escape(text)}</td>" for text in others)
        cells.append(f'<th style="text-align: left">{escape(first)}</th>{numbers}')
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def section(title: str, tables: Sequence[str], warnings: Sequence[str]) -> str:
    """A title, tables, and a list of warnings where there are any."""
    listed = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    notes = f"<p>Warnings</p><ul>{listed}</ul>" if listed else ""
    return f"<div><p><b>{escape(title)}</b></p>{''.join(tables)}{notes}</div>"
