"""Figure of the ways to use the final models: loss against active parameters."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from splitlaw.experiment.strategies import JOINT, NAMES, NO_SPLIT
from splitlaw.report import style
from splitlaw.report.inputs import Inputs

MIXED = "mixed"
"""Value of `domain` of the documents of two domains."""


SYSTEMS = {
    JOINT: NAMES[JOINT],
    NO_SPLIT: NAMES[NO_SPLIT],
    "average": "Averaged weights",
    "average_uniform": "Averaged evenly",
    "moe": "Mixture of experts",
}


def system_name(system: str) -> str:
    """The name of a way to use the final models in figures and tables."""
    return SYSTEMS.get(system, system.replace("_", " ").capitalize())


def delivery_points(table: pd.DataFrame) -> pd.DataFrame:
    """Columns `params_active`, `domains` and `mixed` (mean losses) by system, in table order."""
    measured = table[table["loss"].notna()]
    own = measured[measured["domain"] != MIXED].groupby("system", sort=False)
    mixed = measured[measured["domain"] == MIXED].set_index("system")["loss"]
    points = own.agg(params_active=("params_active", "first"), domains=("loss", "mean"))
    return points.assign(mixed=mixed)


def delivery(inputs: Inputs) -> Figure | None:
    """Loss of every system on text of one domain and of two, against its active parameters."""
    if inputs.delivery is None:
        return None
    return draw_delivery(inputs.delivery)


def draw_delivery(table: pd.DataFrame) -> Figure:
    """The figure of a table with the columns of `delivery/comparison.csv`."""
    points = delivery_points(table)
    figure = Figure(figsize=(style.WIDTH, 3.4))
    axis = figure.subplots()
    names = [str(system) for system in points.index]
    marks, colours = style.markers(names), style.colours(names)
    for name, row in zip(names, points.itertuples(), strict=True):
        x, shape = [row.params_active], {"marker": marks[name], "color": colours[name], "ls": ""}
        axis.plot(x, [row.mixed], mfc="none", ms=6, **shape)
        axis.plot(x, [row.domains], ms=6, label=system_name(name), **shape)
    style.log_tokens_axis(axis)
    axis.set(xlabel="active parameters", ylabel="loss (nats/token)")
    kinds = [
        Line2D([], [], ls="", marker="o", color=style.INK, mfc=face, label=label)
        for face, label in ((style.INK, "mean over the domains"), ("none", "two domains mixed"))
    ]
    handles = [*axis.get_legend_handles_labels()[0], *kinds]
    columns = style.legend_columns([str(handle.get_label()) for handle in handles], most=3)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)
    return figure
