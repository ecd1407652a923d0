"""The rule from size to learning rate, measured on the user's own general text.

Unsplit runs of several sizes are trained at several peak rates and cooled down. A parabola through
the losses around the best rate, over the logarithm of the rate, gives each size's optimum; a power
of N through the optima is the rule, the form that the training config takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from splitlaw.errors import Diverged, UserError
from splitlaw.files import atomic_path, write_json
from splitlaw.paths import GENERAL, Run

if TYPE_CHECKING:
    from splitlaw.runs import Job
    from splitlaw.training import Execution, Trainer

COLUMNS = ["size", "params", "learning_rate", "tokens", "loss", "loss_stderr"]
AROUND = 2
"""Rates on either side of the best one that the parabola goes through."""


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The best rate of a size."""

    size: str
    """Its name."""
    params: int
    """Its parameters."""
    learning_rate: float
    """The parabola's lowest point, or the best rate tried where that is the first or last."""
    loss: float
    """Loss there, nats per token."""
    curvature: float
    """The parabola's: loss lost at a rate that is off by a factor e; 0 at an edge."""
    edge: str
    """`smallest` or `largest` where the best rate was the first or the last tried, else empty."""


def sweep(
    job: Job, rates: Sequence[float], tokens: int, *, execution: Execution, out: Path
) -> None:
    """Train the job's size at each rate on `tokens` of general text, and evaluate it there."""
    from splitlaw.runs import finish, write_table

    run = Run(domain=GENERAL, pretrain_steps=job.recipe.steps(tokens), specialize_steps=0)
    rows = []
    for rate in sorted(rates):
        recipe = replace(job.recipe, learning_rate=rate, learning_rate_exponent=0.0)
        trainer = replace(job, recipe=recipe).trainer([GENERAL], execution, f"at {rate:.1e}")
        trainer.expect([run.path(recipe.cooldown_fraction)])
        losses = _losses(job, trainer, run)
        row = {"size": job.size, "params": job.shape.params, "learning_rate": rate}
        rows.append({**row, "tokens": run.total * recipe.batch_tokens, **losses})
        finish(trainer)
    trainer.world.decide(lambda: write_table(out, rows, COLUMNS))


def _losses(job: Job, trainer: Trainer, run: Run) -> dict[str, float]:
    from splitlaw.evaluation import evaluate
    from splitlaw.runs import summarise

    try:
        trainer.reach(run.path(job.recipe.cooldown_fraction))
    except Diverged:
        return {}
    return summarise(evaluate(trainer.model, job.windows([GENERAL])[GENERAL]))


def read_rates(tables: Sequence[Path]) -> pd.DataFrame:
    """The losses of all sizes; a run that diverged has no loss."""
    rows = pd.concat([pd.read_csv(table) for table in tables], ignore_index=True)
    return rows.sort_values(["params", "learning_rate"], ignore_index=True)


def optimum(rows: pd.DataFrame) -> Optimum:
    """The best rate of one size from its rows, which hold three rates or more."""
    size, params = str(rows["size"].iloc[0]), int(rows["params"].iloc[0])
    rows = rows.dropna(subset="loss")
    if len(rows) < 3:
        raise UserError(
            f"tune_learning_rate.rates: only {len(rows)} of them trained size {size} without "
            "diverging; give smaller ones"
        )
    rates, losses = np.log(rows["learning_rate"].to_numpy()), rows["loss"].to_numpy()
    best = int(losses.argmin())
    found = partial(Optimum, size=size, params=params)
    if best in (0, len(rows) - 1):
        edge = "largest" if best else "smallest"
        rate, loss = float(np.exp(rates[best])), float(losses[best])
        return found(learning_rate=rate, loss=loss, curvature=0.0, edge=edge)
    near = slice(max(0, best - AROUND), best + AROUND + 1)
    curve = np.polynomial.Polynomial.fit(rates[near], losses[near], 2).convert()
    slope, curvature = float(curve.coef[1]), float(curve.coef[2])
    # Its losses rise on both sides, so the parabola opens upwards; noise may yet move its lowest
    # point past a neighbour, where it would be extrapolation.
    lowest = -slope / (2 * curvature) if curvature > 0 else float(rates[best])
    lowest = float(np.clip(lowest, rates[best - 1], rates[best + 1]))
    return found(
        learning_rate=float(np.exp(lowest)),
        loss=float(curve(lowest)),
        curvature=max(curvature, 0.0),
        edge="",
    )


def power_rule(optima: Sequence[Optimum], reference_params: int) -> tuple[float, float]:
    """Rate at `reference_params` and exponent of N: least squares over logarithms."""
    if len({best.params for best in optima}) < 2:
        raise UserError(
            "tune_learning_rate.sizes: one size shows no rule from size to rate; name two or more"
        )
    params = np.log([best.params / reference_params for best in optima])
    rates = np.log([best.learning_rate for best in optima])
    exponent, level = np.polyfit(params, rates, 1)
    return float(np.exp(level)), float(exponent)


def write_rule(tables: Sequence[Path], *, reference_params: int, out: Path) -> str:
    """Fit the rule, write it to `out` and the rates beside it; give it in the config's words."""
    rows = read_rates(tables)
    optima = [optimum(part) for _, part in rows.groupby("params")]
    rate, exponent = power_rule(optima, reference_params)

    def lost(best: Optimum) -> float:
        off = np.log(rate * (best.params / reference_params) ** exponent / best.learning_rate)
        return float(best.curvature * off**2)

    warnings = [
        f"the best rate of {best.size} is the {best.edge} that was tried, "
        f"{best.learning_rate:g}: widen tune_learning_rate.rates"
        for best in optima
        if best.edge
    ]
    with atomic_path(out.with_name("rates.csv")) as temporary:
        rows.to_csv(temporary, index=False)
    content = {
        "learning_rate": float(f"{rate:.2g}"),
        "reference_params": reference_params,
        "learning_rate_exponent": round(exponent, 2),
        "optima": [{**vars(best), "lost_by_the_rule": lost(best)} for best in optima],
        "warnings": warnings,
    }
    write_json(out, content)
    return "\n".join(
        [
            "training:",
            f"  learning_rate: {content['learning_rate']:.1e}",
            f"  reference_params: {reference_params}",
            f"  learning_rate_exponent: {content['learning_rate_exponent']}",
            *(f"# {best.size}: best {best.learning_rate:.2e}" for best in optima),
            *(f"# {warning}" for warning in warnings),
        ]
    )
