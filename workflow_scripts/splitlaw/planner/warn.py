"""Warnings about a plan, for users to read before they train it."""

from collections.abc import Iterator

import numpy as np

from splitlaw.planner.constraint import Constraint, Split
from splitlaw.planner.summary import UNSPENT
from splitlaw.planner.task import Task

SLACK = 1.001
"""Ratio to the end of a range that still counts as within it."""

MOSTLY = 0.5
"""Unspent share of the budget above which a plan rests on a law that rises with tokens."""

LESS = 0.9
"""Share of an even part of the domain tokens below which a domain with repeated text is named."""

GAP = 1e-4
"""Optimality gap that is worth a warning: a tenth of the regret that matters in practice."""


def plan_warnings(
    task: Task,
    params: float,
    split: Split,
    constraint: Constraint,
    gap: float,
    *,
    uncounted: float = 0.0,
    limited: bool = False,
) -> list[str]:
    """Sentences on extrapolation, with its factor, and on conditions that are not met.

    `uncounted` are tokens that the budget pays for beside those of the split, `limited` whether
    general loss has a limit.
    """
    notes = [*task.notes, *_outside(task, params, split), *_passes(task, split)]
    unspent = 1 - (_spent(split, constraint) + uncounted) / constraint.tokens
    if unspent > UNSPENT:
        repeated = bool(np.isfinite(task.setting.unique).any())
        more = "more passes over the text" if repeated else "more tokens"
        notes.append(
            f"The plan leaves {unspent:.1%} of the budget unspent: under the law, {more} would "
            f"raise the loss{' or exceed the limit on general loss' if limited else ''}."
            if constraint.specialize is None
            else f"The plan leaves {unspent:.1%} of the budget unspent."
        )
        if unspent > MOSTLY and not (repeated or limited or constraint.specialize):
            notes.append(
                "Losses of finished runs fall with more tokens: check that the column has losses, "
                "not accuracies."
            )
    highest = task.fit.range.get("loss", (0.0, np.inf))[1]
    if split.mean > highest * SLACK:
        notes.append(
            f"The plan predicts a mean loss of {split.mean:.4g}, above every measured one (at "
            f"most {highest:.4g}): the budget is far below that of the measured runs."
        )
    if gap > GAP:
        notes.append(
            f"Another split may have a mean loss that is lower by up to {gap:.2%}: the law is not "
            "convex here."
        )
    if task.fit.n_draws == 0:
        notes.append("The fit has no draws: intervals are the values themselves.")
    return notes


def _outside(task: Task, params: float, split: Split) -> Iterator[str]:
    """Values outside the measured range, with their factors."""
    measured = task.fit.range
    for column, value, name in (
        ("params", params, "parameters"),
        ("pretrain_tokens", float(split.pretrain), "general tokens"),
        ("specialize_tokens", float(split.specialize.max()), "domain tokens"),
    ):
        low, high = measured[column]
        if value > high * SLACK:
            yield (
                f"The plan has {value:,.0f} {name}, {value / high:.3g} times the largest measured "
                f"({high:,.0f})."
            )
        if 0 < value * SLACK < low:
            yield (
                f"The plan has {value:,.0f} {name}, {value / low:.3g} times the smallest measured "
                f"({low:,.0f})."
            )
    if split.pretrain == 0 and measured["pretrain_tokens"][0] > 0:
        yield "The plan trains from scratch (D = 0), which the table does not measure."


def _passes(task: Task, split: Split) -> Iterator[str]:
    """Text that is repeated more often than in the table, and domains that get less for it."""
    most = task.fit.range.get("passes", (1.0, 1.0))[1]
    passes = split.specialize / task.setting.unique
    share = float(split.specialize.mean())
    fewer = (passes > SLACK) & (split.specialize < LESS * share)
    for k in np.nonzero(fewer)[0]:
        yield (
            f"{task.setting.domains[k]} gets {split.specialize[k]:.4g} tokens, {passes[k]:.3g} "
            f"passes over its text, where an even share is {share:.4g}: further passes are worth "
            "less than the same tokens elsewhere."
        )
    worst = int(np.argmax(passes))
    if passes[worst] > most * SLACK:
        yield (
            f"The plan repeats the text of {task.setting.domains[worst]} {passes[worst]:.3g} "
            f"times; the table has at most {most:.3g} passes."
        )


def _spent(split: Split, constraint: Constraint) -> float:
    """Tokens that the budget pays for."""
    trunk = 0.0 if constraint.pretrain is not None else constraint.trunks * float(split.pretrain)
    return trunk + float(split.specialize.sum())
