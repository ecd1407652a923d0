"""Rows of the results: values with errors, and differences from the single general model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.common.statistics import NORMAL_90, paired_bootstrap, ratio_stderr, resample

Array = npt.NDArray[np.float64]

BITS, LOSS, ACCURACY, NORMALISED = "bits_per_byte", "loss", "acc", "acc_norm"
HIGHER_IS_BETTER = (ACCURACY, NORMALISED)
ALL_TASKS, ALL_DOMAINS, HELD_OUT = "all_tasks", "all_domains", "heldout_"
INTERVAL = (0.05, 0.95)
"""Quantiles of the bootstrap at the ends of the 90% interval of a difference."""
BETTER, WORSE, INSIDE, BOUND = "better", "worse", "inside its error", "a bound"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A ratio of sums over items or documents; errors refer to the sample of these."""

    task: str
    """A task of `lm-eval`, or `heldout_{domain}`."""
    metric: str
    """`bits_per_byte`, `acc`, `acc_norm` or `loss`."""
    numerator: Array
    """(n,) bits, hits, or nats."""
    denominator: Array
    """(n,) bytes, ones, or tokens."""
    chance: float = math.nan
    """Expected value of guessing; NaN where it is not defined."""

    @property
    def value(self) -> float:
        """Sum of numerators over sum of denominators."""
        return float(self.numerator.sum() / self.denominator.sum())

    @property
    def stderr(self) -> float:
        """Standard error of `value`; for accuracies equal to that of `lm-eval`."""
        return ratio_stderr(self.numerator, self.denominator)

    def minus(self, other: Measure) -> tuple[float, float]:
        """The difference on the same items, and its standard error."""
        assert np.array_equal(self.denominator, other.denominator), "not the same items"
        error = ratio_stderr(self.numerator - other.numerator, self.denominator)
        return self.value - other.value, error

    def bootstrap_minus(self, other: Measure) -> Array:
        """Draws of the difference in a paired bootstrap, with the same items for all systems."""
        times = _times(self.task, len(self.numerator))
        return paired_bootstrap(self.numerator - other.numerator, self.denominator, times)


@lru_cache(maxsize=64)
def _times(task: str, count: int) -> Array:
    """Bootstrap samples of a task's items, the same for all systems and metrics."""
    return resample(count, generator=np.random.default_rng(crc32(task.encode())))


def value_rows(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """Rows of `benchmarks.csv` for one system, including means over tasks and over domains."""
    return _with_means(
        {
            "task": measure.task,
            "metric": measure.metric,
            "value": measure.value,
            "stderr": measure.stderr,
            "n": len(measure.numerator),
            "chance": measure.chance,
        }
        for measure in measures
    )


def gain_rows(
    measures: Sequence[Measure], single: Sequence[Measure], *, bound: bool = False
) -> list[dict[str, Any]]:
    """Differences of a system from the single general model on the same items, with verdicts.

    The verdict of a `bound`, which uses the right answers, is always `BOUND`.
    """
    rows, drawn = [], {}
    for ours, theirs in zip(measures, single, strict=True):
        assert (ours.task, ours.metric) == (theirs.task, theirs.metric)
        difference, error = ours.minus(theirs)
        drawn[ours.task, ours.metric] = ours.bootstrap_minus(theirs)
        rows.append(
            {
                "task": ours.task,
                "metric": ours.metric,
                "difference": difference,
                "stderr": error,
                "n": len(ours.numerator),
            }
        )
    judged = []
    for row in _with_means(rows):
        low, high = _interval(row, drawn)
        row = {**row, "low": low, "high": high}
        judged.append({**row, "verdict": BOUND if bound else verdict(row)})
    return judged


def mean_gain_rows(ours: Sequence[Measure], theirs: Sequence[Measure]) -> list[dict[str, Any]]:
    """Of `gain_rows`: the mean bits per byte of the tasks and the mean loss of the domains."""
    means = ((ALL_TASKS, BITS), (ALL_DOMAINS, LOSS))
    return [r for r in gain_rows(ours, theirs) if (r["task"], r["metric"]) in means]


def _interval(
    row: Mapping[str, Any], drawn: Mapping[tuple[str, str], Array]
) -> tuple[float, float]:
    """90% interval of a difference, or of the mean of the differences of several tasks."""
    parts = [
        draws
        for (task, metric), draws in drawn.items()
        if metric == row["metric"] and row["task"] in (task, _mean_of(task))
    ]
    low, high = np.quantile(np.mean(parts, axis=0), INTERVAL)
    return float(low), float(high)


def _mean_of(task: str) -> str:
    """Name of the mean that includes a task or domain."""
    return ALL_DOMAINS if task.startswith(HELD_OUT) else ALL_TASKS


def verdict(row: Mapping[str, Any]) -> str:
    """`better` or `worse` where the 90% interval of the difference excludes 0."""
    if not (row["low"] > 0 or row["high"] < 0):
        return INSIDE
    higher_is_better = row["metric"] in HIGHER_IS_BETTER
    return BETTER if (row["difference"] > 0) == higher_is_better else WORSE


def _with_means(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add means over tasks and over domains, with equal weights; their samples are independent."""
    listed = list(rows)
    result = []
    for name in (ALL_TASKS, ALL_DOMAINS):
        part = [row for row in listed if _mean_of(row["task"]) == name]
        result += part
        for metric in dict.fromkeys(row["metric"] for row in part):
            same = pd.DataFrame([row for row in part if row["metric"] == metric])
            mean = same.drop(columns=["task", "metric", "stderr", "n"]).mean(skipna=False)
            error = float(np.sqrt((same["stderr"] ** 2).sum()) / len(same))
            n = int(same["n"].sum())
            result.append({"task": name, "metric": metric, **mean, "stderr": error, "n": n})
    return result


def at_chance(values: pd.DataFrame) -> pd.Series:
    """Whether the 90% interval of each accuracy contains the chance level."""
    return (values["value"] - values["chance"]).abs() <= NORMAL_90 * values["stderr"]
