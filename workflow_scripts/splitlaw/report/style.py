"""Style of the figures: theme, colours, markers, axes in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from splitlaw.common.files import atomic_path
from splitlaw.report.number_format import count

INK = "#262626"
GRID = "#d9d9d9"
PAPER = "#ffffff"
"""Colours that the page replaces, so that figures follow its light and dark mode."""

OURS, THEIRS = "#de8f05", "#0173b2"
"""Orange and blue of seaborn's colour-blind palette, for the plan and for predictions."""

WIDTH = 4.7
"""Inches; on the screen of a phone, text of 9 points is still legible at this width."""

MANY = 500
"""Points of a kind above which they are rasterized within the SVG: as paths, those of the three
panels of residuals would take 0.4 MB or more."""

GRID_LEVELS = 8
"""Columns with more values are drawn as continuous."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#949494"
"""Colour of zero tokens."""
DPI = 160
"""Resolution of PNG files and of rasterized points: at `WIDTH`, figures are 752 pixels wide, the
width of a text column."""


def set_theme() -> None:
    """Set seaborn's theme for every figure of a report."""
    mpl.use("agg")
    sns.set_theme(
        context="paper",
        style="whitegrid",
        palette="colorblind",
        rc={
            "font.family": ["sans-serif"],
            "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.linewidth": 0.6,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.4,
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "splitlaw",
            "figure.constrained_layout.use": True,
        },
    )


def colours(names: Sequence[str]) -> dict[str, Any]:
    """A colour for each name, from a palette that is distinguishable with colour blindness."""
    palette = sns.color_palette("colorblind", 10)
    order = [0, 1, 2, 4, 5, 8, 3, 6, 9, 7]
    return {name: palette[order[i % len(order)]] for i, name in enumerate(names)}


def markers(names: Sequence[str]) -> dict[str, str]:
    """A marker for each name, so that series differ in more than colour."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}


class TokenScale:
    """Colours of token counts on a logarithmic scale; zero is grey."""

    def __init__(self, tokens: Sequence[float]) -> None:
        positive = [t for t in tokens if t > 0] or [1.0]
        self.low, self.high = min(positive), max(positive)
        if self.high == self.low:
            self.high = 10 * self.low
        self.norm = LogNorm(self.low, self.high)
        self.cmap = sns.color_palette("flare", as_cmap=True)

    def __call__(self, tokens: float) -> Any:
        """The colour of a number of tokens."""
        return self.cmap(self.norm(tokens)) if tokens > 0 else GREY


class ZeroSlot:
    """A logarithmic axis of tokens or parameters with an extra position for zero."""

    def __init__(self, values: Sequence[float] | pd.Series) -> None:
        numbers = np.unique(np.asarray(values, dtype=float))
        positive = numbers[numbers > 0]
        self.has_zero = bool((numbers == 0).any())
        self.low = float(positive.min()) if positive.size else 1.0
        self.high = float(positive.max()) if positive.size else 1.0
        self.step = max((self.high / self.low) ** 0.35, 1.35)
        self.levels = positive
        self.gap = float((positive[1:] / positive[:-1]).min()) if positive.size > 1 else self.step

    @property
    def slot(self) -> float:
        """Position of zero."""
        return self.low / self.step

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Positions of values on the axis."""
        numbers = np.asarray(values, dtype=float)
        return np.where(numbers > 0, numbers, self.slot)

    def set_axis(self, axis: Axes, *, most: int = 5) -> None:
        """Set scale, limits and ticks of the x axis."""
        axis.set_xscale("log")
        left = self.slot if self.has_zero else self.low
        margin = self.step**0.4
        axis.set_xlim(left / margin, self.high * margin)
        ticks = self.levels
        if len(ticks) > most:
            ticks = np.geomspace(self.low, self.high, most)
        labels = [count(tick) for tick in ticks]
        if self.has_zero:
            ticks, labels = np.append(self.slot, ticks), ["0", *labels]
            axis.axvline(self.slot * np.sqrt(self.step), color=INK, lw=0.5, ls=(0, (1, 3)))
        axis.set_xticks(ticks, labels)
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", which="minor", length=0)
        axis.grid(False, which="minor")


def tokens_axis(axis: Axes) -> None:
    """Abbreviate the labels of a linear x axis of tokens."""
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def percent_axis(axis: Any, decimals: int | None = None) -> None:
    """Label an axis of shares in percent."""
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=decimals))


def log_tokens_axis(axis: Axes) -> None:
    """Make the x axis logarithmic and abbreviate its labels of tokens."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG and PNG; the same figure gives identical bytes."""
    for suffix in ("svg", "png"):
        about: dict[str, Any] = {"metadata": {"Date": None}} if suffix == "svg" else {}
        with atomic_path(folder / f"{name}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, dpi=DPI, facecolor=PAPER, **about)
