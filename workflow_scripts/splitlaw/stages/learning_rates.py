"""The rule from size to learning rate, measured on the user's own general text.

Unsplit runs of several sizes are trained at several peak rates and cooled down. Around its best
rate a size's loss is a parabola over the logarithm of the rate. Lowest points and curvatures, each
on a power of N, are fitted to all sizes together: single sizes are too noisy to show where their
flat valleys are deepest, and the valleys of large models are steeper. The rule has the form that
the training config takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from splitlaw.common.errors import Diverged, UserError
from splitlaw.common.files import atomic_path, write_json
from splitlaw.experiment.lineage import GENERAL, Run

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job
    from splitlaw.training.loop import Trainer

COLUMNS = ["size", "params", "learning_rate", "tokens", "loss", "loss_stderr"]
VALLEY = 4.5
"""Losses count up to this factor from their size's best rate; further out it is no parabola."""

MIN_SPARE = 3
"""Runs more than parameters from which on the curvature may go with N."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The learning rate as a power of N."""

    learning_rate: float
    """Peak rate at `reference_params`."""
    reference_params: int
    """Parameters at which it holds."""
    exponent: float
    """The rate goes with N to this power."""
    learning_rate_error: float
    """Standard error of `learning_rate`, relative."""
    exponent_error: float
    """Standard error of `exponent`."""
    curvature: float
    """Nats per token lost at `reference_params` with a rate that is off by a factor e."""
    curvature_exponent: float
    """The curvature goes with N to this power; 0 where too few runs were swept to tell."""
    curvature_exponent_error: float
    """Standard error of `curvature_exponent`."""

    def at(self, params: int) -> float:
        """The peak rate of a model of `params` parameters."""
        return self.learning_rate * (params / self.reference_params) ** self.exponent


def sweep(
    job: Job, rates: Sequence[float], tokens: int, *, execution: ExecutionConfig, out: Path
) -> None:
    """Train the job's size at each rate on `tokens` of general text, and evaluate it there."""
    from splitlaw.stages.grid import finish, write_table

    run = Run(domain=GENERAL, pretrain_steps=job.recipe.steps(tokens), specialize_steps=0)
    rows = []
    for rate in sorted(rates):
        changes = {"learning_rate": rate, "learning_rate_exponent": 0.0}
        recipe = job.recipe.model_copy(update=changes)
        trainer = replace(job, recipe=recipe).trainer([GENERAL], execution, f"at {rate:.1e}")
        trainer.expect([run.lineage(recipe.cooldown_fraction)])
        losses = _losses(job, trainer, run)
        row = {"size": job.size, "params": job.shape.params, "learning_rate": rate}
        rows.append({**row, "tokens": run.total * recipe.batch_tokens, **losses})
        finish(trainer)
    trainer.world.decide(lambda: write_table(out, rows, COLUMNS))


def _losses(job: Job, trainer: Trainer, run: Run) -> dict[str, float]:
    from splitlaw.stages.grid import summarise
    from splitlaw.training.evaluation import evaluate

    try:
        trainer.reach(run.lineage(job.recipe.cooldown_fraction))
    except Diverged:
        return {}
    return summarise(evaluate(trainer.model, job.windows([GENERAL])[GENERAL]))


def read_rates(tables: Sequence[Path]) -> pd.DataFrame:
    """The losses of all sizes; a run that diverged has no loss."""
    rows = pd.concat([pd.read_csv(table) for table in tables], ignore_index=True)
    return rows.sort_values(["params", "learning_rate"], ignore_index=True)


