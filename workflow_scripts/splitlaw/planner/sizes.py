"""The choice of N: given, from a list, or free."""

from collections.abc import Sequence

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.planner.constraint import Array
from splitlaw.planner.optima import tabulated_optima
from splitlaw.planner.problem import COARSE, Problem
from splitlaw.planner.task import Task, check_size

SMALLER, LARGER = 1e-2, 1e4
"""How far below the smallest and above the largest measured size a free N is searched."""

STEP = 1.0
"""Largest step of the first search, in the logarithm of N: a factor of 2.7, over which the loss of
the best split changes smoothly."""

ZOOMS = 5
"""Refinements, each by a factor of 2: to 3% of N, around which the loss is flat."""


def best_size(task: Task, flops: float, params: float | Sequence[float] | None) -> float:
    """The N with the lowest mean loss: of those given, or any (the law is not convex in N)."""
    least, most = task.fit.range["params"]
    if params is None and least == most:
        return least
    if params is not None:
        given = [float(n) for n in np.atleast_1d(np.asarray(params, dtype=float))]
        check_params(*given)
        for n in given:
            check_size(task.fit, n)
        if len(given) == 1:
            return given[0]
        return given[int(np.argmin([size_loss(task, flops, n) for n in given]))]
    low, high = np.log(least * SMALLER), np.log(most * LARGER)
    return _lowest(task, flops, np.linspace(low, high, 1 + int(np.ceil((high - low) / STEP))))


def check_params(*params: float) -> None:
    """Refuse numbers that are no model size."""
    for number in params:
        if not (np.isfinite(number) and number > 0):
            raise UserError(f"params is {number:g}; give a finite number above 0")


def _lowest(task: Task, flops: float, logs: Array) -> float:
    """The N with the lowest mean loss: on a grid of logarithms, then between its neighbours."""
    losses = [size_loss(task, flops, float(np.exp(v))) for v in logs]
    at = int(np.argmin(losses))
    best, lowest, step = float(logs[at]), losses[at], float(logs[1] - logs[0])
    for _ in range(ZOOMS):
        step /= 2
        for log in (best - step, best + step):
            loss = size_loss(task, flops, float(np.exp(log)))
            if loss < lowest:
                best, lowest = log, loss
                break
    return float(np.exp(best))


def size_loss(task: Task, flops: float, params: float) -> float:
    """Mean loss of the best split at a size, from a coarse grid."""
    problem = Problem(task.surface(params), task.constraint(flops, params))
    return float(tabulated_optima(problem, drawn=False, grid=COARSE).mean[0])
