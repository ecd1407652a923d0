"""Mean loss against the general fraction at one budget."""

from typing import Any

import numpy as np
import pandas as pd

from splitlaw.laws.points import Array
from splitlaw.laws.result import FitResult, interval
from splitlaw.planner.allocate import Constraint, losses_at
from splitlaw.planner.surface import Surface
from splitlaw.planner.task import make_task

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

    One row per law and fraction: columns `law` (`mean` for what plans are made with, then each
    candidate), `fraction_general`, `pretrain_tokens`, `loss`, `loss_low`, `loss_high` (90%, at
    the split of the point estimate). `options` are those of `plan`. A law that is infinite
    somewhere has no row there.
    """
    task = make_task(fit, **options)
    constraint = task.constraint(flops, params)
    grid = np.linspace(0, 1, fractions) if isinstance(fractions, int) else np.asarray(fractions)
    frames = []
    drawn = task.draws(params)
    for number, member in enumerate((None, *fit.members, *fit.others)):
        members = fit.members if member is None else (member,)
        surface = Surface.of_points(members, task.columns, params, task.setting)
        draws = drawn if member is None else drawn[number - 1 : number]
        frame = _curve(surface, draws, constraint, grid)
        frames.append(frame.assign(law="mean" if member is None else member.law))
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
    constraint, surface = task.constraint(flops, params), task.point(params)
    grid = np.asarray(fractions, dtype=float)
    pretrain = (grid * constraint.tokens / constraint.trunks)[None]
    specialize = losses_at(surface, constraint, pretrain)[1]
    losses = surface.losses(pretrain, specialize)[0]
    count = len(task.setting.domains)
    return pd.DataFrame(
        {
            "fraction_general": np.repeat(grid, count),
            "domain": task.setting.domains * len(grid),
            "pretrain_tokens": np.repeat(pretrain[0], count),
            "specialize_tokens": specialize[0].ravel(),
            "predicted_loss": losses.ravel(),
        }
    )


def _curve(
    surface: Surface, draws: list[Surface], constraint: Constraint, grid: Array
) -> pd.DataFrame:
    pretrain = (grid * constraint.tokens / constraint.trunks)[None]
    mean, specialize = losses_at(surface, constraint, pretrain)
    pooled = [draw.mean(pretrain, specialize) for draw in draws]
    low, high = interval(np.concatenate(pooled) if pooled else np.zeros((0, len(grid))))
    return pd.DataFrame(
        {
            "fraction_general": grid,
            "pretrain_tokens": pretrain[0],
            "loss": mean[0],
            "loss_low": low,
            "loss_high": high,
        }
    )