def in_the_valley(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose rate is near their size's best; a run that diverged has none."""
    kept = []
    for size, part in rows.dropna(subset="loss").groupby("size", sort=False):
        if len(part) < 3:
            raise UserError(
                f"tune_learning_rate.rates: only {len(part)} of them trained size {size} without "
                "diverging; give smaller ones"
            )
        best = part["learning_rate"][part["loss"].idxmin()]
        kept.append(part[part["learning_rate"].between(best / VALLEY, best * VALLEY)])
    return pd.concat(kept)


def fit_rule(rows: pd.DataFrame, reference_params: int) -> Rule:
    """Least squares over all sizes: a level each; lowest points and curvatures on powers of N."""
    rows = in_the_valley(rows)
    sizes, index = np.unique(rows["params"], return_inverse=True)
    if len(sizes) < 2:
        raise UserError(
            "tune_learning_rate.sizes: one size shows no rule from size to rate; name two or more"
        )
    rate, loss = np.log(rows["learning_rate"].to_numpy()), rows["loss"].to_numpy()
    params = np.log(rows["params"].to_numpy() / reference_params)
    of_size = [index == number for number in range(len(sizes))]
    spare = len(loss) - len(sizes) - 3
    if spare < 1:
        raise UserError(
            f"tune_learning_rate.rates: only {len(loss)} runs lie near the best rate of their "
            f"size, and {len(sizes) + 4} are needed; give more rates, each twice the one before"
        )
    steeper = int(len(sizes) > 2 and spare > MIN_SPARE)

    def residuals(point: NDArray[np.float64]) -> NDArray[np.float64]:
        level, exponent, curvature = point[:3]
        slope = point[3] if steeper else 0.0
        off = rate - level - exponent * params
        return loss - point[3 + steeper + index] - np.exp(curvature + slope * params) * off**2

    lowest = [loss[one].min() for one in of_size]
    middle = np.mean([rate[one][loss[one].argmin()] for one in of_size])
    start = np.array([middle, -0.5, np.log(0.05), *[0.0] * steeper, *lowest])
    found = least_squares(residuals, start)
    variance = 2 * found.cost / (spare - steeper)
    errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * variance)
    return Rule(
        learning_rate=float(np.exp(found.x[0])),
        reference_params=reference_params,
        exponent=float(found.x[1]),
        learning_rate_error=float(errors[0]),
        exponent_error=float(errors[1]),
        curvature=float(np.exp(found.x[2])),
        curvature_exponent=float(found.x[3]) if steeper else 0.0,
        curvature_exponent_error=float(errors[3]) if steeper else 0.0,
    )


def edge_warnings(rows: pd.DataFrame) -> list[str]:
    """Sizes whose best rate was the first or the last that was tried."""
    warnings = []
    for size, part in rows.groupby("size", sort=False):
        tried = part["learning_rate"].to_numpy()
        best = part["learning_rate"][part["loss"].idxmin()]
        if best in (tried.min(), tried.max()):
            edge = "smallest" if best == tried.min() else "largest"
            warnings.append(
                f"the best rate of {size} is the {edge} that was tried, {best:g}: widen "
                "tune_learning_rate.rates"
            )
    return warnings


def write_rule(tables: Sequence[Path], *, reference_params: int, out: Path) -> str:
    """Fit the rule, write it to `out` and the rates beside it; give it in the config's words."""
    rows = read_rates(tables)
    rule, warnings = fit_rule(rows, reference_params), edge_warnings(rows)
    with atomic_path(out.with_name("rates.csv")) as temporary:
        rows.to_csv(temporary, index=False)
    sizes = rows.drop_duplicates("size")[["size", "params"]].itertuples(index=False)
    rates = {str(size): rule.at(int(params)) for size, params in sizes}
    write_json(out, {**asdict(rule), "rates": rates, "warnings": warnings})
    return "\n".join(
        [
            "training:",
            f"  learning_rate: {rule.learning_rate:.1e}  # within {rule.learning_rate_error:.0%}",
            f"  reference_params: {reference_params}",
            f"  learning_rate_exponent: {rule.exponent:.2f}  # within {rule.exponent_error:.2f}",
            *(f"# {size}: {rate:.2e}" for size, rate in rates.items()),
            *(f"# {warning}" for warning in warnings),
        ]
    )
