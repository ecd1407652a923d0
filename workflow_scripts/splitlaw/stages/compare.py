"""Gain of the optimal split against size and budget: one table, one page, one figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_text
from splitlaw.laws import FitResult
from splitlaw.report import figures_sweep, style
from splitlaw.report.inputs import Inputs, compared, read_finals
from splitlaw.report.numerals import count, percent
from splitlaw.report.recipes import NAMES, read_recipes
from splitlaw.stages.final import NO_SPLIT, OPTIMAL, STRATEGIES
from splitlaw.zero_shot import tables
from splitlaw.zero_shot.systems import ENSEMBLE, ORACLE, ROUTED
from splitlaw.zero_shot.tables import (
    ACCURACY,
    ALL_DOMAINS,
    ALL_TASKS,
    BETTER,
    BITS,
    BOUND,
    INSIDE,
    LOSS,
    NORMALISED,
    QUANTILE,
    WORSE,
)

SPECIALISTS = "specialists"
"""The system that is told each document's domain."""

COLUMNS = (
    "size params budget flops fraction_general seeds system against task metric gain stderr "
    "seed_spread predicted predicted_low predicted_high verdict"
).split()
_HIGHER_IS_BETTER = (ACCURACY, NORMALISED)
_MARK = {BETTER: " **better**", WORSE: " *worse*"}
_HOW = """\
By how much the optimal split is better: less loss, fewer bits, more right answers; where a number
is negative, it is worse. ± is one standard error, paired by document or item; brackets hold what
the law predicted. A gain is called better or worse where its 90% interval leaves out zero; every
other one is inside its error. The first gains are of held-out text, read by the specialist of its
domain; on the zero-shot tasks the split is routed, or an ensemble, against no split.
"""


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
    """Cells from `size/budget` and their plans, in the same order."""
    if len(names) != len(plans):
        raise UserError(f"--cells has {len(names)} entries and --plans {len(plans)}; pair them")
    cells = []
    for name, plan in zip(names, plans, strict=True):
        size, slash, budget = name.partition("/")
        if not (size and slash and budget.isdigit()):
            raise UserError(f"--cells {name}: write size/budget, as in w32/3440640")
        cells.append(Cell(size=size, budget=budget, plan=plan))
    return cells


def sweep(
    cells: Sequence[Cell], seeds: Sequence[int], *, results: Path, fit: FitResult, out: Path
) -> None:
    """Write `out`, a table of gains, and beside it a page `.md` and a figure `.svg`, `.png`.

    Raises `UserError` for a cell whose models or benchmarks are not there.
    """
    rows = [row for cell in cells for row in cell_rows(cell, seeds, results=results, fit=fit)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    style.set_theme()
    style.save(figures_sweep.gains(table), out.parent, out.stem)
    write_text(out.with_suffix(".md"), page(table))
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)


def cell_rows(
    cell: Cell, seeds: Sequence[int], *, results: Path, fit: FitResult
) -> Iterator[dict[str, Any]]:
    """Rows of one cell: losses against every recipe, then systems against the single model."""
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
    losses = [_read(folder / f"seed{s}/{name}/losses.csv") for s in seeds for name in STRATEGIES]
    comparison = pd.concat(losses, ignore_index=True)
    finals = compared(read_finals(results / "final"), comparison)
    inputs = Inputs(
        folder=results,
        fit=fit,
        plan=plan,
        comparison=comparison,
        finals=tuple(final for final in finals if final.seed in seeds),
    )
    for row in loss_rows(inputs):
        yield {**about, **row}
    gains = [_read(folder / f"seed{seed}/benchmark_gains.csv") for seed in seeds]
    for row in system_rows(pd.concat(gains, ignore_index=True)):
        yield {**about, **row}


