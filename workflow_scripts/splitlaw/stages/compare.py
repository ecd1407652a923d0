"""Gains of the optimal split at several sizes and budgets, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.common.result_table import read_result_table
from splitlaw.common.statistics import mean_over_seeds
from splitlaw.experiment.columns import GAINS
from splitlaw.experiment.strategies import JOINT, NO_SPLIT, OPTIMAL
from splitlaw.laws import FitResult
from splitlaw.stages.final_results import models_in_comparison, read_final_models
from splitlaw.stages.recipe_results import RecipeResult, recipe_results
from splitlaw.zero_shot.systems import ORACLE
from splitlaw.zero_shot.tables import (
    ALL_DOMAINS,
    BETTER,
    BOUND,
    HIGHER_IS_BETTER,
    INSIDE,
    LOSS,
    WORSE,
)

SPECIALISTS = "specialists"
"""The system in which each document is evaluated by the specialist of its own domain."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A size and a budget, and the plan that its final models follow."""

    size: str
    """Name of the size."""
    budget: str
    """Name of the budget: its tokens."""
    plan: Path
    """Its `plan.json`."""


def read_cells(names: Sequence[str], plans: Sequence[Path]) -> list[Cell]:
    """Read cells from `size/budget` and their plans, in the same order."""
    if len(names) != len(plans):
        raise UserError(
            f"--cells has {len(names)} entries and --plans has {len(plans)}; give one plan per cell"
        )
    cells = []
    for name, plan in zip(names, plans, strict=True):
        size, slash, budget = name.partition("/")
        if not (size and slash and budget.isdigit()):
            raise UserError(f"--cells {name}: write size/budget, as in w32/3440640")
        cells.append(Cell(size=size, budget=budget, plan=plan))
    return cells


def gains_table(
    cells: Sequence[Cell], seeds: Sequence[int], *, results: Path, fit: FitResult
) -> pd.DataFrame:
    """Gains of the optimal split in every cell, with the columns `GAINS`.

    Raises `UserError` for a cell whose models or benchmarks are missing.
    """
    rows = [row for cell in cells for row in cell_rows(cell, seeds, results=results, fit=fit)]
    return pd.DataFrame(rows, columns=GAINS)


def cell_rows(
    cell: Cell, seeds: Sequence[int], *, results: Path, fit: FitResult
) -> Iterator[dict[str, Any]]:
    """Rows of one cell: losses against every baseline, then systems against the single model."""
    plan = read_json(cell.plan)
    folder = results / "final" / cell.size / cell.budget
    about = {
        "size": cell.size,
        "params": int(plan["params"]),
        "budget": int(cell.budget),
        "flops": plan["flops"],
        "fraction_general": plan["fraction_general"],
        "seeds": len(seeds),
    }
    strategies = [OPTIMAL, *(entry["strategy"] for entry in plan["baselines"])]
    losses = [_read(folder / f"seed{s}/{name}/losses.csv") for s in seeds for name in strategies]
    comparison = pd.concat(losses, ignore_index=True)
    models = models_in_comparison(read_final_models(results / "final"), comparison)
    models = tuple(model for model in models if model.seed in seeds)
    for row in loss_rows(recipe_results(plan, fit=fit, comparison=comparison, models=models)):
        yield {**about, **row}
    gains = [_read(folder / f"seed{seed}/benchmark_gains.csv") for seed in seeds]
    for row in system_rows(pd.concat(gains, ignore_index=True)):
        yield {**about, **row}


def _read(table: Path) -> pd.DataFrame:
    try:
        return read_result_table(table)
    except (OSError, ValueError) as cause:
        reason = " ".join(str(cause).split())
        raise UserError(
            f"{table}: cannot be read ({reason}); make it with `splitlaw run compare`"
        ) from None


def loss_rows(recipes: Sequence[RecipeResult]) -> Iterator[dict[str, Any]]:
    """Mean held-out loss of every recipe above the optimal split's, measured and predicted.

    The row of the system `joint` is its gain over no split, which is due to the text alone.
    """
    for recipe in recipes:
        if recipe.data_gain is not None:
            yield {
                "system": JOINT,
                "against": NO_SPLIT,
                "task": ALL_DOMAINS,
                "metric": LOSS,
                **_measured(recipe.data_gain, recipe.data_gain_stderr, recipe.data_gain_reach),
            }
        if recipe.strategy == OPTIMAL or recipe.gain is None:
            continue
        predicted, low, high = recipe.predicted_gain or (np.nan, np.nan, np.nan)
        yield {
            "system": SPECIALISTS,
            "against": recipe.strategy,
            "task": ALL_DOMAINS,
            "metric": LOSS,
            "seed_spread": recipe.seed_spread,
            "predicted": predicted,
            "predicted_low": low,
            "predicted_high": high,
            **_multiplier(recipe),
            **_measured(recipe.gain, recipe.gain_stderr, recipe.gain_reach),
        }


def _multiplier(recipe: RecipeResult) -> dict[str, float]:
    """Columns of the compute multiplier of the measured gain; empty where it is not defined."""
    if recipe.measured_multiplier is None:
        return {}
    names = ("multiplier", "multiplier_low", "multiplier_high")
    known = (np.inf if value is None else value for value in recipe.measured_multiplier)
    return dict(zip(names, known, strict=True))


def system_rows(gains: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Gains of the optimal split's systems over each single model, averaged over seeds.

    The system `joint` is its single model, compared with that of no split.

    All seeds are evaluated on the same items, so their errors are not independent. The mean of the
    errors is an upper bound of the error over items of the mean; `mean_over_seeds` combines it with
    the spread between seeds. The interval of one seed is that of its bootstrap.
    """
    ours = gains[gains["strategy"].isin([OPTIMAL, JOINT])]
    ours = ours.assign(system=ours["system"].where(ours["strategy"] == OPTIMAL, JOINT))
    # The mean loss of `joint` over all domains is one of the rows of `loss_rows`.
    repeated = (ours["system"] == JOINT) & (ours["task"] == ALL_DOMAINS) & (ours["metric"] == LOSS)
    ours = ours[~repeated]
    keys = ["system", "against", "task", "metric"]
    for (system, against, task, metric), part in ours.groupby(keys, sort=False):
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        mean = mean_over_seeds(sign * part["difference"].to_numpy(), float(part["stderr"].mean()))
        row = _measured(mean.value, mean.stderr, mean.reach)
        if len(part) == 1:
            ends = sorted(sign * part[["low", "high"]].to_numpy()[0])
            row = {**row, "low": ends[0], "high": ends[1], "verdict": verdict(*ends)}
        if system == ORACLE:
            row["verdict"] = BOUND
        about = {"system": system, "against": against, "task": task, "metric": metric}
        yield {**about, **row, "seed_spread": mean.spread}


def _measured(gain: float, stderr: float | None, reach: float | None) -> dict[str, Any]:
    """The columns of a measured gain with half of its 90% interval."""
    half = np.nan if reach is None else reach
    low, high = gain - half, gain + half
    return {"gain": gain, "stderr": stderr, "low": low, "high": high, "verdict": verdict(low, high)}


def verdict(low: float, high: float) -> str:
    """`better` or `worse` where the 90% interval of the gain excludes 0."""
    if low > 0:
        return BETTER
    return WORSE if high < 0 else INSIDE
