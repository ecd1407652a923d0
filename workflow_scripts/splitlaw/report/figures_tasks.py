"""The figure of the tasks against held-out loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from splitlaw.experiment.strategies import NAMES
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.stages.loss_to_task import at_chance, line_of
from splitlaw.zero_shot.tables import ACCURACY, ALL_TASKS, BITS

POINTS = 50
"""Losses at which an interval is drawn, enough for a smooth curve."""


def loss_to_task(inputs: Inputs) -> Figure | None:
    """Mean bits per byte and mean accuracy of the tasks against the held-out loss of a system."""
    scores = inputs.scores
    scores = scores[scores["task"] == ALL_TASKS]
    if scores.empty:
        return None
    figure = Figure(figsize=(style.WIDTH, 5.6))
    top, bottom = figure.subplots(2, 1, sharex=True)
    _panel(top, scores[scores["metric"] == BITS], "bits per byte of the answers")
    accuracies = scores[scores["metric"] == ACCURACY]
    _panel(bottom, accuracies, "accuracy")
    if len(accuracies) and accuracies["chance"].notna().all():
        bottom.axhline(accuracies["chance"].mean(), color=style.INK, lw=0.8, ls=":")
        bottom.annotate(
            "chance",
            (1, accuracies["chance"].mean()),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    bottom.set(xlabel="held-out loss, domains weighted as in the tasks (nats/token)")
    figure.legend(handles=_handles(scores), loc="outside upper left", ncols=2)
    return figure


def _handles(scores: pd.DataFrame) -> list[Line2D]:
    """A colour for each strategy and a marker for each size, and the line."""
    inks, marks = _looks(scores)
    found = [
        Line2D([], [], ls="", marker="o", color=ink, label=NAMES[strategy])
        for strategy, ink in inks.items()
    ]
    if len(marks) > 1:
        found += [
            Line2D([], [], ls="", marker=mark, color=style.INK, mfc="none", label=size)
            for size, mark in marks.items()
        ]
    line = Line2D([], [], color=style.THEIRS, label="line, with the 90% interval of a model")
    return [*found, line]


def _looks(scores: pd.DataFrame) -> tuple[dict[str, Any], dict[str, str]]:
    """Colours of the strategies and markers of the sizes."""
    strategies = [name for name in NAMES if (scores["strategy"] == name).any()]
    inks = style.recipe_colours()
    used = {name: inks[name] for name in strategies}
    return used, style.markers(list(dict.fromkeys(scores["size"])))


def _panel(axis: Axes, rows: pd.DataFrame, label: str) -> None:
    axis.set(ylabel=label)
    if rows.empty:
        return
    line = None if rows["metric"].iloc[0] == ACCURACY and at_chance(rows) else line_of(rows)
    if line is not None:
        losses = np.linspace(rows["loss"].min(), rows["loss"].max(), POINTS)
        values, low, high = line.predict(losses)
        axis.fill_between(losses, low, high, color=style.THEIRS, alpha=0.2, lw=0)
        axis.plot(losses, values, color=style.THEIRS)
    inks, marks = _looks(rows)
    for (strategy, size), part in rows.groupby(["strategy", "size"], sort=False):
        axis.errorbar(
            part["loss"],
            part["value"],
            yerr=part["stderr"],
            ls="",
            lw=0.8,
            marker=marks[str(size)],
            markersize=5,
            color=inks[str(strategy)],
        )
