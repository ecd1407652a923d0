"""Mean loss against the general fraction at one budget."""

from typing import Any

import numpy as np
import pandas as pd

from splitlaw.laws.result import FitResult, interval
from splitlaw.planner.constraint import Array, Constraint
from splitlaw.planner.problem import Problem
from splitlaw.planner.search import best_shares
from splitlaw.planner.surface import Surface
from splitlaw.planner.task import check_size, make_task

FRACTIONS = 41


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
    `plan`. A law that is infinite somewhere has no row there.
    """
    task = make_task(fit, **options)
    check_size(fit, params)
    constraint = task.constraint(flops, params)
    grid = np.linspace(0, 1, fractions) if isinstance(fractions, int) else np.asarray(fractions)
    curves = [("mean", task.surface(params))]
    curves += [(m.law, task.surface(params, m.law)) for m in fit.members]
    frames = [_curve(surface, constraint, grid).assign(law=law) for law, surface in curves]
    table = pd.concat(frames, ignore_index=True)
    order = ["law", "fraction_general", "pretrain_tokens", "loss", "loss_low", "loss_high"]
    return table.loc[np.isfinite(table["loss"]), order].reset_index(drop=True)


def splits_at(
    fit: FitResult, *, flops: float, params: float, fractions: Array, **options: Any
) -> pd.DataFrame:
    """The best split of a budget at each general fraction, in tokens.

    One row per fraction and domain: `fraction_general`, `domain`, `pretrain_tokens`,
    `specialize_tokens`, `predicted_loss` (nats per token). `options` are those of `plan`.
    """
    task = make_task(fit, **options)
    check_size(fit, params)
    constraint, surface = task.constraint(flops, params), task.surface(params)
    grid = np.asarray(fractions, dtype=float)
    pretrain = grid * constraint.tokens / constraint.trunks
    specialize = best_shares(Problem(surface, constraint), pretrain)[0]
    losses = surface.losses(pretrain, specialize)
    count = len(task.setting.domains)
    return pd.DataFrame(
        {
            "fraction_general": np.repeat(grid, count),
            "domain": task.setting.domains * len(grid),
            "pretrain_tokens": np.repeat(pretrain, count),
            "specialize_tokens": specialize.ravel(),
            "predicted_loss": losses.ravel(),
        }
    )


def _curve(surface: Surface, constraint: Constraint, grid: Array) -> pd.DataFrame:
    pretrain = grid * constraint.tokens / constraint.trunks
    specialize, mean, _ = best_shares(Problem(surface, constraint), pretrain)
    low, high = interval(surface.drawn_means(pretrain, specialize))
    return pd.DataFrame(
        {
            "fraction_general": grid,
            "pretrain_tokens": pretrain,
            "loss": mean,
            "loss_low": low,
            "loss_high": high,
        }
    )
