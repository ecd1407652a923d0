"""Measure all systems of the final models: each model is evaluated once for all systems."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from splitlaw.common import provenance
from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json, write_text
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import BENCHMARK_GAINS, BENCHMARKS, ROUTES
from splitlaw.experiment.section import Distinct, Positive, Settings
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import JOINT, NO_SPLIT
from splitlaw.training.device_errors import check_gpu
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.training.processes import resolve_device
from splitlaw.zero_shot import harness, page, routes, tables
from splitlaw.zero_shot.documents import HeldOut, check_documents, read_held_out, system_losses
from splitlaw.zero_shot.models import TrainedRecipe, check_folders, open_model, read_recipes
from splitlaw.zero_shot.routing import Weights, open_weights
from splitlaw.zero_shot.scoring import Packed, log_likelihoods, pack, sums
from splitlaw.zero_shot.systems import ENSEMBLE, ORACLE, ROUTED, SINGLE, UNSCALED, mixed, systems
from splitlaw.zero_shot.tables import Measure

Array = npt.NDArray[np.float64]


class BenchmarkConfig(Settings):
    """Tasks and amounts of text."""

    tasks: Annotated[Distinct[str], Field(min_length=1)]
    """Tasks of `lm-eval`: local ones or, where the hub can be reached, any multiple-choice task."""
    context: Positive
    """Context length of the models in tokens."""
    test_tokens: Positive
    """Held-out tokens per domain, as in the evaluation of the final models."""
    characters: Positive | None
    """Length to which held-out documents are truncated; None for no limit."""


@dataclass(frozen=True, kw_only=True)
class _Paths:
    """Folders, and the device."""

    results: Path
    router: Path
    items: Path
    tasks: Path
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class _Evaluation:
    """Items and documents, prepared once for all models."""

    questions: harness.Questions
    items: Packed
    weights: Array
    unscaled: Array
    """The weights at temperature 1."""
    held: Sequence[HeldOut]
    unscaled_held: Sequence[HeldOut]
    """`held` with the weights at temperature 1."""
    device: torch.device

    def log_likelihoods(self, folder: Path) -> list[Array]:
        """Log-likelihoods of the tokens of the items, then of the documents to mix, by domain."""
        model = open_model(folder, self.device)
        packed = [self.items, *(held.mixed.packed for held in self.held)]
        return [log_likelihoods(model, part) for part in packed]


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
    paths = _Paths(results=results, router=router, items=items, tasks=tasks, device=device)
    evaluation = _prepare(config, paths, weights, recipes[0].models[0])
    measured = {
        (number, system): measures
        for number, recipe in enumerate(recipes)
        for system, measures in _measure(recipe, evaluation).items()
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
        ROUTED: _shares(evaluation, domains),
        "unsure_documents": {held.domain: len(held.mixed.documents) for held in evaluation.held},
        "scored_tokens_per_model": int(evaluation.items.bounds[-1]),
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
    written = {
        "benchmark_gains.csv": gains,
        "benchmark_routes.csv": pd.DataFrame(rows, columns=ROUTES),
        out.name: values,
    }
    for name, table in written.items():
        write_result_table(out.parent / name, table)


def _item_counts(items: Path, tasks: Sequence[str]) -> dict[str, dict[str, int]]:
    """Counts of `benchmark_items` for those of the tasks that are local."""
    file = items / "items.json"
    counts = read_json(file)["tasks"] if file.exists() else {}
    return {task: counts[task] for task in tasks if task in counts}


def _prepare(config: BenchmarkConfig, paths: _Paths, weights: Weights, model: Path) -> _Evaluation:
    """Prepare items and documents; `model` determines only how requests are encoded."""
    from transformers import AutoTokenizer

    held = [
        read_held_out(
            paths.results,
            domain,
            weigh=weights.of,
            context=config.context,
            limit=config.test_tokens,
            characters=config.characters,
        )
        for domain in weights.domains
    ]
    unscaled = replace(weights, temperature=1.0)
    with tempfile.TemporaryDirectory() as cache:
        loaded = harness.load_tasks(
            config.tasks, folder=paths.tasks, items=paths.items, cache=Path(cache)
        )
        questions = harness.build_questions(loaded)
    tokenizer = AutoTokenizer.from_pretrained(paths.results / "tokenizer", local_files_only=True)
    encoded = harness.encode(questions, open_model(model), tokenizer)
    return _Evaluation(
        questions=questions,
        items=pack(encoded, context=config.context),
        weights=weights.of(questions.texts),
        unscaled=unscaled.of(questions.texts),
        held=held,
        unscaled_held=[replace(part, weights=unscaled.of(part.texts)) for part in held],
        device=paths.device,
    )


def _measure(recipe: TrainedRecipe, evaluation: _Evaluation) -> dict[str, list[Measure]]:
    """All measurements of one recipe, by system."""
    folders = list(recipe.folders.values())
    values = {folder: evaluation.log_likelihoods(folder) for folder in recipe.models}
    losses = {folder: load_documents(folder / "documents.npz") for folder in recipe.models}
    if len(recipe.models) == 1:
        items = {SINGLE: values[folders[0]][0]}
    else:
        items = _item_systems(evaluation, np.stack([values[folder][0] for folder in folders]))
    measured = {system: _item_measures(evaluation, found) for system, found in items.items()}
    for number, held in enumerate(evaluation.held):
        own = [check_documents(losses[folder], held, folder) for folder in folders]
        by_system = {SINGLE: own[0]}
        if len(recipe.models) > 1:
            tokens = np.stack([values[folder][1 + number] for folder in folders])
            by_system = system_losses(held, own, tokens)
            plain = system_losses(evaluation.unscaled_held[number], own, tokens)
            by_system[UNSCALED] = plain[ENSEMBLE]
        for system, found in by_system.items():
            measured[system] += _loss_measures(held.domain, found)
    return measured


def _item_systems(evaluation: _Evaluation, values: Array) -> dict[str, Array]:
    """Token log-likelihoods of the systems on the items, from `[specialists, tokens]`."""
    bounds = evaluation.items.bounds
    whole = np.stack([sums(row, bounds) for row in values])
    request = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    owner = evaluation.questions.item[request]
    gold = whole[:, evaluation.questions.gold]
    found = systems(values, weights=evaluation.weights, gold=gold, owner=owner)
    return {**found, UNSCALED: mixed(values, evaluation.unscaled, owner)}


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


def _item_measures(evaluation: _Evaluation, values: Array) -> list[Measure]:
    """Bits per byte of the right answers, and the accuracies of `lm-eval`."""
    questions = evaluation.questions
    gold = -sums(values, evaluation.items.bounds)[questions.gold] / np.log(2)
    right = harness.hits(questions, values, evaluation.items.bounds)
    measures = []
    for number, task in enumerate(questions.tasks):
        mine = questions.task == number
        chance = float((1 / questions.choices[mine]).mean())
        bits = Measure(
            task=task,
            metric=tables.BITS,
            numerator=gold[mine],
            denominator=questions.bytes[mine],
        )
        measures.append(bits)
        for metric, found in right[task].items():
            ones = np.ones(len(found))
            measures.append(
                Measure(task=task, metric=metric, numerator=found, denominator=ones, chance=chance)
            )
    return measures


def _loss_measures(domain: str, losses: DocumentLosses) -> list[Measure]:
    task = f"{tables.HELD_OUT}{domain}"
    bits = losses.nats / np.log(2)
    return [
        Measure(task=task, metric=tables.BITS, numerator=bits, denominator=losses.bytes),
        Measure(task=task, metric=tables.LOSS, numerator=losses.nats, denominator=losses.tokens),
    ]


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


def _shares(evaluation: _Evaluation, domains: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of the items of each task that is routed to each specialist."""
    selected, of_task = evaluation.weights.argmax(1), evaluation.questions.task
    return {
        task: {
            domain: float((selected[of_task == number] == specialist).mean())
            for specialist, domain in enumerate(domains)
        }
        for number, task in enumerate(evaluation.questions.tasks)
    }
