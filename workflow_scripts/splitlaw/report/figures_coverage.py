"""The coverage of predictive intervals: the share of measured losses inside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm

from splitlaw.experiment.columns import HOLDOUT
from splitlaw.laws import FitResult
from splitlaw.report import style
from splitlaw.report.inputs import Inputs, final_rows

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Nominal levels of the intervals."""
WIDTH = 0.4
"""Width of a bar; the levels are one apart."""

Array = npt.NDArray[np.float64]


def positions(fit: FitResult, rows: pd.DataFrame) -> Array:
    """Quantile of each measured loss in the predictive distribution of a new run, `[n]`.

    The distribution is that of the draws, each with the noise of a new run. A central interval of
    level p contains a loss whose quantile is at most p / 2 from one half.
    """
    pretrain, specialize = (
        rows[name].to_numpy(dtype=float) for name in ("pretrain_tokens", "specialize_tokens")
    )
    drawn = fit.drawn_losses(
        rows["params"].to_numpy(dtype=float),
        pretrain,
        specialize,
        fit.domain_numbers(rows["domain"]),
        unique_pretrain=_unique(rows, "unique_pretrain_tokens"),
        unique_specialize=_unique(rows, "unique_specialize_tokens"),
    )
    off = np.log(rows["loss"].to_numpy(dtype=float)) - np.log(drawn)
    noise = np.maximum(fit.noise_sd(pretrain, specialize), np.finfo(float).tiny)
    return np.asarray(norm.cdf(off / noise).mean(axis=0), dtype=float)


def _unique(rows: pd.DataFrame, column: str) -> Array | None:
    return rows[column].to_numpy(dtype=float) if column in rows else None


def shares_inside(quantiles: Array) -> Array:
    """Share of the losses inside the central interval of each of `LEVELS`."""
    return np.array([(np.abs(quantiles - 0.5) <= level / 2).mean() for level in LEVELS])


def coverage(inputs: Inputs) -> Figure | None:
    """Share of the held-out losses and of the final models' inside intervals, by nominal level."""
    fit = inputs.fit
    if fit is None or not fit.n_draws:
        return None
    parts = [(kind, rows) for kind, rows in _parts(inputs) if len(rows)]
    if not parts:
        return None
    figure = Figure(figsize=(style.WIDTH, 3.4))
    axis = figure.subplots()
    colours = style.colours([kind for kind, _ in parts])
    for number, (kind, rows) in enumerate(parts):
        shares = shares_inside(positions(fit, rows))
        places = np.arange(len(LEVELS)) + WIDTH * (number - (len(parts) - 1) / 2)
        axis.bar(
            places,
            shares,
            width=WIDTH,
            color=colours[kind],
            edgecolor=style.PAPER,
            label=f"{kind}: {len(rows)} losses, {_trunks(rows)}",
        )
        for place, share in zip(places, shares, strict=True):
            # At the foot of the bar, where no line of a nominal level is.
            axis.text(place, 0.03, f"{share:.0%}", ha="center", fontsize=8, color="#111111")
    for place, level in enumerate(LEVELS):
        label = "nominal" if place == 0 else None
        axis.plot([place - 0.48, place + 0.48], [level] * 2, color=style.INK, lw=1.6, label=label)
    axis.set(ylim=(0, 1.08), xlabel="predictive interval", ylabel="losses inside the interval")
    axis.set_xticks(range(len(LEVELS)), [f"{level:.0%}" for level in LEVELS])
    axis.grid(False, axis="x")
    style.percent_axis(axis.yaxis, 0)
    figure.legend(loc="outside upper left")
    return figure


def _parts(inputs: Inputs) -> list[tuple[str, pd.DataFrame]]:
    """Losses that were not used in the fit, by kind."""
    parts = [("final models", final_rows(inputs))]
    rows = inputs.rows
    if rows is not None:
        rows = rows[(rows["split"] == HOLDOUT) & np.isfinite(rows["predicted"])]
        parts.insert(0, ("held out", rows[rows["domain"].isin(inputs.domains)]))
    return parts


def _trunks(rows: pd.DataFrame) -> str:
    """The number of general runs from which the runs of the losses continue."""
    split = rows[rows["pretrain_tokens"] > 0]
    keys = [name for name in ("size", "seed") if name in split]
    number = len(split[keys].drop_duplicates()) if keys else 0
    return f"{number} trunk{'' if number == 1 else 's'}"
