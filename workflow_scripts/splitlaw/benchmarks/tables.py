"""What was measured, as rows: values with errors, and gains over the general model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from splitlaw.evaluation import ratio_stderr

Array = npt.NDArray[np.float64]

BITS, LOSS, ACCURACY, NORMALISED = "bits_per_byte", "loss", "acc", "acc_norm"
ALL_TASKS, ALL_DOMAINS, HELD_OUT = "all_tasks", "all_domains", "heldout_"
COLUMNS = "strategy system size budget seed task metric value stderr n chance".split()
GAIN_COLUMNS = "strategy system size budget seed task metric difference stderr n verdict".split()
QUANTILE = 1.6448536269514722
"""Of the normal distribution: what bounds the 90% interval."""
BETTER, WORSE, INSIDE, BOUND = "better", "worse", "inside its error", "a bound"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A ratio of sums over items or documents, which are the sample that errors are of."""

    task: str
    """A task of `lm-eval`, or `heldout_` and a domain."""
    metric: str
    """`bits_per_byte`, `acc`, `acc_norm` or `loss`."""
    numerator: Array
    """(n,) bits, hits, or nats."""
    denominator: Array
    """(n,) bytes, ones, or tokens."""
    chance: float = math.nan
    """What guessing gives; not a number where it has no meaning."""

    @property
    def value(self) -> float:
        """Sum over sum."""
        return float(self.numerator.sum() / self.denominator.sum())

    @property
    def stderr(self) -> float:
        """Standard error of `value`; of an accuracy, that of `lm-eval`."""
        return ratio_stderr(self.numerator, self.denominator)

    def minus(self, other: Measure) -> tuple[float, float]:
        """The difference on the same items, and its standard error."""
        assert np.array_equal(self.denominator, other.denominator), "not the same items"
        error = ratio_stderr(self.numerator - other.numerator, self.denominator)
        return self.value - other.value, error


def value_rows(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """Rows of `benchmarks.csv` for one system, means over tasks and over domains among them."""
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

    A `bound` knows the answers: its difference is no gain, and is called a bound.
    """
    rows = []
    for ours, theirs in zip(measures, single, strict=True):
        assert (ours.task, ours.metric) == (theirs.task, theirs.metric)
        difference, error = ours.minus(theirs)
        rows.append(
            {
                "task": ours.task,
                "metric": ours.metric,
                "difference": difference,
                "stderr": error,
                "n": len(ours.numerator),
            }
        )
    return [{**row, "verdict": BOUND if bound else verdict(row)} for row in _with_means(rows)]


def verdict(row: Mapping[str, Any]) -> str:
    """`better` or `worse` where the 90% interval of the difference leaves out 0."""
    if not abs(row["difference"]) > QUANTILE * row["stderr"]:
        return INSIDE
    higher_is_better = row["metric"] in (ACCURACY, NORMALISED)
    return BETTER if (row["difference"] > 0) == higher_is_better else WORSE


def _with_means(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add means over the tasks and over the domains, which weigh the same and are independent."""
    listed = list(rows)
    result = []
    for name, wanted in ((ALL_TASKS, False), (ALL_DOMAINS, True)):
        part = [row for row in listed if row["task"].startswith(HELD_OUT) == wanted]
        result += part
        for metric in dict.fromkeys(row["metric"] for row in part):
            same = pd.DataFrame([row for row in part if row["metric"] == metric])
            mean = same.drop(columns=["task", "metric", "stderr", "n"]).mean(skipna=False)
            error = float(np.sqrt((same["stderr"] ** 2).sum()) / len(same))
            n = int(same["n"].sum())
            result.append({"task": name, "metric": metric, **mean, "stderr": error, "n": n})
    return result


def at_chance(values: pd.DataFrame) -> pd.Series:
    """Which accuracies have the chance level in their 90% interval."""
    return (values["value"] - values["chance"]).abs() <= QUANTILE * values["stderr"]
