"""Figures of the law: losses of the grid and the fit, predicted against measured, residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from splitlaw.experiment.columns import HOLDOUT
from splitlaw.laws import FitResult
from splitlaw.report import style
from splitlaw.report.inputs import PREDICTED, Inputs, final_rows
from splitlaw.report.number_format import count

MOST_SIZES, MOST_DOMAINS, MOST_LINES = 5, 8, 10
"""Limits of the panels and of the lines in each: more are not legible at the width of the page."""
BAR_SPACE = 0.1
"""Inches between the colour bar and the panels."""
CURVE_POINTS = 25
"""Points of a fitted line, enough to appear smooth in a panel."""


def spread(values: list, most: int) -> list:
    """Select at most `most` of the values, including the first and the last."""
    if len(values) <= most:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]


def grid_fit(inputs: Inputs) -> Figure | None:
    """Loss against D' for every D: one row of panels per domain, one column per size."""
    rows = inputs.rows
    if rows is None:
        return None
    sizes = spread(list(dict.fromkeys(rows["size"])), MOST_SIZES)
    domains = inputs.domains[:MOST_DOMAINS]
    rows = rows[rows["size"].isin(sizes) & rows["domain"].isin(domains)]
    scale = style.TokenScale(rows["pretrain_tokens"].tolist())
    slot = style.ZeroSlot(rows["specialize_tokens"])
    figure = Figure(figsize=(max(1.75 * len(sizes) + 0.7, style.WIDTH), 1.7 * len(domains) + 1.1))
    axes = figure.subplots(len(domains), len(sizes), sharex=True, sharey="row", squeeze=False)
    for i, domain in enumerate(domains):
        for j, size in enumerate(sizes):
            cell = rows[(rows["domain"] == domain) & (rows["size"] == size)]
            _cell(axes[i, j], cell, inputs.fit, scale, slot)
            if i == 0:
                axes[i, j].set_title(_size_title(rows[rows["size"] == size]))
        axes[i, 0].set_ylabel(f"{style.label(domain)}\nloss (nats/token)")
        axes[i, 0].yaxis.set_major_locator(MaxNLocator(4))
        axes[i, 0].set_ylim(*_loss_limits(rows[rows["domain"] == domain]))
    for axis in axes.flat:
        slot.set_axis(axis, most=3)
    figure.supxlabel("domain tokens D′", fontsize=9)
    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.cmap),
        ax=axes,
        location="top",
        shrink=0.6,
        aspect=40,
        pad=BAR_SPACE / figure.get_figheight(),
    )
    _label_colour_bar(bar, scale)
    return figure


