"""The comparison of the ways to use the final models: the figure of `delivery` and its summary."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from splitlaw.report import style
from splitlaw.report.figures_delivery import delivery_points, draw_delivery


def write_figure(table: pd.DataFrame, out: Path) -> str:
    """Draw the table beside `out`, as SVG and PNG; return its means by system as text."""
    style.set_theme()
    style.save(draw_delivery(table), out.parent, out.stem)
    points = delivery_points(table).rename(columns={"domains": "mean domain loss"})
    return points.round(4).to_string()
