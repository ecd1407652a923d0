"""Figures of the plan, and of the final models that test it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from splitlaw.common.statistics import NORMAL_90
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count
from splitlaw.stages.recipe_results import Bounds, RecipeResult

REPLAYED = "replayed"
"""Name of the general tokens in the branches."""


def comparison(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """Predicted and measured mean losses of the recipes, and gains of the plan over each."""
    if len(recipes) < 2:
        return None
    figure = Figure(figsize=(style.WIDTH, 0.62 * len(recipes) + 2.6))
    top, bottom = figure.subplots(2, 1, height_ratios=[len(recipes), len(recipes) - 1])
    _rows(
        top,
        recipes,
        [(r.predicted, _interval(r.measured, NORMAL_90 * (r.stderr or 0.0))) for r in recipes],
    )
    top.set(xlabel="mean domain loss (nats/token)")
    others = recipes[1:]
    _rows(bottom, others, [(r.predicted_gain, _interval(r.gain, r.gain_reach)) for r in others])
    bottom.axvline(0, color=style.INK, lw=1)
    bottom.set(xlabel="loss minus that of the optimal split (nats/token)")
    handles = [_handle("D", style.THEIRS, "predicted, 90% interval")]
    if any(recipe.measured is not None for recipe in recipes):
        handles.append(_handle("o", style.INK, "measured, 90% interval over documents"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _handle(marker: str, colour: str, label: str) -> Line2D:
    hollow = marker == "D"
    face = "none" if hollow else colour
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=face, label=label)


def _broken(name: str) -> str:
    """A recipe's name, broken into two lines at a comma."""
    return name.replace(", ", ",\n")


def _interval(value: float | None, reach: float | None) -> Bounds | None:
    """A value with the ends of its interval, of which `reach` is the half."""
    if value is None:
        return None
    half = reach if reach and np.isfinite(reach) else 0.0
    return value, value - half, value + half


def _rows(
    axis: Axes, recipes: list[RecipeResult], pairs: list[tuple[Bounds | None, Bounds | None]]
) -> None:
    """One row per recipe: the predicted interval above, the measured interval below."""
    for number, (recipe, (predicted, measured)) in enumerate(zip(recipes, pairs, strict=True)):
        best = recipe.strategy == OPTIMAL
        for interval, offset, colour, marker in (
            (predicted, -0.14, style.THEIRS, "D"),
            (measured, 0.14, style.OURS if best else style.INK, "o"),
        ):
            if interval is None:
                continue
            value, low, high = interval
            axis.plot([low, high], [number + offset] * 2, color=colour, lw=1.6)
            face = style.PAPER if marker == "D" else colour
            axis.plot(value, number + offset, marker, color=colour, markerfacecolor=face, ms=6)
    labels = [_broken(r.name) + (" †" if r.too_few_tokens else "") for r in recipes]
    axis.set_yticks(range(len(recipes)), labels)
    axis.set_ylim(len(recipes) - 0.5, -0.5)
    axis.grid(False, axis="y")


def split(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """Tokens of general text and of each domain in every recipe."""
    if not recipes:
        return None
    domains = list(recipes[0].specialize_tokens)
    palette = style.colours(domains)
    figure = Figure(figsize=(style.WIDTH, 0.42 * len(recipes) + 1.5))
    axis = figure.subplots()
    for number, recipe in enumerate(recipes):
        special = sum(recipe.specialize_tokens.values())
        rest = special + recipe.replay_tokens
        total = rest / (1 - recipe.fraction_general) if rest else recipe.pretrain_tokens
        parts = [(GENERAL, total - rest), *recipe.specialize_tokens.items()]
        if any(other.replay_tokens for other in recipes):
            parts.append((REPLAYED, recipe.replay_tokens))
        inks = {GENERAL: "#b3b3b3", REPLAYED: "#d9d9d9", **palette}
        _bar(axis, number, parts, inks, labelled=number == 0)
    axis.set_yticks(range(len(recipes)), [_broken(recipe.name) for recipe in recipes])
    axis.set_ylim(len(recipes) - 0.5, -0.5)
    axis.set(xlabel="training tokens")
    axis.grid(False, axis="y")
    style.tokens_axis(axis)
    names = figure.axes[0].get_legend_handles_labels()[1]
    columns = style.legend_columns(names)
    figure.legend(loc="outside upper left", ncols=columns, handlelength=1)
    return figure


WIDE = 0.1
"""Share of a bar that is wide enough for a number of tokens."""

NARROW = 0.01
"""Share of a bar below which an edge would hide the colour."""

MOST_NAMED = 12
"""Domains in the legend; colours of further ones are repeated."""


def _bar(
    axis: Axes, number: int, parts: list[tuple[str, float]], inks: dict[str, Any], *, labelled: bool
) -> None:
    """The tokens of a recipe, with the names of its parts for the legend if `labelled`."""
    start, total = 0.0, sum(tokens for _, tokens in parts)
    for place, (name, tokens) in enumerate(parts):
        axis.barh(
            number,
            tokens,
            left=start,
            height=0.66,
            color=inks[name],
            edgecolor=style.PAPER,
            linewidth=0.8 if tokens > NARROW * total else 0,
            label=_label(name, place, len(parts)) if labelled else None,
        )
        if tokens > WIDE * total:
            axis.text(
                start + tokens / 2,
                number,
                count(tokens),
                ha="center",
                va="center",
                fontsize=8,
                color="#111111",
            )
        start += tokens


def _label(name: str, place: int, number: int) -> str | None:
    """The name of a part in the legend; the parts after the first `MOST_NAMED` share one."""
    if place <= MOST_NAMED or number == MOST_NAMED + 2:
        return style.label(name)
    return f"{number - place} further domains" if place == MOST_NAMED + 1 else None
