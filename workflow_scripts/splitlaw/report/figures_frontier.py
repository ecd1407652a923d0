"""The figure of the predicted loss against the general fraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.laws import FitResult
from splitlaw.laws.result import interval
from splitlaw.planner import frontier as planned_frontier
from splitlaw.planner import splits_at
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import percent
from splitlaw.stages.final_results import Json, plan_options, split_options
from splitlaw.stages.recipe_results import RecipeResult, predicted_means

LINES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles of the averaged forms."""
MOST_LAWS = len(LINES)
"""Number of averaged forms that are drawn."""
FRACTIONS = 61
"""Fractions at which a predicted frontier is computed, enough for a smooth line."""
INSIDE = (0.04, 0.95)
"""General fractions that set the limits of the loss axis; some laws are infinite at 0 or 1."""
NEAR = 0.25
"""Distance from the plan within which general fractions set the limits of the lower panel."""


def frontier_table(
    fit: FitResult, plan: Json, fractions: npt.NDArray[np.float64] | int = FRACTIONS
) -> pd.DataFrame:
    """Mean loss at each general fraction at the plan's budget, by law."""
    return planned_frontier(fit, fractions=fractions, **split_options(plan))


def above_plan(fit: FitResult, plan: Json) -> pd.DataFrame:
    """Loss of the best split at each general fraction minus that of the plan.

    Columns `fraction_general`, `loss`, and `low`, `high`, the 90% interval, in which both losses
    are of the same draw.
    """
    splits = splits_at(fit, fractions=np.linspace(0, 1, FRACTIONS), **plan_options(plan))
    entries = [
        {
            "pretrain_tokens": part["pretrain_tokens"].iloc[0],
            "specialize_tokens": part.set_index("domain")["specialize_tokens"],
        }
        for _, part in splits.groupby("fraction_general")
    ]
    values, drawn = predicted_means(plan, fit, [plan, *entries])
    low, high = interval(drawn[:, 1:] - drawn[:, :1])
    table = pd.DataFrame({"loss": values[1:] - values[0], "low": low, "high": high})
    table = table.assign(fraction_general=splits["fraction_general"].unique())
    return table[np.isfinite(table["loss"])]


def has_frontier(plan: Json) -> bool:
    """Whether general tokens are all that a plan divides: not with a base, nor with replay."""
    return plan.get("pretrain_tokens_paid", True) and plan.get("replay") is None


def frontier(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """The tokens of the plan, and below them the loss against the general fraction."""
    fit, plan = inputs.fit, inputs.plan
    if fit is None or plan is None or not has_frontier(plan):
        return None
    table = frontier_table(fit, plan)
    return None if table.empty else draw_plan(table, plan, recipes)


def draw_plan(table: pd.DataFrame, plan: Json, recipes: list[RecipeResult]) -> Figure:
    """Draw `frontier` from the table of `frontier_table` and the recipes, the plan first."""
    figure = Figure(figsize=(style.WIDTH, 5.0))
    bar, top = figure.subplots(2, 1, sharex=True, height_ratios=[1.4, 7])
    _tokens(bar, recipes[0], plan)
    mean = table[table["law"] == "mean"]
    _band(top, mean, "loss_low", "loss_high")
    top.plot(mean["fraction_general"], mean["loss"], color=style.THEIRS, lw=2, label="predicted")
    _forms(top, table)
    _optimum(top, plan, recipes[0])
    _predicted(top, recipes)
    _measured(top, [recipe for recipe in recipes if recipe.measured is not None])
    _name_recipes(top, recipes)
    _frame_losses(top, mean, recipes)
    top.set(xlabel="general tokens, share of all tokens", ylabel="mean domain loss (nats/token)")
    style.percent_axis(top.xaxis, 0)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _tokens(axis: Axes, best: RecipeResult, plan: Json) -> None:
    """Shares of the plan's tokens: general text, which ends at its share, then the domains."""
    special = sum(best.specialize_tokens.values())
    scale = (1 - best.fraction_general) / special if special else 0.0
    parts = [(GENERAL, best.fraction_general)]
    parts += [(name, scale * tokens) for name, tokens in best.specialize_tokens.items()]
    inks = {GENERAL: "#b3b3b3", **style.colours(list(best.specialize_tokens))}
    start = 0.0
    for name, share in parts:
        axis.barh(0, share, left=start, height=0.9, color=inks[name], edgecolor=style.PAPER, lw=0.8)
        text, middle = style.label(name), start + share / 2
        if share > READABLE * len(text):
            axis.text(middle, 0, text, ha="center", va="center", fontsize=7, color="#111111")
        elif share > UPRIGHT and len(text) <= MOST_UPRIGHT:
            across: dict[str, Any] = {"rotation": 90, "fontsize": 6.5, "color": "#111111"}
            axis.text(middle, 0, text, ha="center", va="center", **across)
        start += share
    low, high = _ends(plan, best)
    if low < high:
        reach = [[best.fraction_general - low], [high - best.fraction_general]]
        axis.errorbar(best.fraction_general, -0.65, xerr=reach, color=style.INK, lw=1.6, capsize=3)
    axis.set_ylim(-0.8, 0.45)
    axis.set_yticks([])
    axis.set_xlim(-0.02, 1.02)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="x", length=0, labelbottom=False)


READABLE = 0.0165
"""Share of the bar that a letter of a name takes."""

UPRIGHT, MOST_UPRIGHT = 0.026, 9
"""Share of the bar that a name across it takes, and the letters that its height has room for."""


