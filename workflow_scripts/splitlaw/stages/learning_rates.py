"""The peak learning rate as a power of N, measured on the user's own general text.

Unsplit runs of several sizes are trained at several peak rates and cooled down. Near its best rate,
the loss of a size is a parabola in the logarithm of the rate. Best rate and curvature, each a power
of N, are fitted to all sizes together: the minimum of a single size is flat and the losses are
noisy, and the curvature of large models is larger. The training configuration takes the fitted
power law as it is.
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
from splitlaw.common.files import write_json
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import LEARNING_RATES
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.stages.gather import read_tables

if TYPE_CHECKING:  # the power law is fitted without torch
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.job import Job
    from splitlaw.training.loop import Trainer

LARGEST_FACTOR = 4.5
"""Rates further from the best one of their size are not fitted, because the loss is no parabola
there. The range includes two rates on each side where each rate is twice the one before."""

FARTHEST = 1000.0
"""A best rate of a fit that is more than so many times outside of the rates that were tried says
that the losses hardly depend on the rate."""

MIN_DEGREES_OF_FREEDOM = 3
"""With fewer, the exponent of the curvature is not fitted: its standard error would exceed it."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The peak learning rate as a power of N."""

    learning_rate: float
    """Peak rate at `reference_params`."""
    reference_params: int
    """Number of parameters that `learning_rate` is for."""
    exponent: float
    """The rate is proportional to N to this power."""
    learning_rate_error: float
    """Relative standard error of `learning_rate`."""
    exponent_error: float
    """Standard error of `exponent`."""
    curvature: float
    """Excess loss at `reference_params` for a rate that is wrong by a factor e, nats per token."""
    curvature_exponent: float
    """The curvature is proportional to N to this power; 0 if there are too few runs to fit it."""
    curvature_exponent_error: float
    """Standard error of `curvature_exponent`."""

    def at(self, params: int) -> float:
        """Peak rate of a model of `params` parameters."""
        return self.learning_rate * (params / self.reference_params) ** self.exponent


def sweep(
    job: Job, rates: Sequence[float], tokens: int, *, execution: ExecutionConfig, out: Path
) -> None:
    """Train the job's size at each rate on `tokens` of general text and evaluate it on such text.

    A run that diverges has a row without a loss.
    """
    from splitlaw.stages.grid import finish

    run = Run(domain=GENERAL, pretrain_steps=job.training.steps(tokens), specialize_steps=0)
    rows = []
    for rate in sorted(rates):
        changes = {"learning_rate": rate, "learning_rate_exponent": 0.0}
        training = job.training.model_copy(update=changes)
        trainer = replace(job, training=training).trainer([GENERAL], execution, f"at {rate:.1e}")
        trainer.expect([job.lineage(run)])
        losses = _losses(job, trainer, run)
        row = {"size": job.size, "params": job.shape.params, "learning_rate": rate}
        rows.append({**row, "tokens": job.tokens(run.total), **losses})
        finish(trainer)
    table = pd.DataFrame(rows, columns=LEARNING_RATES)
    trainer.world.on_main(lambda: write_result_table(out, table))


def _losses(job: Job, trainer: Trainer, run: Run) -> dict[str, float]:
    from splitlaw.stages.loss_rows import loss_numbers
    from splitlaw.training.evaluation import evaluate

    try:
        trainer.reach(job.lineage(run))
    except Diverged:
        return {}
    return loss_numbers(evaluate(trainer.model, job.windows([GENERAL])[GENERAL]))


def read_rates(tables: Sequence[Path]) -> pd.DataFrame:
    """Losses of all sizes; a run that diverged has none."""
    rows = read_tables(tables)
    return rows.sort_values(["params", "learning_rate"], ignore_index=True)


