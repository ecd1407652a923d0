"""The measured frontier beside the predicted one: the files of `frontier`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from splitlaw.common.files import read_json
from splitlaw.common.result_table import write_result_table
from splitlaw.laws import FitResult
from splitlaw.report import style
from splitlaw.report.figures_frontier import FRACTIONS, frontier_table
from splitlaw.stages.frontier import general_share
from splitlaw.stages.gather import read_tables
from splitlaw.stages.regret import Curve, Regret, estimate_regret, mean_losses


def write_frontier(tables: Sequence[Path], *, plan_file: Path, fit: FitResult, out: Path) -> str:
    """Write the rows of all seeds to `out` and the figure beside it; return the regret as text."""
    table, plan = read_tables(tables), read_json(plan_file)
    curve, regret = estimate_regret(table, general_share(plan))
    predicted = frontier_table(fit, plan, np.linspace(curve.low, curve.high, FRACTIONS))
    predicted = predicted[predicted["law"] == "mean"]
    style.set_theme()
    means = mean_losses(table)
    figure = draw_frontier(means, predicted, curve, regret)
    if "general_loss" in means:
        add_general_losses(figure, means, plan)
    style.save(figure, out.parent, out.stem)
    write_result_table(out, table)
    return regret.summary()


def draw_frontier(
    means: pd.DataFrame, predicted: pd.DataFrame, curve: Curve, regret: Regret
) -> Figure:
    """Draw the measured losses, a smooth curve through them, and the prediction with its interval.

    `means` has the columns `seed`, `fraction_general`, `loss`; `predicted` has those of the
    planner's frontier. Vertical lines mark the plan and the minimum of the smooth curve.
    """
    figure = Figure(figsize=(style.WIDTH, 3.6))
    axis = figure.subplots()
    x = predicted["fraction_general"]
    axis.fill_between(
        x, predicted["loss_low"], predicted["loss_high"], color=style.THEIRS, alpha=0.2, lw=0
    )
    axis.plot(x, predicted["loss"], color=style.THEIRS, lw=1.5, label="predicted (90% interval)")
    grid = np.linspace(curve.low, curve.high, 200)
    axis.plot(grid, curve(grid), color=style.INK, lw=1.5, label="curve fitted to the losses")
    marks = style.markers(sorted(map(str, means["seed"].unique())))
    for seed, part in means.groupby("seed"):
        axis.plot(
            part["fraction_general"],
            part["loss"],
            ls="",
            marker=marks[str(seed)],
            ms=4.5,
            mfc="none",
            color=style.INK,
            label=f"measured, seed {seed}",
        )
    low, high = regret.best_interval
    axis.axvspan(low, high, color=style.GRID, alpha=0.5, lw=0)
    axis.axvline(regret.best, color=style.INK, lw=0.8, ls=":", label="best measured (90% interval)")
    axis.axvline(regret.planned, color=style.OURS, lw=1.2, ls="--", label="plan")
    axis.set(xlabel="general tokens, share of all tokens", ylabel="mean domain loss (nats/token)")
    style.percent_axis(axis.xaxis, 0)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def add_general_losses(figure: Figure, means: pd.DataFrame, plan: Mapping[str, Any]) -> None:
    """Draw the mean loss of the specialists on general text below their domain loss.

    A horizontal line marks the limit of the plan, if it has one.
    """
    (above,) = figure.axes
    grid = GridSpec(2, 1, figure=figure, height_ratios=[3, 2])
    above.set_subplotspec(grid[0])
    axis = figure.add_subplot(grid[1], sharex=above)
    figure.set_figheight(5.4)
    marks = style.markers(sorted(map(str, means["seed"].unique())))
    for seed, part in means.groupby("seed"):
        x, y = part["fraction_general"], part["general_loss"]
        axis.plot(x, y, ls="", marker=marks[str(seed)], ms=4.5, mfc="none", color=style.INK)
    rise = plan.get("general_loss_rise") or {}
    if rise.get("limit") is not None:
        axis.axhline((1 + rise["limit"]) * rise["reference"], color=style.OURS, lw=1, ls="--")
    axis.set(xlabel=above.get_xlabel(), ylabel="general loss (nats/token)")
    above.set_xlabel("")
