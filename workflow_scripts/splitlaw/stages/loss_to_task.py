"""Zero-shot tasks against held-out loss: a line through the final models, and its error.

The scores of a task are those of systems that cost one model to run: the routed specialists of a
split, and single models. This module imports no torch, so that reports can use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from splitlaw.common.files import read_json
from splitlaw.common.result_table import read_result_table
from splitlaw.common.statistics import NORMAL_90
from splitlaw.experiment.columns import LOSS_TO_TASK
from splitlaw.zero_shot.systems import ROUTED, SINGLE
from splitlaw.zero_shot.tables import ACCURACY, ALL_DOMAINS, ALL_TASKS, BITS, HELD_OUT, LOSS

Array = npt.NDArray[np.float64]

MODEL = ["strategy", "system", "size", "budget", "seed"]
"""Columns that identify a measured system."""

MIN_MODELS = 4
"""Fewest models for a line with an interval: two of them determine the line."""

MIN_TEST = 2
"""Fewest models of a left-out size for an error."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A score as a linear function of the held-out loss, by least squares."""

    slope: float
    """Change of the score per nat per token."""
    slope_stderr: float
    intercept: float
    middle: float
    """Mean loss of the models."""
    spread: float
    """Sum of squared differences of the losses from their mean."""
    residual: float
    """Standard deviation of the residuals, with n - 2 degrees of freedom."""
    models: int
    """Number of models, n."""

    @classmethod
    def through(cls, losses: Array, scores: Array) -> Line | None:
        """Fit a line; None for too few models or equal losses."""
        if len(losses) < MIN_MODELS or np.ptp(losses) == 0:
            return None
        fit = stats.linregress(losses, scores)
        residuals = scores - (fit.intercept + fit.slope * losses)
        return cls(
            slope=float(fit.slope),
            slope_stderr=float(fit.stderr),
            intercept=float(fit.intercept),
            middle=float(losses.mean()),
            spread=float(((losses - losses.mean()) ** 2).sum()),
            residual=float(np.sqrt((residuals**2).sum() / (len(losses) - 2))),
            models=len(losses),
        )

    @property
    def quantile(self) -> float:
        """Standard errors on either side of a 90% interval."""
        return float(stats.t.ppf(0.95, self.models - 2))

    @property
    def slope_interval(self) -> tuple[float, float]:
        """90% interval of the slope."""
        reach = self.quantile * self.slope_stderr
        return self.slope - reach, self.slope + reach

    def predict(self, losses: Array) -> tuple[Array, Array, Array]:
        """Scores of new models with these losses, and the ends of their 90% intervals."""
        values = self.intercept + self.slope * losses
        share = 1 + 1 / self.models + (losses - self.middle) ** 2 / self.spread
        reach = self.quantile * self.residual * np.sqrt(share)
        return values, values - reach, values + reach


def read_scores(results: Path, benchmarks: pd.DataFrame | None) -> pd.DataFrame:
    """Scores of all tasks with the held-out loss of the same system.

    The systems are those of `benchmarks`, of the cells of `compare`, and of further seeds. Columns
    `MODEL`, `task`, `metric`, `value`, `stderr`, `chance`, `loss`: nats per token, averaged over
    the domains with the shares of the task's items that the router assigns to them, because a task
    depends on what a system knows of its own domains. Without these shares, all domains have the
    same weight.
    """
    files = sorted(results.glob("final/*/*/seed*/benchmarks.csv"))
    tables = [(read_result_table(file), file.parent) for file in files]
    tables += [(benchmarks, results)] if benchmarks is not None else []
    columns = [*MODEL, "task", "metric", "value", "stderr", "chance"]
    found = [
        _with_losses(table[columns], _shares(folder))
        for table, folder in tables
        if set(columns) <= set(table.columns)
    ]
    if not found:
        return pd.DataFrame(columns=[*columns, "loss"])
    rows = pd.concat(found, ignore_index=True)
    return rows.drop_duplicates([*MODEL, "task", "metric"]).reset_index(drop=True)