def _loss_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits that show all branches; the high losses of short unsplit runs may be outside."""
    branched = rows[rows["specialize_tokens"] > 0]
    shown = branched if len(branched) else rows
    low, high = rows["loss"].min(), shown["loss"].max()
    room = 0.08 * (high - low) + 1e-3
    return low - room, high + 2 * room


def _size_title(rows: pd.DataFrame) -> str:
    size, params = str(rows["size"].iloc[0]), count(rows["params"].iloc[0])
    name = f"N = {params}" if size.replace(",", "").isdigit() else f"{size}, N = {params}"
    return f"{name}\nheld out" if (rows["split"] == HOLDOUT).all() else name


def _label_colour_bar(bar: Any, scale: style.TokenScale) -> None:
    """Label the colour bar of D."""
    ticks = np.geomspace(scale.low, scale.high, 4)
    bar.set_ticks(ticks, labels=[count(tick) for tick in ticks])
    bar.minorticks_off()
    bar.set_label("general tokens D (grey: none)")
    bar.outline.set_visible(False)


def _cell(
    axis: Axes,
    rows: pd.DataFrame,
    fit: FitResult | None,
    scale: style.TokenScale,
    slot: style.ZeroSlot,
) -> None:
    if rows.empty:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center")
        return
    held_out = (rows["split"] == HOLDOUT).all()
    axis.scatter(
        slot.place(rows["specialize_tokens"]),
        rows["loss"],
        c=[scale(d) for d in rows["pretrain_tokens"]],
        s=16,
        marker="D" if held_out else "o",
        edgecolors=style.PAPER,
        linewidths=0.4,
        zorder=3,
        rasterized=len(rows) > style.MANY // 10,
    )
    if fit is None:
        return
    branched = rows[rows["specialize_tokens"] > 0]
    levels = [d for d, n in branched["pretrain_tokens"].value_counts().items() if n > 1]
    for level in spread(sorted(levels), MOST_LINES):
        _curve(axis, branched[branched["pretrain_tokens"] == level], fit, scale(level))
    unsplit = rows[rows["specialize_tokens"] == 0]
    axis.scatter(
        slot.place(unsplit["specialize_tokens"]),
        unsplit["predicted"],
        c=[scale(d) for d in unsplit["pretrain_tokens"]],
        s=60,
        marker="_",
        linewidths=1.2,
        zorder=2,
    )


def _curve(axis: Axes, rows: pd.DataFrame, fit: FitResult, colour: object) -> None:
    special, first = rows["specialize_tokens"], rows.iloc[0]
    path = np.geomspace(special.min(), special.max(), CURVE_POINTS)
    domain = fit.domains.index(first["domain"])
    losses = fit.losses(first["params"], first["pretrain_tokens"], path, domain)
    axis.plot(path, losses, color=colour, lw=1.2)


def predicted_measured(inputs: Inputs) -> Figure | None:
    """Predicted against measured loss, and relative errors with their predictive intervals."""
    rows = inputs.rows
    if rows is None or inputs.fit is None:
        return None
    rows = rows[np.isfinite(rows["predicted"])]
    figure = Figure(figsize=(style.WIDTH, 6.8))
    axis, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    rows = rows[rows["domain"].isin(inputs.domains)]
    palette = style.colours(inputs.domains)
    parts = [("fitted", rows[rows["split"] != HOLDOUT]), ("held out", _held_out(rows))]
    parts.append(("final models", final_rows(inputs)))
    handles = [_handle(palette[d], "o", True, style.label(d)) for d in inputs.domains[:10]]
    ends = []
    for kind, part in parts:
        if part.empty:
            continue
        _scatter(axis, part, kind, palette)
        if kind != "fitted":
            _intervals(below, part, kind, palette)
        ends += [part[["loss", "predicted"]].min().min(), part[["loss", "predicted"]].max().max()]
        error = (part["predicted"] / part["loss"] - 1).abs().mean()
        label = f"{kind}: mean error {100 * error:.2f}%, n = {len(part)}"
        handles.append(_handle(style.INK, *KINDS[kind], label))
    line = np.array([min(ends), max(ends)])
    axis.fill_between(line, 0.99 * line, 1.01 * line, color=style.GRID, alpha=0.7, lw=0)
    axis.plot(line, line, color=style.INK, lw=0.8)
    handles.append(Line2D([], [], color=style.GRID, lw=6, solid_capstyle="butt", label="within 1%"))
    if inputs.fit.n_draws:
        handles.append(Line2D([], [], color=style.INK, lw=0.9, label="90% predictive interval"))
    axis.set(ylabel="predicted loss (nats/token)")
    below.axhline(0, color=style.INK, lw=0.8)
    below.set(xlabel="measured loss (nats/token)", ylabel="relative error")
    style.percent_axis(below.yaxis)
    figure.legend(handles=handles, loc="outside upper left", ncols=2, handletextpad=0.4)
    return figure


KINDS = {"fitted": ("o", True), "held out": ("D", False), "final models": ("X", True)}
"""Marker of each kind of row, and whether it is filled."""


def _held_out(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["split"] == HOLDOUT]


def _intervals(axis: Axes, rows: pd.DataFrame, kind: str, palette: dict) -> None:
    """Relative errors with their predictive intervals, which contain 0 where they hold the loss."""
    errors = {name: rows[name] / rows["loss"] - 1 for name in PREDICTED}
    inks = [palette[domain] for domain in rows["domain"]]
    lines = axis.vlines(rows["loss"], errors["low"], errors["high"], colors=inks, lw=0.7, alpha=0.6)
    lines.set_rasterized(len(rows) > style.MANY)
    _scatter(axis, rows.assign(predicted=errors["predicted"]), kind, palette)


def _scatter(axis: Axes, rows: pd.DataFrame, kind: str, palette: dict) -> None:
    marker, filled = KINDS[kind]
    inks = [palette[domain] for domain in rows["domain"]]
    axis.scatter(
        rows["loss"],
        rows["predicted"],
        marker=marker,
        s=44 if kind == "final models" else 22,
        facecolors=inks if filled else "none",
        edgecolors=style.PAPER if filled else inks,
        linewidths=0.5 if filled else 1.1,
        zorder=2 if kind == "fitted" else 3,
        rasterized=len(rows) > style.MANY,
    )


def _handle(colour: Any, marker: str, filled: bool, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        ls="",
        marker=marker,
        markersize=5.5,
        markerfacecolor=colour if filled else "none",
        markeredgecolor=colour,
        label=label,
    )


AXES = {
    "params": "parameters N",
    "pretrain_tokens": "general tokens D",
    "specialize_tokens": "domain tokens D′",
}


def residuals(inputs: Inputs) -> Figure | None:
    """Relative errors of the predictions against N, D and D', with the mean at each level."""
    rows = inputs.rows
    if rows is None or inputs.fit is None:
        return None
    rows = rows[np.isfinite(rows["predicted"])]
    rows = rows[rows["domain"].isin(inputs.domains)]
    rows = rows.assign(error=rows["predicted"] / rows["loss"] - 1)
    palette = style.colours(inputs.domains)
    figure = Figure(figsize=(style.WIDTH, 6.2))
    axes = figure.subplots(3, 1, sharey=True)
    for axis, (column, label) in zip(axes, AXES.items(), strict=True):
        _residual_panel(axis, rows, column, palette)
        axis.set(xlabel=label)
    figure.supylabel("relative error of the prediction", fontsize=9)
    handles = [_handle(palette[d], "o", True, style.label(d)) for d in list(palette)[:10]]
    if len(_held_out(rows)):
        handles.append(_handle(style.INK, "D", False, "held out"))
    handles.append(Line2D([], [], color=style.INK, lw=1.4, label="mean of fitted losses"))
    columns = style.legend_columns([str(handle.get_label()) for handle in handles], most=4)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handletextpad=0.4)
    return figure


