"""Figure of the ways to use the final models: loss against active parameters."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from splitlaw.report import style
from splitlaw.report.inputs import Inputs

MIXED = "mixed"
"""Value of `domain` of the documents of two domains."""


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
        axis.plot(x, [row.domains], ms=6, label=name.replace("_", " "), **shape)
    style.log_tokens_axis(axis)
    axis.set(xlabel="active parameters", ylabel="loss (nats/token)")
    figure.legend(loc="outside upper left", ncols=3)
    return figure
