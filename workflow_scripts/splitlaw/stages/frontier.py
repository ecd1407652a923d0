"""The measured frontier: mean domain loss at several general fractions of one budget.

It tells what the plan lost against the best split there was. The least of several noisy losses is
biased, so the best is the minimum of a smooth curve through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.laws.result import interval
from splitlaw.planner import frontier as planned_frontier
from splitlaw.planner import splits_at
from splitlaw.report import figures_frontier, style
from splitlaw.stages import grid as runs
from splitlaw.stages.grid import Job

COLUMNS = (
    "size budget seed fraction_general domain pretrain_tokens specialize_tokens predicted_loss "
    "loss loss_stderr bits_per_byte"
).split()
DEGREES = (2, 3, 4)
FINE = 2001
DRAWS = 500

Array = npt.NDArray[np.float64]


# ---- measuring ------------------------------------------------------------------------------


def measure(
    job: Job,
    fit: FitResult,
    plan_file: Path,
    fractions: Sequence[float],
    *,
    budget: str,
    execution: ExecutionConfig,
    out: Path,
) -> None:
    """Train and evaluate the best split at each of `fractions` and at the plan's own.

    Domain tokens at a fraction are shared as the law shares them. What the splits have in common
    is trained once. `out` has a row a fraction and domain.
    """
    plan = read_json(plan_file)
    wanted = splits_at(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.array(sorted({*fractions, plan["fraction_general"]})),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
    )
    batch, domains = job.recipe.batch_tokens, list(plan["specialize_tokens"])
    trainer = job.trainer([GENERAL, *domains], execution, "frontier")
    windows = job.windows(domains)
    wanted["run"] = [
        Run(
            domain=row.domain,
            pretrain_steps=round(row.pretrain_tokens / batch),
            specialize_steps=max(1, round(row.specialize_tokens / batch)),
        )
        for row in wanted.itertuples()
    ]
    trainer.expect([run.lineage(job.recipe.cooldown_fraction) for run in wanted["run"]])
    rows = []
    for row in wanted.itertuples():
        run, window = row.run, {row.domain: windows[row.domain]}
        folder = out.parent / run.domain / runs.folder_name(run, job)
        losses = runs.train_and_evaluate(job, trainer, run, window, folder)[row.domain]
        rows.append(
            {
                "size": job.size,
                "budget": budget,
                "seed": job.seed,
                "fraction_general": row.fraction_general,
                "domain": row.domain,
                "pretrain_tokens": run.pretrain_steps * batch,
                "specialize_tokens": run.specialize_steps * batch,
                "predicted_loss": row.predicted_loss,
                **{name: losses[name] for name in COLUMNS[-3:]},
            }
        )
    trainer.world.decide(lambda: runs.write_table(out, rows, COLUMNS))
    runs.finish(trainer)


# ---- what it says ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """A polynomial in the general fraction, with a level for each seed, through mean losses."""

    coefficients: Array
    """Highest power first; the level is that of the mean seed."""
    residuals: Array
    """Measured minus curve [n]."""
    error: float
    """Root mean square error on fractions left out, nats per token."""
    low: float
    """Least fraction measured."""
    high: float
    """Largest fraction measured."""

    def __call__(self, fraction: Array | float) -> Array:
        """Loss at general fractions."""
        return np.asarray(np.polyval(self.coefficients, fraction), dtype=float)

    @property
    def minimum(self) -> tuple[float, float]:
        """Fraction and loss of the minimum within what was measured."""
        grid = np.linspace(self.low, self.high, FINE)
        at = int(np.argmin(self(grid)))
        return float(grid[at]), float(self(grid)[at])


def smooth(fractions: Array, losses: Array, seeds: Array) -> Smooth:
    """The curve through mean losses [n] whose degree predicts best what is left out.

    Fractions are left out one after another, with all of their seeds; the two outermost are
    always kept, so that nothing is extrapolated.
    """
    return min((_fitted(fractions, losses, seeds, degree) for degree in DEGREES), key=_error)


def _error(curve: Smooth) -> float:
    return curve.error


def _fitted(fractions: Array, losses: Array, seeds: Array, degree: int) -> Smooth:
    inner = np.unique(fractions)[1:-1]
    if len(inner) < degree + 1:
        raise UserError(
            f"frontier: {len(inner) + 2} fractions; give at least {max(DEGREES) + 3} to draw a "
            "curve through them"
        )
    missed = []
    for left in inner:
        out = fractions == left
        guess, _ = _least_squares(fractions[~out], losses[~out], seeds[~out], degree)
        missed.append(np.polyval(guess, left) - losses[out].mean())
    coefficients, residuals = _least_squares(fractions, losses, seeds, degree)
    return Smooth(
        coefficients=coefficients,
        residuals=residuals,
        error=float(np.sqrt(np.mean(np.square(missed)))),
        low=float(fractions.min()),
        high=float(fractions.max()),
    )


def _least_squares(
    fractions: Array, losses: Array, seeds: Array, degree: int
) -> tuple[Array, Array]:
    """Coefficients of the mean seed, and residuals."""
    levels = (seeds[:, None] == np.unique(seeds)[None]).astype(float)
    powers = fractions[:, None] ** np.arange(degree, 0, -1)
    design = np.hstack([powers, levels])
    found = np.linalg.lstsq(design, losses, rcond=None)[0]
    coefficients = np.append(found[:degree], found[degree:].mean())
    return coefficients, losses - design @ found


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What the plan loses against the best measured split."""

    planned: float
    """General fraction of the plan."""
    best: float
    """General fraction of the minimum."""
    best_interval: tuple[float, float]
    """Its 90% interval."""
    loss: float
    """Loss of the minimum, nats per token."""
    regret: float
    """Loss of the plan above it, on the same curve."""
    regret_interval: tuple[float, float]
    """Its 90% interval."""

    def words(self) -> str:
        """Two sentences."""
        low, high = self.best_interval
        least, most = (100 * end / self.loss for end in self.regret_interval)
        return (
            f"The best measured split has {self.best:.0%} general tokens (90%: {low:.0%} to "
            f"{high:.0%}) and a mean loss of {self.loss:.4f} nats per token. The plan, at "
            f"{self.planned:.0%}, lies {self.regret:.4f} above it: a regret of "
            f"{100 * self.regret / self.loss:.2f}% (90%: {least:.2f} to {most:.2f}%)."
        )


