"""Style of the figures: theme, colours, markers, axes in tokens."""

from __future__ import annotations

import warnings
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
from splitlaw.experiment.strategies import (
    BASELINES,
    NO_SPLIT,
    OPTIMAL,
    REPLAY_BASELINES,
)
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
            # The name of a domain may contain dollar signs.
            "text.parse_math": False,
            "svg.hashsalt": "splitlaw",
            "figure.constrained_layout.use": True,
        },
    )


COLOURS = (0, 1, 2, 4, 5, 9, 3, 6, 8, 7)
"""Order in which the colours of seaborn's colour-blind palette are used: any two of the first six
differ by at least 12 in CIELAB for every kind of colour blindness, and each has a contrast of at
least 2.3 with white."""


def colours(names: Sequence[str]) -> dict[str, Any]:
    """A colour for each name, from a palette that is distinguishable with colour blindness."""
    palette = sns.color_palette("colorblind", 10)
    return {name: palette[COLOURS[i % len(COLOURS)]] for i, name in enumerate(names)}


def recipe_colours() -> dict[str, Any]:
    """The colour of each strategy in every figure: the optimal split is orange."""
    palette = sns.color_palette("colorblind", 10)
    found: dict[str, Any] = {OPTIMAL: OURS}
    others = [palette[place] for place in COLOURS if place != 1]
    for family in (BASELINES, REPLAY_BASELINES):
        found |= dict(zip(family, others, strict=False))
    return {**found, NO_SPLIT: INK}


MOST_LETTERS = 24
"""Length beyond which the name of a domain is cut in a figure."""


def label(name: str) -> str:
    """The name of a domain in a figure, on one line.

    Matplotlib leaves names that begin with an underscore out of legends.
    """
    text = " ".join(name.split())
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS - 1].rstrip()}…"
    return f" {text}" if text.startswith("_") else text


LETTER, HANDLE = 0.068, 0.46
"""Inches that a letter of a legend takes, and its handle with the space between columns."""


def legend_columns(names: Sequence[str], most: int = 6) -> int:
    """The largest number of columns, up to `most`, with which a legend of names fits a figure."""
    for columns in range(min(most, len(names)), 1, -1):
        parts = np.array_split([len(name) for name in names], columns)  # as Matplotlib does
        width = sum(HANDLE + LETTER * part.max() for part in parts)
        if width <= WIDTH:
            return columns
    return 1


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
        ticks = _apart(ticks, np.log(self.high / left * margin**2) * LEAST_GAP / most)
        labels = [count(tick) for tick in ticks]
        if self.has_zero:
            ticks, labels = np.append(self.slot, ticks), ["0", *labels]
            axis.axvline(self.slot * np.sqrt(self.step), color=INK, lw=0.5, ls=(0, (1, 3)))
        axis.set_xticks(ticks, labels)
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", which="minor", length=0)
        axis.grid(False, which="minor")


LEAST_GAP = 0.72
"""Distance of two labels of which an axis has room for `most`, times `most`, as a share of it."""


def _apart(ticks: npt.NDArray[np.float64], gap: float) -> npt.NDArray[np.float64]:
    """The ticks whose logarithms differ by at least `gap`, the last among them."""
    kept: list[float] = []
    for tick in ticks[::-1]:
        if not kept or np.log(kept[-1] / tick) >= gap:
            kept.append(float(tick))
    return np.array(kept[::-1])


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
        with atomic_path(folder / f"{name}.{suffix}") as temporary, warnings.catch_warnings():
            # Names of domains are text in the SVG, where the browser has further fonts.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(temporary, format=suffix, dpi=DPI, facecolor=PAPER, **about)
