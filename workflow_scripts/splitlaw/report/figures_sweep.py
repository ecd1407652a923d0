"""The figure of `compare`: gain of the optimal split against size and budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.report import style
from splitlaw.report.numerals import count
from splitlaw.report.recipes import PROSE

ASIDE = 0.025
"""Share of the axis by which sizes stand beside each other, so that their errors can be seen."""

PANELS = (
    *(
        (f"over {PROSE[name]}", "specialists", name, "all_domains", "loss")
        for name in ("half", "scratch", "two_stage_90", "no_split")
    ),
    ("tasks: routed over no split", "routed", "no_split", "all_tasks", "bits_per_byte"),
    ("tasks: ensemble over no split", "ensemble", "no_split", "all_tasks", "bits_per_byte"),
)
"""Title, and the rows of `gains.csv` that a panel shows: system, against, task, metric."""

UNITS = {"loss": "gain (nats/token)", "bits_per_byte": "gain (bits/byte)"}


def gains(table: pd.DataFrame) -> Figure:
    """A panel for each comparison: x the budget in tokens, y the gain, a colour for each size.

    `table` has the columns of `compare/gains.csv`. Bars are 90% intervals of the measured gain,
    dashed lines with open markers what the law predicted.
    """
    shown = [panel for panel in PANELS if not _rows(table, panel).empty]
    sizes = table.sort_values("params")["size"].unique().tolist()
    figure = Figure(figsize=(style.WIDTH, 1.75 * ((len(shown) + 1) // 2) + 0.5))
    axes = figure.subplots((len(shown) + 1) // 2, 2, sharex=True, squeeze=False).flat
    for axis, panel in zip(axes, shown, strict=False):
        _panel(axis, _rows(table, panel), sizes)
        axis.set_title(panel[0], loc="left", fontsize=8)
        axis.set_ylabel(UNITS[panel[-1]])
    for axis in list(axes)[len(shown) :]:
        axis.set_axis_off()
    figure.supxlabel("budget of a recipe (tokens)", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
    return figure


def _rows(table: pd.DataFrame, panel: tuple[str, ...]) -> pd.DataFrame:
    wanted = zip(("system", "against", "task", "metric"), panel[1:], strict=True)
    kept = np.logical_and.reduce([table[column] == value for column, value in wanted])
    return table[kept].sort_values("budget")


def _panel(axis: Axes, rows: pd.DataFrame, sizes: list[str]) -> None:
    inks, marks = style.colours(sizes), style.markers(sizes)
    budgets = np.unique(rows["budget"])
    spread = np.log(budgets[-1] / budgets[0]) if len(budgets) > 1 else 1.0
    for number, size in enumerate(sizes):
        part = rows[rows["size"] == size]
        if part.empty:
            continue
        name = f"{count(part['params'].iloc[0])} parameters"
        shift = np.exp(ASIDE * spread * (2 * number - len(sizes) + 1))
        if part["predicted"].notna().any():
            axis.plot(
                part["budget"] * shift,
                part["predicted"],
                color=inks[size],
                ls="--",
                lw=1,
                marker=marks[size],
                markersize=4.5,
                mfc=style.PAPER,
                label=f"{name}, predicted",
            )
        axis.errorbar(
            part["budget"] * shift,
            part["gain"],
            yerr=1.6449 * part["stderr"],
            ls="",
            marker=marks[size],
            markersize=4.5,
            color=inks[size],
            label=f"{name}, measured (90%)",
        )
    axis.axhline(0, color=style.INK, lw=0.8)
    axis.set_xscale("log")
    margin = np.exp(0.2 * spread)
    axis.set_xlim(budgets[0] / margin, budgets[-1] * margin)
    axis.set_xticks(budgets, [count(budget) for budget in budgets])
    axis.minorticks_off()
