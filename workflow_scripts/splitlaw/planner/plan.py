"""The compute-optimal split of a budget, with its interval, baselines and regrets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.threads import one_blas_thread
from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array, Constraint, Split, fraction
from splitlaw.planner.draws import Points, drawn_plan, ends
from splitlaw.planner.multiplier import BudgetCurves
from splitlaw.planner.optima import tabulated_optima
from splitlaw.planner.problem import Problem
from splitlaw.planner.result import NO_LOSS, Baseline, Candidate, Multiplier, Plan
from splitlaw.planner.search import best_split
from splitlaw.planner.sizes import best_size
from splitlaw.planner.strategies import WHOLE, Recipe, recipes
from splitlaw.planner.surface import Surface
from splitlaw.planner.task import SAME, Task, make_task
from splitlaw.planner.warn import plan_warnings

TOKENS = ("pretrain_tokens", "specialize_tokens")
"""Columns of the table of a fit along which nothing is planned if they have one value."""

MOST_TOKENS = 2.0**53
"""Tokens beyond which a float does not count single ones; no text has so many."""

ROUNDING = 1e-9
"""Expected regret, relative to the loss, that is an error of rounding."""

MOST_FLOPS = 1e60
"""A budget beyond this overflows in the search for a size."""


@one_blas_thread
def plan(
    fit: FitResult,
    *,
    flops: float,
    params: float | Sequence[float] | None = None,
    **options: Any,
) -> Plan:
    """The split of `flops` training FLOPs with the lowest mean loss over the domains.

    The options are those of `splitlaw.plan`, which describes them. Raises `UserError` if no split
    satisfies the constraints.
    """
    task = make_task(fit, **options)
    check_flops(flops)
    size = best_size(task, flops, params)
    constraint = task.constraint(flops, size)
    check_budget(task, flops, size, constraint)
    problem = Problem(task.surface(size), constraint)
    best, bound = best_split(problem)
    split = whole_tokens(problem.surface, best)
    if not (np.isfinite(best.mean) and np.isfinite(split.mean)):
        raise UserError(no_split(task, flops, size, constraint))
    gap = max(0.0, float(best.mean) - bound) / float(best.mean)
    return _plan(task, flops, problem, split, gap)


def check_flops(flops: float) -> None:
    """Refuse a budget that is no amount of compute."""
    if not 0 < flops <= MOST_FLOPS:
        raise UserError(f"flops is {flops:g}; give a number above 0, at most {MOST_FLOPS:g}")


def check_budget(task: Task, flops: float, size: float, constraint: Constraint) -> None:
    """Refuse a budget of less than one token per model, or of more than can be counted."""
    trunks = 0 if task.pretrain is not None else constraint.trunks
    models = len(task.setting.domains) + trunks
    pays = f"flops {flops:g} pay for {constraint.tokens:g} tokens at {size:g} parameters"
    base = f", and pretrain_tokens is {task.pretrain:g}" if task.pretrain else ""
    if constraint.tokens < models:
        raise UserError(
            f"{pays}, less than one for each of {models} runs; raise the budget, or choose a "
            "smaller size"
        )
    if max(constraint.tokens, task.pretrain or 0.0) > MOST_TOKENS:
        raise UserError(
            f"{pays}{base}; a plan has at most {MOST_TOKENS:.1g} tokens: lower the budget"
        )


def no_split(task: Task, flops: float, size: float, constraint: Constraint) -> str:
    """Why no split has a finite loss."""
    pays = f"flops {flops:g} pay for {constraint.tokens:g} tokens at {size:g} parameters"
    domains = len(task.setting.domains)
    least = max(constraint.specialize or 0.0, constraint.min_tokens)
    if constraint.specialize is not None:
        return (
            f"{pays}, too few for {least:g} domain tokens in each of {domains} domains, the only "
            "number that the table has; raise the budget"
        )
    if least > 0:
        return (
            f"{pays}, too few for {least:g} tokens per model in {domains} domains; "
            "raise the budget or lower the minimum"
        )
    return f"{pays}, where the law has no value; raise the budget, or choose another size"


def whole_tokens(surface: Surface, split: Split) -> Split:
    """The split in whole tokens: fractions of a token are dropped."""
    pretrain, specialize = np.floor(split.pretrain + WHOLE), np.floor(split.specialize + WHOLE)
    return Split(pretrain, specialize, surface.mean(pretrain, specialize))


def _plan(task: Task, flops: float, problem: Problem, split: Split, gap: float) -> Plan:
    names, size = task.setting.domains, problem.surface.params
    constraint = problem.constraint
    baselines = [
        replace(recipe, predictable=recipe.predictable and _is_known(task, recipe))
        for recipe in recipes(constraint, int(split.pretrain), [int(s) for s in split.specialize])
    ]
    points = Points.of(problem.surface, split, baselines)
    # Other budgets change D and D' of the recipes, of which such a table has one value.
    one = [c for c in TOKENS if task.fit.range[c][0] == task.fit.range[c][1]]
    curves = None if one else BudgetCurves.around(problem.surface, constraint)
    multipliers = {} if curves is None else curves.for_split(split)
    drawn = drawn_plan(problem, split)
    pretrain, share = float(split.pretrain), float(_fraction(split, constraint))
    regret = drawn.expected_regret
    if regret is not None and regret < ROUNDING * float(split.mean):
        regret = 0.0
    return Plan(
        flops=float(flops),
        params=size,
        flops_per_token=task.cost(size),
        tokens=constraint.tokens,
        trunk=task.trunk,
        pretrain_tokens=int(pretrain),
        specialize_tokens=dict(zip(names, map(int, split.specialize), strict=True)),
        fraction_general=share,
        predicted_loss=points.by_domain(0),
        predicted_mean_loss=points.mean(0),
        interval={
            "pretrain_tokens": ends(drawn.pretrain, pretrain),
            "fraction_general": ends(drawn.fractions, share),
        },
        expected_regret=regret,
        expected_regret_relative=None if regret is None else regret / float(split.mean),
        baselines=tuple(
            _baseline(recipe, points, number, multipliers.get(recipe.strategy))
            for number, recipe in enumerate(baselines, start=1)
        ),
        candidates=candidates(problem, split),
        weights=dict(zip(names, task.setting.weights.tolist(), strict=True)),
        pretrain_tokens_paid=task.pretrain is None,
        optimality_gap=gap,
        law=task.fit.law,
        warnings=tuple(plan_warnings(task, size, split, constraint, gap)),
        unique_tokens=task.setting.limits,
    )


def _fraction(split: Split, constraint: Constraint) -> Array:
    return fraction(split.pretrain, split.specialize, constraint.trunks)


def _is_known(task: Task, recipe: Recipe) -> bool:
    """Whether a recipe keeps the only D, or the only D', of a table that has no other."""
    for column, amounts in zip(TOKENS, ([recipe.pretrain], recipe.specialize), strict=True):
        low, high = task.fit.range[column]
        if low == high and any(abs(amount - high) > SAME * high for amount in amounts):
            return False
    return True