def _residual_panel(axis: Axes, rows: pd.DataFrame, column: str, palette: dict) -> None:
    slot = style.ZeroSlot(rows[column])
    domains = list(palette)
    # At each level of a grid, the domains are drawn side by side so that none hides another.
    width = min(slot.gap**0.22, slot.step**0.3) if len(slot.levels) <= style.GRID_LEVELS else 1.0
    for kind, part in (("fitted", rows[rows["split"] != HOLDOUT]), ("held out", _held_out(rows))):
        if part.empty:
            continue
        aside = np.array([domains.index(d) for d in part["domain"]]) / max(len(domains) - 1, 1)
        shifted = slot.place(part[column]) * width ** (2 * aside - 1)
        moved = part.assign(loss=shifted, predicted=part["error"])
        _scatter(axis, moved, kind, palette)
    fitted = rows[rows["split"] != HOLDOUT]
    means = fitted.groupby(_bins(fitted[column]))["error"].mean()
    axis.plot(slot.place(means.index), means, color=style.INK, lw=1.2, zorder=4)
    axis.axhline(0, color=style.INK, lw=0.6)
    slot.set_axis(axis, most=7)
    style.percent_axis(axis.yaxis)


def _bins(values: pd.Series, most: int = 12) -> pd.Series:
    """The level of each value, or the median of its bin where there are many levels."""
    if values.nunique() <= most:
        return values
    middle = values.groupby(pd.qcut(values, most, duplicates="drop"), observed=True)
    return middle.transform("median")
