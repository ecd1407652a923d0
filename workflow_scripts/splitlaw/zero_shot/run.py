"""Measure all systems of the final models: each model is evaluated once for all systems."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from splitlaw.common.files import atomic_path, read_json, write_json, write_text
from splitlaw.experiment.base import Distinct, Positive, Settings
from splitlaw.experiment.columns import BENCHMARK_GAINS, BENCHMARKS
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import JOINT, NO_SPLIT
from splitlaw.training.device_errors import check_gpu
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.training.processes import resolve_device
from splitlaw.zero_shot import harness, page, tables
from splitlaw.zero_shot.documents import HeldOut, check_documents, read_held_out, system_losses
from splitlaw.zero_shot.models import TrainedRecipe, check_folders, open_model, read_recipes
from splitlaw.zero_shot.routing import Weights, open_weights
from splitlaw.zero_shot.scoring import Packed, log_likelihoods, pack, sums
from splitlaw.zero_shot.systems import ORACLE, ROUTED, SINGLE, systems
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
    held: Sequence[HeldOut]
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

    Write `out` (`benchmarks.csv`) and, beside it, `benchmark_gains.csv`, `benchmarks.md`
    and `benchmark_run.json`.
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
    values, gains = _tabulate(recipes, measured)
    about = {
        "config": config.model_dump(),
        "router_temperature": weights.temperature,
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
    for table, path in ((gains, out.parent / "benchmark_gains.csv"), (values, out)):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)


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
        held=held,
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
            mixed = np.stack([values[folder][1 + number] for folder in folders])
            by_system = system_losses(held, own, mixed)
        for system, found in by_system.items():
            measured[system] += _loss_measures(held.domain, found)
    return measured


def _item_systems(evaluation: _Evaluation, values: Array) -> dict[str, Array]:
    """Token log-likelihoods of the systems on the items, from `[specialists, tokens]`."""
    bounds = evaluation.items.bounds
    whole = np.stack([sums(row, bounds) for row in values])
    request = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return systems(
        values,
        weights=evaluation.weights,
        gold=whole[:, evaluation.questions.gold],
        owner=evaluation.questions.item[request],
    )


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
        size, budget, seed = recipe.group
        who: dict[str, Any] = {"strategy": recipe.strategy, "system": system}
        who |= {"size": size, "budget": budget, "seed": seed}
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
