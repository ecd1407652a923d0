"""The choice of N: given, from a list, or free."""

from collections.abc import Callable, Sequence

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.laws.result import FitResult
from splitlaw.planner.allocate import Constraint, best_split
from splitlaw.planner.surface import Surface

SMALLER, LARGER = 1e-2, 1e4
"""How far below the smallest and above the largest measured size a free N is looked for."""

GRID = 49
ZOOMS = 6


def best_size(
    surface: Callable[[float], Surface],
    constraint: Callable[[float], Constraint],
    fit: FitResult,
    params: float | Sequence[float] | None,
) -> float:
    """The N with the least mean loss: of those given, or any (the law is not convex in N)."""
    least, most = fit.range["params"]
    if params is None and least == most:
        return least
    if params is not None:
        given = [float(n) for n in np.atleast_1d(np.asarray(params, dtype=float))]
        if not all(np.isfinite(n) and n > 0 for n in given):
            raise UserError(f"params is {params}; give finite numbers above 0")
        if len(given) == 1:
            return given[0]
        return given[int(np.argmin([_loss(surface, constraint, n) for n in given]))]
    logs = np.linspace(np.log(least * SMALLER), np.log(most * LARGER), GRID)
    best = logs[0]
    for _ in range(ZOOMS):
        losses = [_loss(surface, constraint, float(np.exp(v))) for v in logs]
        at = int(np.argmin(losses))
        best = logs[at]
        logs = np.linspace(logs[max(at - 1, 0)], logs[min(at + 1, len(logs) - 1)], 7)
    return float(np.exp(best))


def _loss(
    surface: Callable[[float], Surface], constraint: Callable[[float], Constraint], params: float
) -> float:
    return float(best_split(surface(params), constraint(params), rounds=5).mean[0])
