"""The inverse question: the least compute for a target mean loss."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from splitlaw.common.errors import UserError
from splitlaw.common.threads import one_blas_thread
from splitlaw.laws.result import FitResult
from splitlaw.planner.plan import MOST_TOKENS, plan
from splitlaw.planner.problem import Problem
from splitlaw.planner.result import Plan
from splitlaw.planner.search import best_split
from splitlaw.planner.sizes import best_size, size_loss
from splitlaw.planner.task import Task, check_no_base, make_task

DECADES = 15
"""How far from the measured budgets a budget is searched."""

PRECISION = 1e-6
"""Relative precision of the budget."""

NEAR = 0.02
"""Logarithm of the factor between the budget from coarse tables and that of the plan; it is
doubled until it is wide enough."""


@one_blas_thread
def least_compute(
    fit: FitResult, *, loss: float, params: float | Sequence[float] | None = None, **options: Any
) -> Plan:
    """The plan with the fewest FLOPs whose predicted mean loss is `loss` (nats per token).

    `params` and `options` as in `plan`. Raises `UserError` where no budget reaches the loss.
    """
    check_no_base(fit, "a target loss")
    task = make_task(fit, **options)
    if not (np.isfinite(loss) and loss > 0):
        raise UserError(f"target loss is {loss:g}; give a finite number above 0")

    def coarse(log_flops: float) -> float:
        flops = float(np.exp(log_flops))
        return _finite(size_loss(task, flops, best_size(task, flops, params)) - loss)

    about = brentq(coarse, *_bracket(task, loss, coarse), xtol=1e-3)
    size = best_size(task, float(np.exp(about)), params)

    def exact(log_flops: float) -> float:
        problem = Problem(task.surface(size), task.constraint(float(np.exp(log_flops)), size))
        return _finite(float(best_split(problem)[0].mean) - loss)

    reach = NEAR
    while exact(about - reach) <= 0 or exact(about + reach) > 0:
        reach *= 2
    found = brentq(exact, about - reach, about + reach, xtol=PRECISION / 10)
    flops = float(np.exp(found + PRECISION))
    if flops > MOST_TOKENS * task.cost(size):
        raise UserError(
            f"target loss {loss:g} takes {flops:.3g} FLOPs at {size:.4g} parameters under this "
            f"law; a plan has at most {MOST_TOKENS:.1g} tokens: give a higher one"
        )
    return plan(fit, flops=flops, params=size, **options)


def _finite(excess: float) -> float:
    """An excess of loss that a root search can work with, where no split is possible."""
    return min(excess, 1e6)


def _bracket(task: Task, loss: float, excess: Callable[[float], float]) -> tuple[float, float]:
    """Logarithms of two budgets, a decade apart, of which the larger alone reaches the loss."""
    measured, decade = task.fit.range, np.log(10.0)
    tokens = max(measured["pretrain_tokens"][1], measured["specialize_tokens"][1], 1.0)
    start = float(np.log(task.cost(measured["params"][0]) * tokens))
    if excess(start + DECADES * decade) > 0:
        raise UserError(
            f"target loss {loss:g}: no budget reaches it under this law; give a higher one"
        )
    direction = 1 if excess(start) > 0 else -1
    for _ in range(2 * DECADES):
        after = start + direction * decade
        if (excess(after) > 0) != (direction > 0):
            return min(start, after), max(start, after)
        start = after
    raise UserError(f"target loss {loss:g}: any budget reaches it under this law; give a lower one")