def _ends(plan: Json, best: RecipeResult) -> tuple[float, float]:
    """The interval of the plan's general fraction; the fraction itself without one."""
    ends = plan.get("interval", {}).get("fraction_general")
    return (ends[0], ends[1]) if ends else (best.fraction_general, best.fraction_general)


def differences(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """The loss at each general fraction minus that of the plan."""
    fit, plan = inputs.fit, inputs.plan
    if fit is None or plan is None or not has_frontier(plan):
        return None
    table = above_plan(fit, plan)
    if table.empty:
        return None
    figure = Figure(figsize=(style.WIDTH, 2.8))
    _differences(figure.subplots(), table, plan, recipes)
    return figure


def _band(axis: Axes, table: pd.DataFrame, low: str, high: str) -> None:
    x, label = table["fraction_general"], "90% interval"
    axis.fill_between(x, table[low], table[high], color=style.THEIRS, alpha=0.2, lw=0, label=label)


def _differences(axis: Axes, table: pd.DataFrame, plan: Json, recipes: list[RecipeResult]) -> None:
    """The loss at each general fraction minus that of the plan, predicted and measured."""
    _band(axis, table, "low", "high")
    axis.plot(table["fraction_general"], table["loss"], color=style.THEIRS, lw=2)
    axis.axhline(0, color=style.INK, lw=0.6)
    _optimum(axis, plan, recipes[0])
    for recipe in recipes[1:]:
        if recipe.gain is None:
            continue
        reach = recipe.gain_reach or None
        axis.errorbar(
            recipe.fraction_general, recipe.gain, yerr=reach, color=style.INK, marker="o", ms=5
        )
    near = table[(table["fraction_general"] - recipes[0].fraction_general).abs() < NEAR]
    low, high = near[["loss", "low"]].min().min(), near[["loss", "high"]].max().max()
    room = 0.1 * (high - low) + 1e-4
    axis.set_ylim(low - room, high + room)
    axis.set(xlabel="general tokens, share of all tokens")
    axis.set(ylabel="loss minus that of the plan\n(nats/token)")
    style.percent_axis(axis.xaxis, 0)


def _forms(axis: Axes, table: pd.DataFrame) -> None:
    """The forms that the law averages, where there are several."""
    laws = [law for law in table["law"].unique() if law != "mean"]
    if len(laws) == 1:
        return
    for law, dashes in zip(laws[:MOST_LAWS], LINES, strict=False):
        part = table[table["law"] == law]
        x, y = part["fraction_general"], part["loss"]
        axis.plot(x, y, color=style.THEIRS, lw=1, ls=dashes, label=law.replace("_", " "))


def _optimum(axis: Axes, plan: Json, best: RecipeResult) -> None:
    low, high = _ends(plan, best)
    ends = percent(low, 0), percent(high, 0)
    label = f"optimum {percent(best.fraction_general, 0)}"
    label += f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
    axis.axvspan(low, high, color=style.OURS, alpha=0.15, lw=0)
    axis.axvline(best.fraction_general, color=style.OURS, lw=1.4, label=label)


def _predicted(axis: Axes, recipes: list[RecipeResult]) -> None:
    """Predictions for the recipes; baselines share domain tokens evenly, which may cost loss."""
    points = [(r.fraction_general, r.predicted[0]) for r in recipes if r.predicted]
    axis.plot(
        *zip(*points, strict=True),
        ls="",
        marker="D",
        color=style.THEIRS,
        markerfacecolor=style.PAPER,
        markersize=5,
        zorder=4,
        label="recipes, predicted",
    )


def _name_recipes(axis: Axes, recipes: list[RecipeResult]) -> None:
    """Write the name of each baseline beside its point, away from the curve."""
    for recipe in recipes[1:]:
        heights = [recipe.measured, recipe.predicted and recipe.predicted[0]]
        known = [height for height in heights if height is not None]
        if not known:
            continue
        right = recipe.fraction_general > 0.8
        below = 0.1 < recipe.fraction_general <= 0.8
        axis.annotate(
            recipe.name,
            (recipe.fraction_general, min(known) if below else max(known)),
            xytext=(-8 if right else 8, -14 if below else 5),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8,
            zorder=6,
        )


def _measured(axis: Axes, recipes: list[RecipeResult]) -> None:
    for recipe in recipes:
        ours = recipe.strategy == OPTIMAL
        assert recipe.measured is not None
        axis.plot(
            recipe.fraction_general,
            recipe.measured,
            color=style.OURS if ours else style.INK,
            marker="*" if ours else "o",
            markersize=11 if ours else 5.5,
            markeredgecolor=style.PAPER,
            markeredgewidth=0.6,
            ls="",
            zorder=5,
            label="plan, measured" if ours else None,
        )
    others = [recipe for recipe in recipes if recipe.strategy != OPTIMAL]
    if others:
        axis.plot(
            [], [], ls="", marker="o", color=style.INK, markersize=5, label="baselines, measured"
        )


def _frame_losses(axis: Axes, mean: pd.DataFrame, recipes: list[RecipeResult]) -> None:
    """Limit the loss axis to the recipes and the middle of the curve (`INSIDE`)."""
    inside = mean[mean["fraction_general"].between(*INSIDE)]
    known = [loss for r in recipes for loss in (r.measured, r.predicted and r.predicted[0])]
    values = [*inside["loss"], *(loss for loss in known if loss is not None)]
    low, high = min(values), max(values)
    room = 0.1 * (high - low) + 1e-3
    axis.set_ylim(low - 1.5 * room, high + 1.5 * room)
