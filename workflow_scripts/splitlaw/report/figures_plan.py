"""Figures of the plan, and of the final models that test it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from splitlaw.common.statistics import NORMAL_90
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.laws import FitResult
from splitlaw.planner import frontier as planned_frontier
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count, percent
from splitlaw.stages.final_results import Json, plan_weights
from splitlaw.stages.recipe_results import Bounds, RecipeResult

LINES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles of the averaged forms."""
MOST_LAWS = len(LINES)
"""Number of averaged forms that are drawn."""
FRACTIONS = 61
"""Fractions at which a predicted frontier is computed, enough for a smooth line."""
INSIDE = (0.04, 0.95)
"""General fractions that set the limits of the loss axis; some laws are infinite at 0 or 1."""

OURS, THEIRS = "#de8f05", "#0173b2"
"""Orange and blue of seaborn's colour-blind palette, for the plan and for predictions."""


def frontier_table(
    fit: FitResult, plan: Json, fractions: npt.NDArray[np.float64] | int = FRACTIONS
) -> pd.DataFrame:
    """Mean loss at each general fraction at the plan's budget, by law."""
    shares = plan_weights(plan)
    per_token = plan.get("flops_per_token") or plan["flops"] / plan["tokens"]
    return planned_frontier(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=fractions,
        domains=tuple(shares),
        trunk=plan.get("trunk", "shared"),
        weights=shares,
        flops_per_token=per_token,
    )


def frontier(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """Predicted loss against the general fraction, with the optimum and the measured recipes."""
    fit, plan = inputs.fit, inputs.plan
    if fit is None or plan is None or not plan.get("pretrain_tokens_paid", True):
        return None
    table = frontier_table(fit, plan)
    if table.empty:
        return None
    figure = Figure(figsize=(style.WIDTH, 4.6))
    axis = figure.subplots()
    mean = table[table["law"] == "mean"]
    x = mean["fraction_general"]
    axis.fill_between(
        x, mean["loss_low"], mean["loss_high"], color=THEIRS, alpha=0.2, lw=0, label="90% interval"
    )
    axis.plot(x, mean["loss"], color=THEIRS, lw=2, label="predicted")
    _forms(axis, inputs, table)
    _optimum(axis, inputs, recipes[0])
    _predicted(axis, recipes)
    _measured(axis, [recipe for recipe in recipes if recipe.measured is not None])
    _name_recipes(axis, recipes)
    _frame_losses(axis, mean, recipes)
    axis.set(xlabel="general tokens, share of all tokens", ylabel="mean domain loss (nats/token)")
    style.percent_axis(axis.xaxis, 0)
    figure.legend(loc="outside upper left", ncols=2, handletextpad=0.5)
    return figure


def _forms(axis: Axes, inputs: Inputs, table: pd.DataFrame) -> None:
    """The forms that are averaged in the plan and, in grey, the rejected forms."""
    assert inputs.fit is not None
    members = [member.law for member in inputs.fit.members]
    if len(members) > 1:
        for law, dashes in zip(members[:MOST_LAWS], LINES, strict=False):
            part = table[table["law"] == law]
            x, y = part["fraction_general"], part["loss"]
            axis.plot(x, y, color=THEIRS, lw=1, ls=dashes, label=law.replace("_", " "))
    rejected = [law for law in dict.fromkeys(table["law"]) if law not in ("mean", *members)]
    for law in rejected:
        part = table[table["law"] == law]
        axis.plot(part["fraction_general"], part["loss"], color=style.GREY, lw=0.8, zorder=1)
    if rejected:
        axis.plot([], [], color=style.GREY, lw=0.8, label="rejected forms")


def _optimum(axis: Axes, inputs: Inputs, best: RecipeResult) -> None:
    assert inputs.plan is not None
    low, high = inputs.plan.get("interval", {}).get("fraction_general", [best.fraction_general] * 2)
    label = f"optimum {percent(best.fraction_general, 0)} ({percent(low, 0)} to {percent(high, 0)})"
    axis.axvspan(low, high, color=OURS, alpha=0.15, lw=0)
    axis.axvline(best.fraction_general, color=OURS, lw=1.4, label=label)


def _predicted(axis: Axes, recipes: list[RecipeResult]) -> None:
    """Predictions for the recipes; baselines share domain tokens evenly, which may cost loss."""
    points = [(r.fraction_general, r.predicted[0]) for r in recipes if r.predicted]
    axis.plot(
        *zip(*points, strict=True),
        ls="",
        marker="D",
        color=THEIRS,
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
        axis.errorbar(
            recipe.fraction_general,
            recipe.measured,
            yerr=None if ours or not recipe.gain_stderr else NORMAL_90 * recipe.gain_stderr,
            color=OURS if ours else style.INK,
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


def comparison(inputs: Inputs, recipes: list[RecipeResult]) -> Figure | None:
    """Predicted and measured mean losses of the recipes, and gains of the plan over each."""
    if len(recipes) < 2:
        return None
    figure = Figure(figsize=(style.WIDTH, 0.62 * len(recipes) + 2.6))
    top, bottom = figure.subplots(2, 1, height_ratios=[len(recipes), len(recipes) - 1])
    _rows(top, recipes, [(r.predicted, _interval(r.measured, r.stderr)) for r in recipes])
    top.set(xlabel="mean domain loss (nats/token)")
    others = recipes[1:]
    _rows(bottom, others, [(r.predicted_gain, _interval(r.gain, r.gain_stderr)) for r in others])
    bottom.axvline(0, color=style.INK, lw=1)
    bottom.set(xlabel="loss minus that of the optimal split (nats/token)")
    handles = [_handle("D", THEIRS, "predicted, 90% interval")]
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


def _interval(value: float | None, stderr: float | None) -> Bounds | None:
    if value is None:
        return None
    reach = NORMAL_90 * stderr if stderr and np.isfinite(stderr) else 0.0
    return value, value - reach, value + reach


def _rows(
    axis: Axes, recipes: list[RecipeResult], pairs: list[tuple[Bounds | None, Bounds | None]]
) -> None:
    """One row per recipe: the predicted interval above, the measured interval below."""
    for number, (recipe, (predicted, measured)) in enumerate(zip(recipes, pairs, strict=True)):
        best = recipe.strategy == OPTIMAL
        for interval, offset, colour, marker in (
            (predicted, -0.14, THEIRS, "D"),
            (measured, 0.14, OURS if best else style.INK, "o"),
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
        total = special / (1 - recipe.fraction_general) if special else recipe.pretrain_tokens
        parts = [(GENERAL, total - special), *recipe.specialize_tokens.items()]
        _bar(axis, number, parts, {GENERAL: "#b3b3b3", **palette})
    axis.set_yticks(range(len(recipes)), [_broken(recipe.name) for recipe in recipes])
    axis.set_ylim(len(recipes) - 0.5, -0.5)
    axis.set(xlabel="training tokens")
    axis.grid(False, axis="y")
    style.tokens_axis(axis)
    figure.legend(loc="outside upper left", ncols=min(5, len(domains) + 1), handlelength=1)
    return figure


def _bar(axis: Axes, number: int, parts: list[tuple[str, float]], inks: dict[str, Any]) -> None:
    start = 0.0
    for name, tokens in parts:
        label = name if number == 0 else None
        axis.barh(
            number,
            tokens,
            left=start,
            height=0.66,
            color=inks[name],
            edgecolor=style.PAPER,
            linewidth=0.8,
            label=label,
        )
        if tokens > 0.11 * axis.dataLim.width:
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
