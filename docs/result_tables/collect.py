"""From the results of an experiment to its folder in `reference/`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import JOINT, OPTIMAL
from splitlaw.laws import FitResult, fit_table
from splitlaw.planner import plan
from splitlaw.report.figures_frontier import frontier_table, has_frontier
from splitlaw.stages.final_results import FinalModel, Json, read_final_models
from splitlaw.stages.recipe_results import RecipeResult, recipe_results
from splitlaw.zero_shot.tables import BITS, LOSS

COPIED = (
    "losses.csv",
    "cost.csv",
    "choose_domains.csv",
    "loss_to_task.csv",
    "law/fit.json",
    "split/**/plan.json",
    "scarcity/*/*/*/plan.json",
    "frontier/frontier.csv",
    "delivery/comparison.csv",
    "delivery/lines.csv",
    "learning_rate/rates.csv",
)
"""Files that are copied if they exist."""

JOINED = ("benchmarks.csv", "benchmark_gains.csv", "benchmark_routes.csv")
"""Tables that each cell of a size, a budget and a seed has, and the results have for one cell."""

STRATEGIES_OF = {"benchmark_gains.csv": (OPTIMAL, JOINT), "benchmark_routes.csv": (OPTIMAL,)}
"""Strategies whose rows are kept, where others are not shown anywhere."""

CELLS = ("final/*/*", "scarcity/*/*/*")
"""Folders of a size and a budget, whose folders of seeds have the final models."""

BOUNDS = ("predicted", "predicted_gain", "measured_multiplier")
"""Fields of a recipe that are a value with the ends of its interval."""

LEFT_OUT = ("pretrain_tokens", "specialize_tokens", "multiplier")
"""Fields of a recipe that are in other tables."""

TOLERANCE = 0.01
"""Relative difference of the tokens of a plan and of its cell: training runs in whole steps."""

DIGITS = "%.9g"
"""Format of the numbers of tables that are made here; those of copied files are kept."""


def collect(results: Path, folder: Path) -> list[str]:
    """Write the tables of `results` to `folder` and return their names.

    Incomplete results give the tables of the parts that exist. Final models are compared in pairs,
    document by document, which requires the results: `recipes.csv` keeps the errors.
    """
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; name the results of an experiment")
    fit = FitResult.load(results / "law/fit.json") if (results / "law/fit.json").exists() else None
    tables = {
        "final/comparison.csv": join(sorted(results.glob("final/*/*/seed*/*/losses.csv"))),
        **{name: joined(results, name) for name in JOINED},
        "scarcity/scarcity.csv": scarcity(results),
        "recipes.csv": recipes(results, fit),
        "domains.csv": domains(results),
        "split/predicted.csv": predicted(results, fit),
    }
    for name in (file for pattern in COPIED for file in sorted(results.glob(pattern))):
        copy = folder / name.relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, copy)
    for name, table in tables.items():
        if not table.empty:
            write(table, folder / name)
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))


def write(table: pd.DataFrame, file: Path) -> None:
    """Write a table with nine digits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False, float_format=DIGITS)


def join(files: list[Path]) -> pd.DataFrame:
    """The rows of several tables; empty without any. Cells stay text, so that no digit changes."""
    if not files:
        return pd.DataFrame()
    frames = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in files]
    return pd.concat(frames, ignore_index=True)


def joined(results: Path, name: str) -> pd.DataFrame:
    """The rows of one of `JOINED` of all cells."""
    own = [results / name] if (results / name).exists() else []
    table = join(own + sorted(results.glob(f"final/*/*/seed*/{name}"))).drop_duplicates()
    if name in STRATEGIES_OF and not table.empty:
        table = table[table["strategy"].isin(STRATEGIES_OF[name])]
    # Accuracies of models of this size are those of guesses.
    return table[table["metric"].isin([BITS, LOSS])] if "metric" in table else table


def scarcity(results: Path) -> pd.DataFrame:
    """Losses of all recipes and fractions of `scarcity`, trained so far."""
    frames = []
    for file in sorted(results.glob("scarcity/*/*/*/seed*/*/losses.csv")):
        rows = join([file])
        unique, *_ = file.relative_to(results / "scarcity").parts
        if file.parent.name == "frontier":
            rows["strategy"] = ""
        frames.append(rows.assign(unique_tokens=unique if unique.isdigit() else ""))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


# ---- recipes --------------------------------------------------------------------------------


def recipes(results: Path, fit: FitResult | None) -> pd.DataFrame:
    """One row per cell and recipe: predictions, losses, gains of the plan, and their errors."""
    rows: list[dict[str, Any]] = []
    for pattern in CELLS:
        models: dict[Path, tuple[FinalModel, ...]] = {}
        for cell in sorted(results.glob(pattern)):
            losses = sorted(cell.glob("seed*/*/losses.csv"))
            own = cell_plan(results, cell)
            losses = [file for file in losses if file.parent.name != "frontier"]
            if own is None or not losses:
                continue
            above = cell.parent.parent
            models.setdefault(above, read_final_models(above))
            rows += cell_rows(cell, own, losses, fit, models[above])
    return pd.DataFrame(rows)