def _read(table: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(table)
    except (OSError, ValueError) as cause:
        reason = " ".join(str(cause).split())
        raise UserError(f"{table}: cannot be read ({reason}); run snakemake compare") from None


def loss_rows(inputs: Inputs) -> Iterator[dict[str, Any]]:
    """Mean held-out loss of every recipe above the optimal split's, measured and predicted."""
    for recipe in read_recipes(inputs):
        if recipe.strategy == OPTIMAL or recipe.gain is None:
            continue
        predicted, low, high = recipe.predicted_gain or (np.nan, np.nan, np.nan)
        yield {
            "system": SPECIALISTS,
            "against": recipe.strategy,
            "task": ALL_DOMAINS,
            "metric": LOSS,
            "gain": recipe.gain,
            "stderr": recipe.gain_stderr,
            "seed_spread": recipe.seed_spread,
            "predicted": predicted,
            "predicted_low": low,
            "predicted_high": high,
            "verdict": verdict(recipe.gain, recipe.gain_stderr),
        }


def system_rows(gains: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The optimal split's systems against the single model, averaged over seeds.

    Seeds are asked the same items: their errors are not independent, and the mean of them stands
    for the error of the mean, which it cannot fall short of; so do the means of their intervals.
    """
    ours = gains[gains["strategy"] == OPTIMAL]
    for (system, task, metric), part in ours.groupby(["system", "task", "metric"], sort=False):
        sign = 1 if metric in _HIGHER_IS_BETTER else -1
        mean = part[["difference", "stderr", "low", "high"]].mean().to_dict()
        yield {
            "system": system,
            "against": NO_SPLIT,
            "task": task,
            "metric": metric,
            "gain": sign * mean["difference"],
            "stderr": mean["stderr"],
            "seed_spread": part["difference"].std() if len(part) > 1 else None,
            "verdict": BOUND if system == ORACLE else tables.verdict({**mean, "metric": metric}),
        }


def verdict(gain: float, error: float | None) -> str:
    """`better` or `worse` where the 90% interval of the gain leaves out 0."""
    if error is None or not abs(gain) > QUANTILE * error:
        return INSIDE
    return BETTER if gain > 0 else WORSE


def page(table: pd.DataFrame) -> str:
    """The table to read, in Markdown: a row a cell, in the order of sizes and budgets."""
    columns = [
        *(
            (f"over {NAMES[name].lower()} (nats/token)", (SPECIALISTS, name, ALL_DOMAINS, LOSS))
            for name in STRATEGIES[1:]
        ),
        *(
            (f"tasks, {system} ({unit})", (system, NO_SPLIT, ALL_TASKS, metric))
            for metric, unit in ((BITS, "bits/byte"), (ACCURACY, "accuracy"))
            for system in (ROUTED, ENSEMBLE)
        ),
    ]
    names = ["size", "parameters", "tokens", "general", *(name for name, _ in columns)]
    lines = [_line(names), "|" + "---|" * len(names)]
    for _, part in table.groupby(["params", "budget"]):
        first = part.iloc[0]
        head = [
            first["size"],
            count(first["params"]),
            count(first["budget"]),
            percent(first["fraction_general"], 0),
        ]
        keyed = part.set_index(["system", "against", "task", "metric"])
        lines.append(_line([*head, *(_told(keyed, key) for _, key in columns)]))
    seeds = int(table["seeds"].max())
    note = f"{seeds} seed{'s' if seeds > 1 else ''} of training; what another would change is not"
    note += " in the errors." if seeds == 1 else " in the errors but in `seed_spread` of the table."
    return "\n".join(["# Gain against size and budget", "", _HOW, note, "", *lines, ""])


def _told(rows: pd.DataFrame, key: tuple[str, ...]) -> str:
    if key not in rows.index:
        return ""
    row: Mapping[str, Any] = rows.loc[key].to_dict()
    told = f"{row['gain']:.3f} ± {row['stderr']:.3f}"
    if np.isfinite(row["predicted"]):
        told += f" ({row['predicted']:.3f})"
    return told + _MARK.get(row["verdict"], "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
