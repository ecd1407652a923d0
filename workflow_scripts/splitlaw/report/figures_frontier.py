"""The figure of `frontier`: measured loss against the general fraction, beside the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from splitlaw.report import style
from splitlaw.report.figures_plan import OURS, THEIRS

if TYPE_CHECKING:
    from splitlaw.stages.frontier import Regret, Smooth


def measured(means: pd.DataFrame, predicted: pd.DataFrame, curve: Smooth, found: Regret) -> Figure:
    """Dots a seed, the smooth curve through them, the law's curve with its interval.

    `means` has `seed`, `fraction_general`, `loss`; `predicted` the columns of the planner's
    frontier. Vertical lines stand at the plan and at the minimum of the smooth curve.
    """
    figure = Figure(figsize=(style.WIDTH, 3.6))
    axis = figure.subplots()
    x = predicted["fraction_general"]
    axis.fill_between(
        x, predicted["loss_low"], predicted["loss_high"], color=THEIRS, alpha=0.2, lw=0
    )
    axis.plot(x, predicted["loss"], color=THEIRS, lw=1.5, label="predicted (90% interval)")
    grid = np.linspace(curve.low, curve.high, 200)
    axis.plot(grid, curve(grid), color=style.INK, lw=1.5, label="smooth curve through them")
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
    low, high = found.best_interval
    axis.axvspan(low, high, color=style.GRID, alpha=0.5, lw=0)
    axis.axvline(found.best, color=style.INK, lw=0.8, ls=":", label="best measured (90%)")
    axis.axvline(found.planned, color=OURS, lw=1.2, ls="--", label="the plan")
    axis.set(xlabel="general tokens, share of all tokens", ylabel="mean domain loss (nats/token)")
    style.percent_axis(axis.xaxis, 0)
    figure.legend(loc="outside upper left", ncols=2)
    return figure