def cell_plan(results: Path, cell: Path) -> Json | None:
    """The plan of a cell: its own, or that of the experiment if it is for the cell's budget."""
    size, budget = cell.parts[-2:]
    for file in (cell / "plan.json", results / "split" / size / budget / "plan.json"):
        if file.exists():
            return read_json(file)
    file = results / "split/plan.json"
    found = read_json(file) if file.exists() else None
    return found if found and abs(found["tokens"] / int(budget) - 1) < TOLERANCE else None


def cell_rows(
    cell: Path,
    own: Json,
    losses: list[Path],
    fit: FitResult | None,
    models: tuple[FinalModel, ...],
) -> Iterator[dict[str, Any]]:
    """The rows of one cell, whose models may be trained for a part of the recipes and seeds."""
    comparison = pd.concat([pd.read_csv(file) for file in losses], ignore_index=True)
    if not np.isclose(comparison["params"].iloc[0], own["params"]):
        raise UserError(f"{cell}: the plan is for {own['params']:,.0f} parameters; plan it again")
    about = {"size": cell.parts[-2], "params": int(own["params"]), "budget": int(cell.parts[-1])}
    unique = cell.parts[-3]
    about["unique_tokens"] = int(unique) if unique.isdigit() else ""
    low, high = own["interval"].get("fraction_general", (None, None))
    about |= {"flops": own["flops"], "plan_low": low, "plan_high": high}
    about["expected_regret"] = own.get("expected_regret")
    here = tuple(m for m in models if (m.size, m.budget) == cell.parts[-2:])
    found = recipe_results(own, fit=fit, comparison=comparison, models=here)
    trained = {recipe: part["seed"].unique() for recipe, part in comparison.groupby("strategy")}
    for recipe in found:
        seeds = set(trained.get(recipe.strategy, ())) & set(trained.get("optimal", ()))
        yield {**about, "seeds": len(seeds), **flat(recipe)}


def flat(recipe: RecipeResult) -> dict[str, Any]:
    """The fields of a recipe as columns; those of an interval have the ends `_low` and `_high`."""
    row = {name: value for name, value in asdict(recipe).items() if name not in LEFT_OUT}
    for name in BOUNDS:
        value, low, high = row.pop(name) or (None, None, None)
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


# ---- the law and the text -------------------------------------------------------------------


def predicted(results: Path, fit: FitResult | None) -> pd.DataFrame:
    """Predicted loss at each general fraction, at the budget of the experiment's plan."""
    file = results / "split/plan.json"
    if fit is None or not file.exists() or not has_frontier(own := read_json(file)):
        return pd.DataFrame()
    return frontier_table(fit, own)


def replan(folder: Path) -> str:
    """Plan the split of a measured frontier again, and return its summary.

    The law is `law/fit.json` or, without it, a fit of `losses.csv`. Writes `frontier/plan.json` and
    `frontier/predicted.csv`, with the loss at each general fraction.
    """
    measured, losses = (folder / name for name in ("frontier/frontier.csv", "losses.csv"))
    if not measured.exists():
        raise UserError(f"{measured}: does not exist; collect an experiment with a frontier")
    table, grid = pd.read_csv(measured), pd.read_csv(losses)
    cell = grid[grid["size"] == table["size"].iloc[0]].iloc[0]
    per_token = float(cell["flops_per_token"])
    file = folder / "law/fit.json"
    fit = FitResult.load(file) if file.exists() else fit_table(losses)
    made = plan(
        fit,
        flops=float(table["budget"].iloc[0]) * per_token,
        params=float(cell["params"]),
        flops_per_token=per_token,
        domains=list(table["domain"].unique()),
    )
    made.save(folder / "frontier/plan.json")
    saved = read_json(folder / "frontier/plan.json")
    write(frontier_table(fit, saved), folder / "frontier/predicted.csv")
    return made.summary()


def domains(results: Path) -> pd.DataFrame:
    """One row per domain: its documents and tokens, and the accuracy of the router on it."""
    rows = []
    words = _read(results / "corpus/clusters.json").get("clusters", {})
    router = _read(results / "corpus/router/router.json").get("accuracy_by_domain", {})
    for file in sorted(results.glob("tokens/*/tokens.json")):
        name, splits = file.parent.name, read_json(file)["splits"]
        row = {"domain": name}
        if name in words:
            row["words"] = " ".join(words[name]["top_words"])
        for kind in ("documents", "bytes", "tokens"):
            row |= {f"{split}_{kind}": splits[split][kind] for split in splits}
        if name != GENERAL:
            row["router_accuracy"] = router.get(name)
        rows.append(row)
    return pd.DataFrame(rows)


def _read(file: Path) -> Mapping[str, Any]:
    return read_json(file) if file.exists() else {}
