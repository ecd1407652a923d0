"""Measure all systems of the final models, and write the tables and the page of the results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common import provenance
from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json, write_text
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import BENCHMARK_GAINS, BENCHMARKS, ROUTES
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import JOINT, NO_SPLIT
from splitlaw.training.device_errors import check_gpu
from splitlaw.training.processes import resolve_device
from splitlaw.zero_shot import page, routes, tables
from splitlaw.zero_shot.measuring import BenchmarkConfig, Evaluation, Paths, measure_recipe, prepare
from splitlaw.zero_shot.models import TrainedRecipe, check_folders, read_recipes
from splitlaw.zero_shot.routing import open_weights
from splitlaw.zero_shot.systems import ENSEMBLE, ORACLE, ROUTED, SINGLE, UNSCALED
from splitlaw.zero_shot.tables import Measure


def benchmark(
    config: BenchmarkConfig,
    recipes_tables: Sequence[Path],
    *,
    results: Path,
    router: Path,
    items: Path,
    tasks: Path,
    out: Path,
    execution: ExecutionConfig | None = None,
) -> None:
    """Measure all systems of all recipes.

    Write `out` (`benchmarks.csv`) and, beside it, `benchmark_gains.csv`, `benchmark_routes.csv`,
    `benchmarks.md` and `benchmark_run.json`.
    """
    began = time.monotonic()
    recipes = read_recipes(recipes_tables)
    domains = list(recipes[0].folders)
    if any(list(recipe.folders) != domains for recipe in recipes):
        raise UserError("the tables of final models have different domains; run train_final again")
    check_folders(recipes, results / "tokenizer")
    weights = open_weights(router, results / "corpus", domains)
    device = resolve_device((execution or ExecutionConfig()).device)
    check_gpu(device)
    paths = Paths(results=results, items=items, tasks=tasks, device=device)
    evaluation = prepare(config, paths, weights, recipes[0].models[0])
    measured = {
        (number, system): measures
        for number, recipe in enumerate(recipes)
        for system, measures in measure_recipe(recipe, evaluation).items()
    }
    scaling = _remove_unscaled(recipes, measured)
    values, gains = _tabulate(recipes, measured)
    rows = routes.route_rows(
        recipes, weights.router, evaluation.held, corpus=results / "corpus", cut=config.characters
    )
    about = {
        "config": config.model_dump(),
        "router_temperature": weights.temperature,
        "ensemble_against_temperature_1": scaling,
        **_describe(evaluation, domains),
        "wall_seconds": time.monotonic() - began,
        "lm_eval": version("lm_eval"),
        "device": str(device),
        **provenance.environment(),
    }
    loaded = evaluation.questions.tasks
    titles = {name: task.config.task_alias or name for name, task in loaded.items()}
    write_json(out.parent / "benchmark_run.json", about)
    counts = _item_counts(items, list(titles))
    write_text(out.parent / "benchmarks.md", page.write_page(values, gains, titles, counts))
    write_result_table(out.parent / "benchmark_gains.csv", gains)
    write_result_table(out.parent / "benchmark_routes.csv", pd.DataFrame(rows, columns=ROUTES))
    write_result_table(out, values)


def _describe(evaluation: Evaluation, domains: Sequence[str]) -> dict[str, Any]:
    """What the systems are measured on, for `benchmark_run.json`."""
    return {
        ROUTED: _shares(evaluation, domains),
        "unsure_documents": {held.domain: len(held.mixed.documents) for held in evaluation.held},
        "scored_tokens_per_model": int(evaluation.items.bounds[-1]),
    }


def _item_counts(items: Path, tasks: Sequence[str]) -> dict[str, dict[str, int]]:
    """Counts of `benchmark_items` for those of the tasks that are local."""
    file = items / "items.json"
    counts = read_json(file)["tasks"] if file.exists() else {}
    return {task: counts[task] for task in tasks if task in counts}


def _remove_unscaled(
    recipes: Sequence[TrainedRecipe], measured: dict[tuple[int, str], list[Measure]]
) -> list[dict[str, Any]]:
    """Remove the ensembles at temperature 1, and compare those of the fitted one with them."""
    return [
        {**_about(recipe), **row}
        for number, recipe in enumerate(recipes)
        if (unscaled := measured.pop((number, UNSCALED), None))
        for row in tables.mean_gain_rows(measured[number, ENSEMBLE], unscaled)
    ]


def _about(recipe: TrainedRecipe) -> dict[str, Any]:
    size, budget, seed = recipe.group
    return {"strategy": recipe.strategy, "size": size, "budget": budget, "seed": seed}


def _tabulate(
    recipes: Sequence[TrainedRecipe], measured: dict[tuple[int, str], list[Measure]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values, and differences from the single models of the same size, budget and seed."""
    singles = {
        (recipes[number].group, recipes[number].strategy): measures
        for (number, system), measures in measured.items()
        if system == SINGLE
    }
    values: list[dict[str, Any]] = []
    gains: list[dict[str, Any]] = []
    for (number, system), measures in measured.items():
        recipe = recipes[number]
        who = {**_about(recipe), "system": system}
        values += [{**who, **row} for row in tables.value_rows(measures)]
        for against in (NO_SPLIT, JOINT):
            single = singles.get((recipe.group, against))
            if single is not None and recipe.strategy not in (against, NO_SPLIT):
                rows = tables.gain_rows(measures, single, bound=system == ORACLE)
                gains += [{**who, "against": against, **row} for row in rows]
    return (
        pd.DataFrame(values, columns=BENCHMARKS),
        pd.DataFrame(gains, columns=BENCHMARK_GAINS),
    )


def _shares(evaluation: Evaluation, domains: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of the items of each task that is routed to each specialist."""
    selected, of_task = evaluation.weights.argmax(1), evaluation.questions.task
    return {
        task: {
            domain: float((selected[of_task == number] == specialist).mean())
            for specialist, domain in enumerate(domains)
        }
        for number, task in enumerate(evaluation.questions.tasks)
    }
