"""Gain of the optimal split against the amount of domain text: the files of `scarcity`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.strategies import (
    HALF,
    JOINT,
    NO_SPLIT,
    OPTIMAL,
    PROSE,
    REPLAY_BASELINES,
    SCRATCH,
    TWO_STAGE_90,
)
from splitlaw.report import style
from splitlaw.report.number_format import count
from splitlaw.stages.scarcity import read_cells, regret_table

PANELS = (SCRATCH, HALF, JOINT, TWO_STAGE_90, NO_SPLIT, *REPLAY_BASELINES)
"""The baselines of the figure, in its order: the first five, or with a base the other five."""


def write_scarcity(cells: Sequence[str], seeds: Sequence[int], *, folder: Path, out: Path) -> str:
    """Write the losses to `out`, regret.csv and the figure beside it; return the regrets as text.

    `folder` has the plans and the final models of the cells.
    """
    losses = read_cells(cells, seeds, folder)
    regrets = regret_table(cells, losses, folder)
    style.set_theme()
    style.save(draw_gains(gains(losses)), out.parent, out.stem)
    write_result_table(out, losses)
    write_result_table(out.with_name("regret.csv"), regrets)
    return regrets.round(4).to_string(index=False)


def gains(losses: pd.DataFrame) -> pd.DataFrame:
    """Gain of the optimal split over every baseline, nats per token: one row per cell and seed.

    The columns are unique_tokens, size, seed, strategy (the baseline), loss (the measured gain)
    and predicted_loss (the gain that the law predicts).
    """
    keys = ["unique_tokens", "size", "seed", "strategy"]
    recipes = losses[losses["strategy"] != ""]
    grouped = recipes.groupby(keys, dropna=False)[["loss", "predicted_loss"]]
    means = grouped.agg(lambda values: values.mean(skipna=False)).reset_index()
    ours = means[means["strategy"] == OPTIMAL].drop(columns="strategy")
    both = means[means["strategy"] != OPTIMAL].merge(ours, on=keys[:-1], suffixes=("", "_ours"))
    for column in ("loss", "predicted_loss"):
        both[column] -= both.pop(f"{column}_ours")
    return both


def draw_gains(table: pd.DataFrame) -> Figure:
    """One panel per baseline: x the unique tokens, y the gain, one colour per size.

    Lines are means over seeds, points single seeds; dashed lines with open markers are predictions.
    """
    figure = Figure(figsize=(style.WIDTH, 6.0))
    axes = list(figure.subplots(3, 2, sharex=True).flat)
    amounts = sorted(table["unique_tokens"].dropna().unique())
    sizes = sorted(table["size"].unique())
    names = [name for name in PANELS if (table["strategy"] == name).any()]
    for axis, name in zip(axes, names, strict=False):
        _panel(axis, table[table["strategy"] == name], amounts, sizes)
        axis.set_title(f"over {PROSE[name]}", loc="left", fontsize=8)
        axis.set_xticks(range(len(amounts) + 1), [*map(count, amounts), "all"])
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    axes[len(names) - 2].tick_params(axis="x", labelbottom=True)
    figure.supxlabel("unique tokens of each domain", fontsize=9)
    figure.supylabel("gain of the optimal split (nats/token)", fontsize=9)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, amounts: Sequence[float], sizes: Sequence[str]) -> None:
    inks, marks = style.colours(sizes), style.markers(sizes)
    place = {amount: number for number, amount in enumerate(amounts)}
    for size, part in rows.groupby("size"):
        ink, mark = inks[str(size)], marks[str(size)]
        x = np.array([place.get(amount, len(amounts)) for amount in part["unique_tokens"]])
        part = part.assign(x=x)
        means = part.groupby("x")[["loss", "predicted_loss"]].mean()
        axis.plot(part["x"], part["loss"], ls="", marker=mark, ms=3.5, color=ink, alpha=0.6)
        axis.plot(means.index, means["loss"], color=ink, label=f"{size}, measured")
        predicted = means["predicted_loss"].dropna()
        if len(predicted):
            label = f"{size}, predicted"
            axis.plot(
                predicted, color=ink, ls="--", lw=1, marker=mark, mfc=style.PAPER, label=label
            )
    axis.axhline(0, color=style.INK, lw=0.8)
