"""Measurements of a recipe on items and documents: each model is evaluated once for all systems."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from splitlaw.experiment.section import Distinct, Positive, Settings
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.zero_shot import harness, tables
from splitlaw.zero_shot.documents import HeldOut, check_documents, read_held_out, system_losses
from splitlaw.zero_shot.models import TrainedRecipe, open_model
from splitlaw.zero_shot.routing import Weights
from splitlaw.zero_shot.scoring import Packed, log_likelihoods, pack, sums
from splitlaw.zero_shot.systems import ENSEMBLE, SINGLE, UNSCALED, mixed, systems
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
class Paths:
    """Folders that are read, and the device."""

    results: Path
    """Results of the experiment."""
    items: Path
    """Items of the local tasks."""
    tasks: Path
    """Files of the local tasks."""
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Items and documents, prepared once for all models."""

    questions: harness.Questions
    """The items of all tasks."""
    items: Packed
    """Their requests."""
    weights: Array
    """(items, specialists) weights of the router."""
    unscaled: Array
    """The weights at temperature 1."""
    held: Sequence[HeldOut]
    """Held-out documents by domain."""
    unscaled_held: Sequence[HeldOut]
    """`held` with the weights at temperature 1."""
    device: torch.device

    def log_likelihoods(self, folder: Path) -> list[Array]:
        """Log-likelihoods of the tokens of the items, then of the documents to mix, by domain."""
        model = open_model(folder, self.device)
        packed = [self.items, *(held.mixed.packed for held in self.held)]
        return [log_likelihoods(model, part) for part in packed]


def prepare(config: BenchmarkConfig, paths: Paths, weights: Weights, model: Path) -> Evaluation:
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
    return Evaluation(
        questions=questions,
        items=pack(encoded, context=config.context),
        weights=weights.of(questions.texts),
        unscaled=unscaled.of(questions.texts),
        held=held,
        unscaled_held=[replace(part, weights=unscaled.of(part.texts)) for part in held],
        device=paths.device,
    )


def measure_recipe(recipe: TrainedRecipe, evaluation: Evaluation) -> dict[str, list[Measure]]:
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


def _item_systems(evaluation: Evaluation, values: Array) -> dict[str, Array]:
    """Token log-likelihoods of the systems on the items, from `[specialists, tokens]`."""
    bounds = evaluation.items.bounds
    whole = np.stack([sums(row, bounds) for row in values])
    request = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    owner = evaluation.questions.item[request]
    gold = whole[:, evaluation.questions.gold]
    found = systems(values, weights=evaluation.weights, gold=gold, owner=owner)
    return {**found, UNSCALED: mixed(values, evaluation.unscaled, owner)}


def _item_measures(evaluation: Evaluation, values: Array) -> list[Measure]:
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