def _shares(folder: Path) -> pd.DataFrame:
    """Share of the items of each task that the router assigns to each domain, [task, domain]."""
    file = folder / "benchmark_run.json"
    routed = read_json(file).get("routed", {}) if file.exists() else {}
    shares = pd.DataFrame.from_dict(routed, orient="index", dtype=float)
    if len(shares):
        shares.loc[ALL_TASKS] = shares.mean()
    return shares


def _with_losses(table: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """The rows of the tasks with the loss of their system."""
    rows = table[table["system"].isin([ROUTED, SINGLE])]
    held_out = rows["task"].str.startswith(HELD_OUT) & (rows["metric"] == LOSS)
    domains = rows[held_out].assign(domain=rows["task"].str.removeprefix(HELD_OUT))
    losses = domains.pivot(index=MODEL, columns="domain", values="value")
    of_tasks = rows["metric"].isin([BITS, ACCURACY]) & (rows["task"] != ALL_DOMAINS)
    rows = rows[of_tasks & ~rows["task"].str.startswith(HELD_OUT)]
    weights = shares.reindex(index=rows["task"].unique(), columns=losses.columns).fillna(1.0)
    weights = weights.div(weights.sum(axis=1), axis=0)
    by_task = (losses @ weights.T).rename_axis(columns="task").stack().rename("loss")
    return rows.merge(by_task.reset_index(), on=[*MODEL, "task"])


def at_chance(rows: pd.DataFrame) -> bool:
    """Whether accuracies of a task are not above those of guessing.

    All systems answer the same items, so the error of their mean is about that of one of them.
    """
    if rows["chance"].isna().any():
        return False
    above = rows["value"].mean() - rows["chance"].mean()
    return bool(above <= NORMAL_90 * rows["stderr"].mean())


def fit_lines(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per task and metric with the columns `LOSS_TO_TASK`.

    Where accuracies are at chance there is no line for them.
    """
    found = [_row(*key, part) for key, part in _parts(scores)]
    return pd.DataFrame(found, columns=LOSS_TO_TASK)


def _parts(scores: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for (task, metric), part in scores.groupby(["task", "metric"], sort=False):
        yield (str(task), str(metric)), part


def _row(task: str, metric: str, rows: pd.DataFrame) -> dict[str, Any]:
    about: dict[str, Any] = {
        "task": task,
        "metric": metric,
        "models": len(rows),
        "sizes": rows["size"].nunique(),
        "value": rows["value"].mean(),
        "chance": rows["chance"].mean(),
        "at_chance": metric == ACCURACY and at_chance(rows),
    }
    line = line_of(rows)
    if about["at_chance"] or line is None:
        return about
    low, high = line.slope_interval
    return {
        **about,
        "intercept": line.intercept,
        "slope": line.slope,
        "slope_low": low,
        "slope_high": high,
        "residual": line.residual,
        **_left_out(rows),
    }


def line_of(rows: pd.DataFrame) -> Line | None:
    """The line through rows of one task and metric."""
    return Line.through(rows["loss"].to_numpy(float), rows["value"].to_numpy(float))


def _left_out(rows: pd.DataFrame) -> dict[str, Any]:
    """Error at the size with the lowest losses, of the line through the other sizes."""
    size = rows.groupby("size")["loss"].mean().idxmin()
    out = rows["size"] == size
    line = line_of(rows[~out])
    if line is None or out.sum() < MIN_TEST:
        return {}
    values, low, high = line.predict(rows.loc[out, "loss"].to_numpy(float))
    measured = rows.loc[out, "value"].to_numpy(float)
    return {
        "left_out": size,
        "left_out_models": int(out.sum()),
        "left_out_error": float(np.abs(values - measured).mean()),
        "left_out_bias": float((values - measured).mean()),
        "left_out_inside": float(((low <= measured) & (measured <= high)).mean()),
    }
