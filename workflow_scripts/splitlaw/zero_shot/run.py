"""The benchmark stage: every final model asked once, every system put together from the answers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from splitlaw.common import provenance
from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_json, write_text
from splitlaw.experiment.columns import BENCHMARKS
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.training.processes import resolve_device
from splitlaw.zero_shot import harness, page, tables
from splitlaw.zero_shot.documents import HeldOut, check_documents, read_held_out, system_losses
from splitlaw.zero_shot.models import TrainedRecipe, check_folders, open_model, read_recipes
from splitlaw.zero_shot.routing import Weights, open_weights
from splitlaw.zero_shot.scoring import Packed, log_likelihoods, pack, sums
from splitlaw.zero_shot.systems import ORACLE, SINGLE, systems
from splitlaw.zero_shot.tables import Measure

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What is measured."""

    tasks: Sequence[str]
    """Tasks of `lm-eval`: local ones, or any of multiple choice where a hub can be reached."""
    context: int
    """Tokens that the models read."""
    test_tokens: int
    """Held-out tokens per domain, as the losses were measured on."""
    characters: int | None
    """What held-out documents are cut to."""

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("benchmarks.tasks is empty; name at least one task")


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Where things are."""

    results: Path
    router: Path
    items: Path
    tasks: Path
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class _Exam:
    """What every model is asked, the same for all."""

    questions: harness.Questions
    items: Packed
    weights: Array
    held: Sequence[HeldOut]
    device: torch.device

    def answers(self, folder: Path) -> list[Array]:
        """Log-likelihoods of the items' tokens, then of the tokens of unsure documents."""
        model = open_model(folder, self.device)
        packed = [self.items, *(held.unsure.packed for held in self.held)]
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

    Writes `out`, which is `benchmarks.csv`, and beside it `benchmark_gains.csv`, `benchmarks.md`
    and `benchmark_run.json`.
    """
    began = time.monotonic()
    recipes = read_recipes(recipes_tables)
    domains = list(recipes[0].folders)
    if any(list(recipe.folders) != domains for recipe in recipes):
        raise UserError("the tables of the final models have different domains; train them again")
    check_folders(recipes, results / "tokenizer")
    weights = open_weights(router, results / "corpus", domains)
    device = resolve_device((execution or ExecutionConfig()).device)
    places = _Places(results=results, router=router, items=items, tasks=tasks, device=device)
    exam = _prepare(config, places, weights, recipes[0].models[0])
    measured = {
        (number, system): measures
        for number, recipe in enumerate(recipes)
        for system, measures in _measure(recipe, exam).items()
    }
    values, gains = _tabulate(recipes, measured)
    about = {
        "config": asdict(config),
        "router_temperature": weights.temperature,
        "routed": _shares(exam, domains),
        "unsure_documents": {held.domain: len(held.unsure.documents) for held in exam.held},
        "scored_tokens_per_model": int(exam.items.bounds[-1]),
        "wall_seconds": time.monotonic() - began,
        "lm_eval": version("lm_eval"),
        "device": str(device),
        **provenance.environment(),
    }
    titles = {name: task.config.task_alias or name for name, task in exam.questions.tasks.items()}
    write_json(out.parent / "benchmark_run.json", about)
    counts = _item_counts(items, list(titles))
    write_text(out.parent / "benchmarks.md", page.write_page(values, gains, titles, counts))
    for table, path in ((gains, out.parent / "benchmark_gains.csv"), (values, out)):
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)


def _item_counts(items: Path, tasks: Sequence[str]) -> dict[str, dict[str, int]]:
    """What `benchmark_items` counted for these tasks; nothing for tasks that are not local."""
    file = items / "items.json"
    counts = read_json(file)["tasks"] if file.exists() else {}
    return {task: counts[task] for task in tasks if task in counts}


def _prepare(config: BenchmarkConfig, places: _Places, weights: Weights, model: Path) -> _Exam:
    """Everything that does not depend on the model, from the requests' tokens to the routes."""
    from transformers import AutoTokenizer

    held = [
        read_held_out(
            places.results,
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
            config.tasks, folder=places.tasks, items=places.items, cache=Path(cache)
        )
        questions = harness.ask(loaded)
    tokenizer = AutoTokenizer.from_pretrained(places.results / "tokenizer", local_files_only=True)
    encoded = harness.encode(questions, open_model(model), tokenizer)
    return _Exam(
        questions=questions,
        items=pack(encoded, context=config.context),
        weights=weights.of(questions.texts),
        held=held,
        device=places.device,
    )


def _measure(recipe: TrainedRecipe, exam: _Exam) -> dict[str, list[Measure]]:
    """Everything about one recipe, by system."""
    folders = list(recipe.folders.values())
    asked = {folder: exam.answers(folder) for folder in recipe.models}
    losses = {folder: load_documents(folder / "documents.npz") for folder in recipe.models}
    if len(recipe.models) == 1:
        answers = {SINGLE: asked[folders[0]][0]}
    else:
        answers = _item_systems(exam, np.stack([asked[folder][0] for folder in folders]))
    measured = {system: _item_measures(exam, values) for system, values in answers.items()}
    for place, held in enumerate(exam.held):
        own = [check_documents(losses[folder], held, folder) for folder in folders]
        by_system = {SINGLE: own[0]}
        if len(recipe.models) > 1:
            unsure = np.stack([asked[folder][1 + place] for folder in folders])
            by_system = system_losses(held, own, unsure)
        for system, found in by_system.items():
            measured[system] += _loss_measures(held.domain, found)
    return measured


def _item_systems(exam: _Exam, values: Array) -> dict[str, Array]:
    """Token log-likelihoods of the systems on the items; `values` are `[specialists, tokens]`."""
    bounds = exam.items.bounds
    whole = np.stack([sums(row, bounds) for row in values])
    request = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return systems(
        values,
        weights=exam.weights,
        gold=whole[:, exam.questions.gold],
        owner=exam.questions.item[request],
    )


def _item_measures(exam: _Exam, values: Array) -> list[Measure]:
    """Bits per byte of the right answer, and what `lm-eval` counts as right."""
    questions = exam.questions
    gold = -sums(values, exam.items.bounds)[questions.gold] / np.log(2)
    right = harness.hits(questions, values, exam.items.bounds)
    measures = []
    for place, task in enumerate(questions.tasks):
        mine = questions.task == place
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
    """`benchmarks.csv`, and gains over the single model of the same size, budget and seed."""
    singles = {
        recipes[number].against: measures
        for (number, system), measures in measured.items()
        if system == SINGLE
    }
    values: list[dict[str, Any]] = []
    gains: list[dict[str, Any]] = []
    for (number, system), measures in measured.items():
        recipe = recipes[number]
        size, budget, seed = recipe.against
        who: dict[str, Any] = {"strategy": recipe.strategy, "system": system}
        who |= {"size": size, "budget": budget, "seed": seed}
        values += [{**who, **row} for row in tables.value_rows(measures)]
        single = singles.get(recipe.against)
        if single is not None and system != SINGLE:
            rows = tables.gain_rows(measures, single, bound=system == ORACLE)
            gains += [{**who, **row} for row in rows]
    return (
        pd.DataFrame(values, columns=BENCHMARKS),
        pd.DataFrame(gains, columns=tables.GAIN_COLUMNS),
    )


def _shares(exam: _Exam, domains: Sequence[str]) -> dict[str, dict[str, float]]:
    """By task, the share of its items that goes to each specialist."""
    picks = exam.weights.argmax(1)
    return {
        task: {
            domain: float((picks[exam.questions.task == place] == number).mean())
            for number, domain in enumerate(domains)
        }
        for place, task in enumerate(exam.questions.tasks)
    }
