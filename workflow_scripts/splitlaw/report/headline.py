"""The first sentence of a report: the gain over the best baseline, on text and on tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from splitlaw.common.statistics import NORMAL_90
from splitlaw.experiment.strategies import NO_SPLIT, OPTIMAL, PROSE
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import bounds, error, known, percent
from splitlaw.stages.recipe_results import RecipeResult
from splitlaw.zero_shot.systems import ROUTED, SINGLE
from splitlaw.zero_shot.tables import ALL_DOMAINS, ALL_TASKS, BITS, HELD_OUT

SAME_GENERAL_LOSS = 0.001
"""Relative difference of two mean general losses within which they count as equal: a seventh
of the 0.7% by which single models differ between seeds."""


@dataclass(frozen=True, kw_only=True)
class TaskGain:
    """Mean bits per byte over the tasks of the best baseline minus those of the optimal split."""

    baseline: str
    """The strategy with the fewest bits per byte besides the optimal split."""
    gain: float
    stderr: float
    """Standard error of `gain`, at most: see `task_gain`."""
    share: float
    """`gain` relative to the bits per byte of the baseline."""
    tasks: int


def headline(inputs: Inputs, recipes: list[RecipeResult]) -> str:
    """The gain in one sentence: measured where recipes are trained, else predicted; or empty."""
    measured = [recipe for recipe in recipes if recipe.gain is not None]
    if not measured:
        return _predicted(recipes)
    if (limited := _limited(inputs, recipes[0], measured)) is not None:
        return limited
    rival = _best(measured)
    return (
        f"On held-out text, the loss of the optimal split is {_difference(rival)}, the best "
        f"baseline{_on_tasks(task_gain(inputs), rival)}."
    )


def _best(measured: list[RecipeResult]) -> RecipeResult:
    """The recipe with the lowest measured loss."""
    return min(measured, key=lambda recipe: recipe.gain or 0.0)


def _difference(rival: RecipeResult) -> str:
    """By how much the loss of the optimal split is below that of a recipe, or above it."""
    assert rival.gain is not None and rival.measured is not None
    share = rival.gain / rival.measured
    amount = _amount(rival.gain, rival.gain_stderr, "nats per token", share, rival.gain_reach)
    return f"{amount} {'lower' if rival.gain >= 0 else 'higher'} than that of {rival.prose}"


def _limited(inputs: Inputs, best: RecipeResult, measured: list[RecipeResult]) -> str | None:
    """The sentence for a plan under a limit on general loss; None without one.

    The split is compared with the recipes that forget no more than it does: the others have the
    loss that a looser limit would allow.
    """
    rise = (inputs.plan or {}).get("general_loss_rise") or {}
    if rise.get("limit") is None or best.measured_general is None:
        return None
    allowed = best.measured_general * (1 + SAME_GENERAL_LOSS)
    rivals = [r for r in measured if (r.measured_general or np.inf) <= allowed]
    found = best.measured_general / rise["reference"] - 1
    begin = (
        f"The general loss of the specialists rises by {percent(found)} on average, where the "
        f"limit is {percent(rise['limit'])} for each"
    )
    if not rivals:
        return f"{begin}; no other recipe keeps it as low."
    return (
        f"{begin}; the loss of the optimal split on the domains is {_difference(_best(rivals))}, "
        "the best recipe that forgets no more."
    )


def _on_tasks(found: TaskGain | None, rival: RecipeResult) -> str:
    if found is None:
        return ""
    which = "" if found.baseline == rival.strategy else ", the best baseline there"
    number = "the task" if found.tasks == 1 else f"the {found.tasks} tasks"
    return (
        f"; on {number} it needs {_amount(found.gain, found.stderr, 'bits per byte', found.share)} "
        f"{'less' if found.gain >= 0 else 'more'} than "
        f"{PROSE.get(found.baseline, found.baseline)}{which}"
    )


def _amount(
    gain: float, stderr: float | None, unit: str, share: float, reach: float | None = None
) -> str:
    """The size of a gain with its standard error and its share; whether it is within the error.

    `reach` is half of its 90% interval; by default that of a normal distribution.
    """
    half = reach if known(reach) else NORMAL_90 * (stderr or 0.0)
    inside = known(stderr) and abs(gain) <= (half or 0.0)
    note = ", within its error" if inside else ""
    return f"{error(abs(gain), stderr, 3)} {unit} ({percent(abs(share))}{note})"


def _predicted(recipes: list[RecipeResult]) -> str:
    others = [recipe for recipe in recipes[1:] if recipe.predicted_gain and recipe.predicted]
    if not others:
        return ""
    rival = min(others, key=lambda recipe: recipe.predicted[0] if recipe.predicted else np.inf)
    assert rival.predicted_gain and rival.predicted
    value, low, high = rival.predicted_gain
    share, side = value / rival.predicted[0], "below"
    if value < 0:
        value, low, high, side = -value, -high, -low, "above"
    amount = f"{bounds(value, low, high)} nats per token ({percent(abs(share))})"
    return (
        f"The law predicts that the loss of the optimal split is {amount} {side} that of "
        f"{rival.prose}, the best predicted baseline."
    )


def task_gain(inputs: Inputs) -> TaskGain | None:
    """The gain of the routed split over the baseline with the fewest bits per byte on the tasks.

    Its error is paired by item where the baseline is a single model. Otherwise both differences
    from no split, which are paired, are taken as independent: they have items in common, so the
    error is at most this.
    """
    table = inputs.benchmarks
    if table is None:
        return None
    rows = table[(table["task"] == ALL_TASKS) & (table["metric"] == BITS)]
    rows = rows[rows["system"].isin([ROUTED, SINGLE])]
    means = rows.groupby("strategy")["value"].mean()
    if OPTIMAL not in means or len(means) < 2:
        return None
    best = str(means.drop(OPTIMAL).idxmin())
    gain = float(means[best] - means[OPTIMAL])
    every = table.loc[table["metric"] == BITS, "task"]
    tasks = every[~every.isin([ALL_TASKS, ALL_DOMAINS]) & ~every.str.startswith(HELD_OUT)]
    return TaskGain(
        baseline=best,
        gain=gain,
        stderr=_stderr(inputs.benchmark_gains, rows, best),
        share=gain / float(means[best]),
        tasks=tasks.nunique(),
    )


def _stderr(gains: pd.DataFrame | None, rows: pd.DataFrame, best: str) -> float:
    """Mean standard error over seeds of the difference of the split from a baseline."""
    unpaired = rows.groupby("strategy")["stderr"].mean()
    if gains is None:
        return float(np.hypot(unpaired[best], unpaired[OPTIMAL]))
    gains = gains[(gains["task"] == ALL_TASKS) & (gains["metric"] == BITS)]
    gains = gains[gains["system"].isin([ROUTED, SINGLE])]
    errors = gains.groupby(["strategy", "against"])["stderr"].mean()
    if (OPTIMAL, best) in errors:
        return float(errors[OPTIMAL, best])
    if (OPTIMAL, NO_SPLIT) in errors and (best, NO_SPLIT) in errors:
        return float(np.hypot(errors[OPTIMAL, NO_SPLIT], errors[best, NO_SPLIT]))
    return float(np.hypot(unpaired[best], unpaired[OPTIMAL]))
