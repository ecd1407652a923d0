"""Zero-shot tasks and routes: means over seeds, with errors that include them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from splitlaw.common.statistics import mean_over_seeds
from splitlaw.stages.compare import system_rows
from splitlaw.zero_shot.tables import ALL_DOMAINS, ALL_TASKS, BETTER, BITS, WORSE

CELL = ["size", "budget"]


def scores(benchmarks: pd.DataFrame, size: str, budget: int) -> dict[str, float]:
    """Bits per byte of the right answers by `strategy system`: means over tasks and seeds."""
    rows = benchmarks[(benchmarks["task"] == ALL_TASKS) & (benchmarks["metric"] == BITS)]
    rows = rows[(rows["size"] == size) & (rows["budget"] == budget)]
    means = rows.groupby(["strategy", "system"])["value"].mean()
    return {f"{strategy} {system}": value for (strategy, system), value in means.items()}


def seeds(gains: pd.DataFrame, size: str, budget: int) -> int:
    """Number of seeds with which the tasks of a cell are measured."""
    return gains.loc[(gains["size"] == size) & (gains["budget"] == budget), "seed"].nunique()


def task_gains(gains: pd.DataFrame, size: str, budget: int) -> dict[str, SimpleNamespace]:
    """Gains in bits per byte over all tasks, by `system against`, averaged over seeds.

    Each has the number of tasks on which the system is better or worse, as judged by the interval.
    """
    own = gains[(gains["size"] == size) & (gains["budget"] == budget) & (gains["metric"] == BITS)]
    tasks = own[own["task"].str.startswith("local_") | (own["task"] == ALL_TASKS)]
    rows = pd.DataFrame(system_rows(tasks))
    found = {}
    for (system, against), part in rows.groupby(["system", "against"]) if len(rows) else ():
        single = part[part["task"] != ALL_TASKS]["verdict"]
        mean = part[part["task"] == ALL_TASKS].iloc[0]
        found[f"{system} {against}"] = SimpleNamespace(
            **mean,
            better=int((single == BETTER).sum()),
            worse=int((single == WORSE).sum()),
            tasks=len(single),
        )
    return found


def routes(table: pd.DataFrame) -> list[SimpleNamespace]:
    """Accuracy of the router and the loss that wrong routes cause, by characters that it reads.

    Means over the domains; errors are over documents, and over seeds where there are several.
    """
    rows = table[table["text"] == ALL_DOMAINS] if len(table) else table
    found = []
    for (size, budget, characters), part in (
        rows.groupby([*CELL, "characters"]) if len(rows) else ()
    ):
        excess = mean_over_seeds(part["excess"].to_numpy(), float(part["excess_stderr"].mean()))
        found.append(
            SimpleNamespace(
                size=size,
                budget=budget,
                characters=characters,
                accuracy=float(np.mean(part["accuracy"])),
                excess=excess.value,
                stderr=excess.stderr,
            )
        )
    return found
