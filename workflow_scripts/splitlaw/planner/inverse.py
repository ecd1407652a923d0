"""The inverse question: the least compute for a target mean loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.laws.result import FitResult
from splitlaw.planner.allocate import best_split
from splitlaw.planner.plan import plan
from splitlaw.planner.result import Plan
from splitlaw.planner.sizes import best_size
from splitlaw.planner.task import make_task

DECADES = 15
HALVINGS = 40


def least_compute(
    fit: FitResult, *, loss: float, params: float | Sequence[float] | None = None, **options: Any
) -> Plan:
    """The plan of the least FLOPs whose predicted mean loss is `loss` (nats per token).

    `params` and `options` as in `plan`. Raises `UserError` where no budget reaches the loss.
    """
    task = make_task(fit, **options)
    if not (np.isfinite(loss) and loss > 0):
        raise UserError(f"target loss is {loss:g}; give a finite number above 0")

    def reached(log_flops: float) -> bool:
        flops = float(np.exp(log_flops))
        size = best_size(task.point, lambda n: task.constraint(flops, n), fit, params)
        best = best_split(task.point(size), task.constraint(flops, size), rounds=6)
        return bool(best.mean[0] <= loss)

    size = fit.range["params"][0]
    middle = np.log(task.cost(size) * max(fit.range["pretrain_tokens"][1], 1.0))
    low, high = middle - DECADES * np.log(10), middle + DECADES * np.log(10)
    if not reached(high):
        raise UserError(
            f"target loss {loss:g}: no budget reaches it under this law; give a higher one"
        )
    for _ in range(HALVINGS):
        half = 0.5 * (low + high)
        low, high = (low, half) if reached(half) else (half, high)
    return plan(fit, flops=float(np.exp(high)), params=params, **options)
