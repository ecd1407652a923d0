"""Mean loss against the general fraction at one budget."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.threads import one_blas_thread
from splitlaw.laws.result import FitResult, interval
from splitlaw.planner.constraint import Array
from splitlaw.planner.problem import Problem
from splitlaw.planner.replay import ReplaySurface
from splitlaw.planner.replay_task import make_replay_task
from splitlaw.planner.search import best_shares
from splitlaw.planner.strategies import WHOLE
from splitlaw.planner.task import check_size, make_task
from splitlaw.planner.within_limit import best_within, evaluated, longest_within

FRACTIONS = 41

OF_REPLAY = ("replay", "max_general_loss_rise", "limit_confidence", "base_general_loss")
"""Options of a plan with replay or with a limit on general loss."""


@one_blas_thread
def frontier(
    fit: FitResult,
    *,
    flops: float,
    params: float,
    fractions: Array | int = FRACTIONS,
    **options: Any,
) -> pd.DataFrame:
    """Mean domain loss at each general fraction, domain tokens shared in the best way.

    One row per law and fraction: columns `law` (`mean` for the average that plans are made with,
    then each form of several), `fraction_general`, `pretrain_tokens`, `loss`, `loss_low`,
    `loss_high` (90%, at the split that is best under the law itself). `options` are those of
    `splitlaw.plan`. A law that is infinite somewhere has no row there, nor is there one where no
    split keeps a limit on general loss.
    """
    problem = _problem(fit, flops, params, options)
    grid = np.linspace(0, 1, fractions) if isinstance(fractions, int) else np.asarray(fractions)
    forms = [(member.law, fit.only(member.law)) for member in fit.members]
    frames = [
        _curve(replace(problem, surface=replace(problem.surface, fit=law)), grid).assign(law=name)
        for name, law in [("mean", fit), *forms]
    ]
    table = pd.concat(frames, ignore_index=True)
    order = ["law", "fraction_general", "pretrain_tokens", "loss", "loss_low", "loss_high"]
    return table.loc[np.isfinite(table["loss"]), order].reset_index(drop=True)


@one_blas_thread
def splits_at(
    fit: FitResult,
    *,
    flops: float,
    params: float,
    fractions: Array,
    even: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """The best split of a budget at each general fraction, in tokens.

    With `even`, every domain has the same tokens, but where a limit on general loss requires it,
    fewer; the budget is then not spent.

    One row per fraction and domain: `fraction_general`, `domain`, `pretrain_tokens`,
    `specialize_tokens`, `predicted_loss` (nats per token), and `replay` with a base, with replay or
    with a limit on general loss. `pretrain_tokens` include those of a base whose tokens are known;
    the fraction does not. `options` are those of `splitlaw.plan`. Raises `UserError` for a fraction
    at which no split keeps the limit.
    """
    problem = _problem(fit, flops, params, options)
    grid = np.asarray(fractions, dtype=float)
    pretrain, surface = _pretrain(problem, grid), problem.surface
    replayed = {}
    if isinstance(surface, ReplaySurface):
        specialize, shares = _branches(problem, surface, grid, even=even)
        losses = surface.laws.domain(pretrain, specialize, shares)
        specialize, replayed = (1 - shares) * specialize, {"replay": shares.ravel()}
    else:
        specialize = _even(problem, pretrain) if even else best_shares(problem, pretrain)[0]
        losses = surface.losses(pretrain, specialize)
    count = problem.domains
    return pd.DataFrame(
        {
            "fraction_general": np.repeat(grid, count),
            "domain": surface.setting.domains * len(grid),
            "pretrain_tokens": np.repeat(_start(problem) + pretrain, count),
            "specialize_tokens": specialize.ravel(),
            "predicted_loss": losses.ravel(),
            **replayed,
        }
    )


def _problem(fit: FitResult, flops: float, params: float, options: dict[str, Any]) -> Problem:
    """The losses and the budget of a plan with these options."""
    of_replay = {name: options.pop(name, None) for name in OF_REPLAY}
    task = make_task(fit, **options)
    if fit.base is None and all(value is None for value in of_replay.values()):
        check_size(fit, params)
        return Problem(task.surface(params), task.constraint(flops, params))
    made = make_replay_task(task, flops=flops, params=params, **of_replay)
    return Problem(made.surface(), made.constraint)


def _pretrain(problem: Problem, grid: Array) -> Array:
    """D at each general fraction [g], after a base."""
    return np.asarray(grid * problem.constraint.tokens / problem.constraint.trunks)


def _even(problem: Problem, pretrain: Array) -> Array:
    """The same tokens for every domain [g, k] at each D [g]."""
    left = problem.constraint.left(pretrain)[:, None]
    return np.asarray(left / problem.domains * np.ones(problem.domains))


def _start(problem: Problem) -> float:
    """Tokens of a base that D of the law counts."""
    return problem.surface.start if isinstance(problem.surface, ReplaySurface) else 0.0


def _branches(
    problem: Problem, surface: ReplaySurface, grid: Array, *, even: bool
) -> tuple[Array, Array]:
    """Whole tokens T and shares of replay [g, k] of branches that keep the limit."""
    pretrain = _pretrain(problem, grid)
    if surface.limited and not even:
        tokens, shares, mean = best_within(problem, pretrain)
    else:
        branch = _even(problem, pretrain) if even else best_shares(problem, pretrain)[0]
        tokens, shares, mean = np.floor(branch + WHOLE), np.zeros_like(branch), np.zeros(len(grid))
        for g, d in enumerate(pretrain):
            longest = longest_within(surface, d, tokens[g])
            tokens[g], shares[g], mean[g] = evaluated(surface, d, longest)
    if surface.limited and not np.isfinite(mean).all():
        raise UserError(
            f"no split with {grid[np.argmax(mean)]:.3g} of its tokens general keeps the limit on "
            "general loss; remove this fraction"
        )
    return tokens, shares


def _curve(problem: Problem, grid: Array) -> pd.DataFrame:
    pretrain, surface = _pretrain(problem, grid), problem.surface
    if isinstance(surface, ReplaySurface) and surface.limited:
        specialize, shares, mean = best_within(problem, pretrain)
        drawn = surface.laws.domain(pretrain, specialize, shares, drawn=True)
        low, high = interval(drawn @ surface.setting.weights)
    else:
        specialize, mean, _ = best_shares(problem, pretrain)
        low, high = interval(surface.drawn_means(pretrain, specialize))
    return pd.DataFrame(
        {
            "fraction_general": grid,
            "pretrain_tokens": _start(problem) + pretrain,
            "loss": mean,
            "loss_low": low,
            "loss_high": high,
        }
    )