def regret(table: pd.DataFrame, planned: float, *, seed: int = 0) -> tuple[Smooth, Regret]:
    """The smooth curve through a measured frontier, and the plan's regret on it.

    `table` has the columns of `frontier.csv`. Intervals come from residuals drawn anew, with all
    seeds of a fraction together.
    """
    means = mean_losses(table)
    x, y, seeds = (means[name].to_numpy() for name in ("fraction_general", "loss", "seed"))
    curve = smooth(x, y, seeds)
    best, loss = curve.minimum
    rng = np.random.default_rng(seed)
    drawn = np.array([_redrawn(curve, x, y, seeds, planned, rng) for _ in range(DRAWS)])
    ends = [interval(column) for column in drawn.T]
    (low, high), (least, most) = ((float(a), float(b)) for a, b in ends)
    return curve, Regret(
        planned=planned,
        best=best,
        best_interval=(min(low, best), max(high, best)),
        loss=loss,
        regret=float(curve(planned)) - loss,
        regret_interval=(least, most),
    )


def _redrawn(
    curve: Smooth, x: Array, y: Array, seeds: Array, planned: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Best fraction and regret of one draw."""
    signs = dict(zip(np.unique(x), rng.choice([-1.0, 1.0], size=len(np.unique(x))), strict=True))
    flipped = y - curve.residuals + curve.residuals * np.array([signs[value] for value in x])
    again = _fitted(x, flipped, seeds, len(curve.coefficients) - 1)
    best, loss = again.minimum
    return best, float(again(planned)) - loss


def mean_losses(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over domains of each seed and fraction."""
    keys = ["seed", "fraction_general"]
    return table.groupby(keys, as_index=False)[["predicted_loss", "loss"]].mean()


def gather(tables: Sequence[Path], *, plan_file: Path, fit: FitResult, out: Path) -> str:
    """Write all seeds' rows to `out` and the figure beside it; gives the finding in words."""
    table = pd.concat([pd.read_csv(file) for file in tables], ignore_index=True)
    plan = read_json(plan_file)
    curve, found = regret(table, plan["fraction_general"])
    predicted = planned_frontier(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.linspace(curve.low, curve.high, 61),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
    )
    predicted = predicted[predicted["law"] == "mean"]
    style.set_theme()
    figure = figures_frontier.measured(mean_losses(table), predicted, curve, found)
    style.save(figure, out.parent, out.stem)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)
    return found.words()
