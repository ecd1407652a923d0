"""The compute-optimal split of a budget, with its interval, baselines and regrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.experiment.strategies import JOINT
from splitlaw.laws.points import Array
from splitlaw.laws.result import FitResult, interval
from splitlaw.planner.allocate import CLOSE, Constraint, Split, best_split, optimality_gap
from splitlaw.planner.result import NO_LOSS, Baseline, Candidate, Loss, Plan
from splitlaw.planner.sizes import best_size
from splitlaw.planner.strategies import recipes
from splitlaw.planner.surface import Surface
from splitlaw.planner.task import Task, make_task
from splitlaw.planner.warn import plan_warnings

ZOOMS_OF_DRAWS = 4
"""Zooms in the search of a draw's optimum: its error is 1/81 of the grid's step, far below the
spread of the draws."""

FRACTIONS_OF_DRAWS = 13
"""General fractions on the grid of that search."""

WORK_OF_DRAWS = 8_000
"""Draws times domains whose optima are searched; more draws add little to an interval."""

MOST_TOKENS = 2.0**53
"""Tokens beyond which a float does not count single ones; no text has so many."""

MOST_FLOPS = 1e60
"""A budget beyond this overflows in the search for a size."""

GAP = 1e-2
"""Optimality gap above which a plan has a warning."""


def plan(
    fit: FitResult,
    *,
    flops: float,
    params: float | Sequence[float] | None = None,
    **options: Any,
) -> Plan:
    """The split of `flops` training FLOPs with the least mean loss over the domains.

    The options are those of `splitlaw.plan`, which describes them. Raises `UserError` if no split
    satisfies the constraints.
    """
    task = make_task(fit, **options)
    if not 0 < flops <= MOST_FLOPS:
        raise UserError(f"flops is {flops:g}; give a number above 0, at most {MOST_FLOPS:g}")
    size = best_size(task.point, lambda n: task.constraint(flops, n), fit, params)
    constraint = task.constraint(flops, size)
    _check_budget(task, flops, size, constraint)
    best = best_split(task.point(size), constraint)
    if not np.isfinite(best.mean[0]):
        raise UserError(
            f"flops {flops:g} pay for {constraint.tokens:g} tokens at {size:g} parameters, too few "
            f"for {task.min_tokens:g} tokens per model in {len(task.columns)} domains; "
            "raise the budget or lower the minimum"
        )
    return _plan(task, flops, size, constraint, best)


def _check_budget(task: Task, flops: float, size: float, constraint: Constraint) -> None:
    """Refuse a budget of less than one token per model, or of more than can be counted."""
    trunks = 0 if task.spent is not None else constraint.trunks
    models = len(task.columns) + trunks
    pays = f"flops {flops:g} pay for {constraint.tokens:g} tokens at {size:g} parameters"
    if constraint.tokens < models:
        raise UserError(
            f"{pays}, less than one for each of {models} runs; raise the budget, or choose a "
            "smaller size"
        )
    if max(constraint.tokens, task.spent or 0.0) > MOST_TOKENS:
        raise UserError(
            f"{pays}, and pretrain_tokens is {task.spent or 0:g}; a plan has at most "
            f"{MOST_TOKENS:.1g} tokens: lower the budget"
        )


def whole_tokens(split: Split, surface: Surface, constraint: Constraint) -> Split:
    """The split in whole tokens, within the budget.

    Fractions of a token are dropped. Where the law is infinite at 0 tokens, the count is 1 instead,
    and the domain with the most tokens pays for it.
    """
    pretrain, specialize = np.floor(split.pretrain), np.floor(split.specialize)
    if not np.isfinite(surface.mean(pretrain[:, None], specialize[:, None])[0, 0]):
        pretrain = np.where((pretrain == 0) & (split.pretrain > 0), 1.0, pretrain)
        specialize = np.where((specialize == 0) & (split.specialize > 0), 1.0, specialize)
        bought = 0.0 if constraint.spent is not None else constraint.trunks * pretrain
        beyond = np.ceil(bought + specialize.sum(axis=-1) - constraint.tokens)
        specialize[:, specialize[0].argmax()] -= np.maximum(beyond, 0.0)
    return Split(pretrain, specialize, split.mean)


def fraction(pretrain: Array, specialize: Array, constraint: Constraint) -> Array:
    """General fraction c D / (c D + sum of D'_k) [r] of D [r], D' [r, k]."""
    trunk = constraint.trunks * pretrain
    return np.asarray(trunk / np.maximum(trunk + specialize.sum(axis=-1), 1e-300))


def _plan(task: Task, flops: float, size: float, constraint: Constraint, best: Split) -> Plan:
    point, draws = task.point(size), task.draws(size)
    split = whole_tokens(best, point, constraint)
    pretrain, specialize = split.pretrain[:, None], split.specialize[:, None]
    ours = _drawn_means(draws, pretrain, specialize)
    gap = optimality_gap(point, constraint, best)
    optima = _drawn_optima(draws, constraint)
    names = task.setting.domains
    value = float(point.mean(pretrain, specialize)[0, 0])
    if not np.isfinite(value):
        raise UserError(
            f"flops {flops:g} pay for {constraint.tokens:g} tokens at {size:g} parameters, where "
            "the law has no value; raise the budget, or choose another size"
        )
    share = float(fraction(split.pretrain, split.specialize, constraint)[0])
    return Plan(
        flops=float(flops),
        params=size,
        flops_per_token=task.cost(size),
        tokens=constraint.tokens,
        trunk=task.trunk,
        pretrain_tokens=int(split.pretrain[0]),
        specialize_tokens=dict(zip(names, map(int, split.specialize[0]), strict=True)),
        fraction_general=share,
        predicted_loss=_predicted(point, draws, pretrain, specialize),
        predicted_mean_loss=(value, *_ends(ours, value)),
        interval={
            "pretrain_tokens": _ends(optima[0], float(split.pretrain[0])),
            "fraction_general": _ends(optima[1], share),
        },
        baselines=_baselines(task, point, draws, constraint, (pretrain, specialize)),
        candidates=_regrets(task, size, constraint, split),
        weights=dict(zip(names, task.setting.weights.tolist(), strict=True)),
        pretrain_tokens_paid=task.spent is None,
        optimality_gap=gap,
        law=task.fit.law,
        warnings=tuple(plan_warnings(task.fit, size, split, constraint, gap > GAP)),
    )


def _ends(draws: Array, value: float) -> tuple[float, float]:
    """The interval, which holds the value; the value alone without draws."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return value, value
    low, high = interval(finite)
    return min(float(low), value), max(float(high), value)


def _drawn_means(draws: list[Surface], pretrain: Array, specialize: Array) -> Array:
    """Mean loss of one split under every draw [draws]."""
    means = [surface.mean(pretrain, specialize)[:, 0] for surface in draws]
    return np.concatenate(means) if means else np.zeros(0)


def _drawn_optima(draws: list[Surface], constraint: Constraint) -> tuple[Array, Array]:
    """D and general fraction of the optimum under every draw."""
    pretrain, fractions = [np.zeros(0)], [np.zeros(0)]
    for surface in draws:
        width = len(surface.setting.domains) * len(draws)
        few = surface.first(max(100, WORK_OF_DRAWS // width))
        best = best_split(
            few,
            constraint,
            rounds=ZOOMS_OF_DRAWS,
            fractions=FRACTIONS_OF_DRAWS,
            tolerance=CLOSE,
        )
        pretrain.append(best.pretrain)
        fractions.append(fraction(best.pretrain, best.specialize, constraint))
    return np.concatenate(pretrain), np.concatenate(fractions)


def _predicted(
    point: Surface, draws: list[Surface], pretrain: Array, specialize: Array
) -> dict[str, Loss]:
    """Loss of each domain with its interval; null where the law has none."""
    values = point.losses(pretrain, specialize)[0, 0]
    drawn = [surface.losses(pretrain, specialize)[:, 0] for surface in draws]
    pooled = np.concatenate(drawn) if drawn else np.zeros((0, len(values)))
    losses: dict[str, Loss] = {}
    for k, name in enumerate(point.setting.domains):
        if np.isfinite(values[k]):
            losses[name] = (float(values[k]), *_ends(pooled[:, k], float(values[k])))
        else:
            losses[name] = NO_LOSS
    return losses


@dataclass(frozen=True)
class _Judge:
    """The laws by which a split is predicted."""

    law: str
    point: Surface
    draws: list[Surface]


def _judge(
    task: Task, point: Surface, draws: list[Surface], pretrain: Array, specialize: Array
) -> _Judge:
    """The fit's own laws, or the first stand-in that is finite where they are not."""
    own = _Judge("mean" if len(task.fit.members) > 1 else task.fit.law, point, draws)
    about = (task.columns, point.params, task.setting)
    for other in () if _finite(point, pretrain, specialize) else task.fit.stand_ins:
        surface = Surface.of_points([other], *about)
        if _finite(surface, pretrain, specialize):
            drawn = [Surface.of_draws(other, *about)] if len(other.draws) else []
            return _Judge(other.law, surface, drawn)
    return own


def _finite(surface: Surface, pretrain: Array, specialize: Array) -> bool:
    return bool(np.isfinite(surface.mean(pretrain, specialize)[0, 0]))


def _baselines(
    task: Task,
    point: Surface,
    draws: list[Surface],
    constraint: Constraint,
    split: tuple[Array, Array],
) -> tuple[Baseline, ...]:
    """Every baseline at the FLOPs of the plan, compared with D, D'_k of the plan."""
    entries = []
    names = task.setting.domains
    planned = int(split[0][0, 0]), [int(tokens) for tokens in split[1][0, 0]]
    for strategy, d, s in recipes(constraint, *planned):
        if strategy == JOINT:
            entries.append(_unpredicted(strategy, d, dict(zip(names, s, strict=True))))
            continue
        pretrain, specialize = np.array([[float(d)]]), np.asarray(s, dtype=float)[None, None]
        judge = _judge(task, point, draws, pretrain, specialize)
        theirs = _drawn_means(judge.draws, pretrain, specialize)
        mean = float(judge.point.mean(pretrain, specialize)[0, 0])
        ours = _drawn_means(judge.draws, *split)
        known = np.isfinite(mean)
        entries.append(
            Baseline(
                strategy=strategy,
                pretrain_tokens=d,
                specialize_tokens=dict(zip(names, s, strict=True)),
                predicted_loss=_predicted(judge.point, judge.draws, pretrain, specialize),
                predicted_mean_loss=(mean, *_ends(theirs, mean)) if known else NO_LOSS,
                law=judge.law,
                probability_worse=float(np.mean(theirs > ours)) if ours.size else None,
            )
        )
    return tuple(entries)


def _unpredicted(strategy: str, pretrain: int, specialize: dict[str, int]) -> Baseline:
    """A baseline without predictions: no law covers a model that sees all domains mixed."""
    return Baseline(
        strategy=strategy,
        pretrain_tokens=pretrain,
        specialize_tokens=specialize,
        predicted_loss=dict.fromkeys(specialize, NO_LOSS),
        predicted_mean_loss=NO_LOSS,
        law=None,
        probability_worse=None,
    )


def _regrets(
    task: Task, size: float, constraint: Constraint, split: Split
) -> tuple[Candidate, ...]:
    """Each candidate's own optimum, and what the plan loses under it; null where infinite."""
    pretrain, specialize = split.pretrain[:, None], split.specialize[:, None]
    entries = []
    for member in (*task.fit.members, *task.fit.others):
        surface = Surface.of_points([member], task.columns, size, task.setting)
        own = best_split(surface, constraint)
        if not np.isfinite(own.mean[0]):
            continue
        regret = float(surface.mean(pretrain, specialize)[0, 0] - own.mean[0])
        entries.append(
            Candidate(
                law=member.law,
                weight=member.weight,
                fraction_general=float(fraction(own.pretrain, own.specialize, constraint)[0]),
                pretrain_tokens=float(own.pretrain[0]),
                regret=max(regret, 0.0) if np.isfinite(regret) else None,
            )
        )
    return tuple(entries)