def _baseline(
    recipe: Recipe, points: Points, number: int, multiplier: Multiplier | None
) -> Baseline:
    """A baseline, without a loss where no law covers it or the law is infinite."""
    names, members = points.surface.setting.domains, points.surface.fit.members
    mean = points.mean(number) if recipe.predictable else NO_LOSS
    known = mean[0] is not None
    law = "mean" if len(members) > 1 else members[0].law
    return Baseline(
        strategy=recipe.strategy,
        pretrain_tokens=recipe.pretrain,
        specialize_tokens=dict(zip(names, recipe.specialize, strict=True)),
        predicted_loss=points.by_domain(number) if known else dict.fromkeys(names, NO_LOSS),
        predicted_mean_loss=mean,
        law=law if known else None,
        probability_worse=points.probability_worse(number) if known else None,
        compute_multiplier=multiplier if known else None,
    )


def candidates(problem: Problem, split: Split) -> tuple[Candidate, ...]:
    """The optimum under each form alone, and the regret of the plan under it."""
    entries, surface = [], problem.surface
    for member in surface.fit.members:
        one = replace(surface, fit=surface.fit.only(member.law))
        alone = Problem(one, problem.constraint)
        own = tabulated_optima(alone, drawn=False)
        means = alone.surface.mean(
            np.append(own.pretrain, split.pretrain),
            np.concatenate([own.specialize, split.specialize[None]]),
        )
        if not np.isfinite(means[0]):
            continue
        regret = float(means[1] - means.min())
        entries.append(
            Candidate(
                law=member.law,
                weight=member.weight,
                fraction_general=float(
                    fraction(own.pretrain, own.specialize, problem.constraint.trunks)[0]
                ),
                pretrain_tokens=float(own.pretrain[0]),
                regret=regret if np.isfinite(regret) else None,
            )
        )
    return tuple(entries)