def near_best_rate(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose rate is within `LARGEST_FACTOR` of their size's best one.

    Raises `UserError` if fewer than three runs of a size did not diverge.
    """
    kept = []
    for size, part in rows.dropna(subset="loss").groupby("size", sort=False):
        if len(part) < 3:
            raise UserError(
                f"tune_learning_rate.rates: only {len(part)} of them trained size {size} without "
                "divergence, and 3 are required; give lower rates"
            )
        best = part["learning_rate"][part["loss"].idxmin()]
        kept.append(
            part[part["learning_rate"].between(best / LARGEST_FACTOR, best * LARGEST_FACTOR)]
        )
    return pd.concat(kept)


@dataclass(frozen=True, kw_only=True)
class _Parabolas:
    """The loss of each size as a parabola in the logarithm of the rate; arrays are by run."""

    rate: Array
    """Logarithm of the peak rate."""
    params: Array
    """Logarithm of N, relative to the reference."""
    loss: Array
    """Nats per token."""
    size: NDArray[np.intp]
    """Number of the run's size, from 0."""
    sizes: int
    """Number of sizes."""

    @property
    def has_exponent(self) -> bool:
        """Whether the best rate has an exponent; one size, that of a base, determines none."""
        return self.sizes > 1

    @property
    def degrees_of_freedom(self) -> int:
        """Runs minus parameters: a lowest loss per size, best rate and its exponent, curvature."""
        return len(self.loss) - self.sizes - 2 - self.has_exponent

    @property
    def has_slope(self) -> bool:
        """Whether the curvature has an exponent; two sizes alone would fit it to their noise."""
        return self.sizes > 2 and self.degrees_of_freedom > MIN_DEGREES_OF_FREEDOM

    def unpack(self, point: Array) -> tuple[float, float, float, float, Array]:
        """Logarithm and exponent of the best rate, those of the curvature, lowest losses."""
        common = 2 + self.has_exponent + self.has_slope
        rate, curvature, *more = point[:common]
        exponent = more[0] if self.has_exponent else 0.0
        slope = more[-1] if self.has_slope else 0.0
        return rate, exponent, curvature, slope, point[common:]

    def residuals(self, point: Array) -> Array:
        """Measured minus fitted losses."""
        rate, exponent, curvature, slope, lowest = self.unpack(point)
        off = self.rate - rate - exponent * self.params
        return self.loss - lowest[self.size] - np.exp(curvature + slope * self.params) * off**2

    def start(self) -> Array:
        """Parameters to start from: best measured rates, and usual curvature and exponent."""
        of_size = [self.size == number for number in range(self.sizes)]
        middle = np.mean([self.rate[one][self.loss[one].argmin()] for one in of_size])
        more = [-0.5] * self.has_exponent + [0.0] * self.has_slope
        return np.array([middle, np.log(0.05), *more, *(self.loss[one].min() for one in of_size)])


def fit_rule(rows: pd.DataFrame, reference_params: int) -> Rule:
    """Least squares over all sizes, with best rates and curvatures on powers of N.

    Each size has its own lowest loss. Raises `UserError` for too few runs, and for losses without a
    lowest value near the rates.
    """
    rows = near_best_rate(rows)
    sizes, index = np.unique(rows["params"], return_inverse=True)
    curves = _Parabolas(
        rate=np.log(rows["learning_rate"].to_numpy()),
        params=np.log(rows["params"].to_numpy() / reference_params),
        loss=rows["loss"].to_numpy(),
        size=index,
        sizes=len(sizes),
    )
    if curves.degrees_of_freedom < 1:
        required = len(rows) - curves.degrees_of_freedom + 1
        raise UserError(
            f"tune_learning_rate.rates: only {len(rows)} runs are near the best rate of their "
            f"size, and {required} are required; give more rates, each twice the one before"
        )
    found = least_squares(curves.residuals, curves.start())
    rate, exponent, curvature, slope, _ = curves.unpack(found.x)
    _check_lowest(curves, rate + exponent * curves.params)
    variance = 2 * found.cost / (curves.degrees_of_freedom - curves.has_slope)
    errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * variance)
    rate_error, exponent_error, _, slope_error, _ = curves.unpack(errors)
    return Rule(
        learning_rate=float(np.exp(rate)),
        reference_params=reference_params,
        exponent=float(exponent),
        learning_rate_error=float(rate_error),
        exponent_error=float(exponent_error),
        curvature=float(np.exp(curvature)),
        curvature_exponent=float(slope),
        curvature_exponent_error=float(slope_error),
    )


def _check_lowest(curves: _Parabolas, best: Array) -> None:
    """Refuse a fit whose best rate of a size, a logarithm by run, is far from all of its rates."""
    distance = np.abs(curves.rate - best)
    if any(distance[curves.size == n].min() > np.log(FARTHEST) for n in range(curves.sizes)):
        low, high = np.exp(curves.rate.min()), np.exp(curves.rate.max())
        raise UserError(
            "tune_learning_rate.rates: the losses have no lowest value near the rates that were "
            f"tried, {low:g} to {high:g}; extend the range, or train on more tokens"
        )


def edge_warnings(rows: pd.DataFrame) -> list[str]:
    """A warning for each size whose best rate is the smallest or the largest one tried."""
    warnings = []
    for size, part in rows.groupby("size", sort=False):
        tried = part["learning_rate"].to_numpy()
        best = part["learning_rate"][part["loss"].idxmin()]
        if best in (tried.min(), tried.max()):
            edge = "smallest" if best == tried.min() else "largest"
            warnings.append(
                f"the best rate of {size} is the {edge} one tried, {best:g}; extend the range of "
                "tune_learning_rate.rates"
            )
    return warnings


def write_rule(tables: Sequence[Path], *, reference_params: int, out: Path) -> str:
    """Fit the rule and write it to `out` and all losses to `rates.csv` beside it.

    Returns the lines for the configuration.
    """
    rows = read_rates(tables)
    rule, warnings = fit_rule(rows, reference_params), edge_warnings(rows)
    write_result_table(out.with_name("rates.csv"), rows)
    sizes = rows.drop_duplicates("size")[["size", "params"]].itertuples(index=False)
    rates = {str(size): rule.at(int(params)) for size, params in sizes}
    write_json(out, {**asdict(rule), "rates": rates, "warnings": warnings})
    return "\n".join(
        [
            "training:",
            f"  learning_rate: {rule.learning_rate:.1e}  # ± {rule.learning_rate_error:.0%}",
            f"  reference_params: {reference_params}",
            f"  learning_rate_exponent: {rule.exponent:.2f}  # ± {rule.exponent_error:.2f}",
            *(f"# {size}: {rate:.2e}" for size, rate in rates.items()),
            *(f"# {warning}" for warning in warnings),
        ]
    )
