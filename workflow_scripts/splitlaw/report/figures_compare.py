"""The figure of `compare`: gain of the optimal split against size and budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.experiment.strategies import HALF, JOINT, NO_SPLIT, PROSE, SCRATCH, TWO_STAGE_90
from splitlaw.report import style
from splitlaw.report.number_format import count
from splitlaw.stages.compare import SPECIALISTS
from splitlaw.zero_shot.systems import ENSEMBLE, ROUTED
from splitlaw.zero_shot.tables import ALL_DOMAINS, ALL_TASKS, BITS, LOSS

OFFSET = 0.025
"""Distance between sizes at one budget, as a share of the axis: error bars do not overlap."""

PANELS = (
    *(
        (f"over {PROSE[name]}", SPECIALISTS, name, ALL_DOMAINS, LOSS)
        for name in (HALF, SCRATCH, TWO_STAGE_90, NO_SPLIT, JOINT)
    ),
    ("joint training over no split", JOINT, NO_SPLIT, ALL_DOMAINS, LOSS),
    ("tasks: routed over no split", ROUTED, NO_SPLIT, ALL_TASKS, BITS),
    ("tasks: ensemble over no split", ENSEMBLE, NO_SPLIT, ALL_TASKS, BITS),
)
"""Title, and the rows of `gains.csv` that a panel shows: system, against, task, metric."""

UNITS = {LOSS: "gain (nats/token)", BITS: "gain (bits/byte)"}


def gains(table: pd.DataFrame) -> Figure:
    """One panel per comparison: x the budget in tokens, y the gain, one colour per size.

    `table` has the columns of `compare/gains.csv`. Bars are 90% intervals of the measured gain;
    dashed lines with open markers are predictions of the law.
    """
    shown = [panel for panel in PANELS if not _rows(table, panel).empty]
    sizes = table.sort_values("params")["size"].unique().tolist()
    figure = Figure(figsize=(style.WIDTH, 1.75 * ((len(shown) + 1) // 2) + 0.5))
    axes = list(figure.subplots((len(shown) + 1) // 2, 2, sharex=True, squeeze=False).flat)
    for axis, panel in zip(axes, shown, strict=False):
        _panel(axis, _rows(table, panel), sizes)
        axis.set_title(panel[0], loc="left", fontsize=8)
        axis.set_ylabel(UNITS[panel[-1]])
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
        axes[max(len(shown) - 2, 0)].tick_params(axis="x", labelbottom=True)
    figure.supxlabel("budget of a recipe (tokens)", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
    return figure


def _rows(table: pd.DataFrame, panel: tuple[str, ...]) -> pd.DataFrame:
    wanted = zip(("system", "against", "task", "metric"), panel[1:], strict=True)
    kept = np.logical_and.reduce([table[column] == value for column, value in wanted])
    return table[kept].sort_values("budget")


def _size_gains(axis: Axes, rows: pd.DataFrame, x: pd.Series, look: dict[str, Any]) -> None:
    """The predicted and the measured gains of one size."""
    name = f"{count(rows['params'].iloc[0])} parameters"
    if rows["predicted"].notna().any():
        line: dict[str, Any] = {"ls": "--", "lw": 1, "mfc": style.PAPER}
        axis.plot(x, rows["predicted"], **line, **look, label=f"{name}, predicted")
    reach = [rows["gain"] - rows["low"], rows["high"] - rows["gain"]]
    axis.errorbar(x, rows["gain"], reach, ls="", **look, label=f"{name}, measured (90%)")


def _panel(axis: Axes, rows: pd.DataFrame, sizes: list[str]) -> None:
    inks, marks = style.colours(sizes), style.markers(sizes)
    budgets = np.unique(rows["budget"])
    spread = np.log(budgets[-1] / budgets[0]) if len(budgets) > 1 else 1.0
    for number, size in enumerate(sizes):
        part = rows[rows["size"] == size]
        if part.empty:
            continue
        shift = np.exp(OFFSET * spread * (2 * number - len(sizes) + 1))
        look = {"color": inks[size], "marker": marks[size], "markersize": 4.5}
        _size_gains(axis, part, part["budget"] * shift, look)
    axis.axhline(0, color=style.INK, lw=0.8)
    axis.set_xscale("log")
    margin = np.exp(0.2 * spread)
    axis.set_xlim(budgets[0] / margin, budgets[-1] * margin)
    axis.set_xticks(budgets, [count(budget) for budget in budgets])
    axis.minorticks_off()
