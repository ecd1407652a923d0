"""The final models: the planned split and the baselines, trained at equal compute."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils import logging

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json, write_text
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import COMPARISON
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.shape import BaseShape
from splitlaw.experiment.strategies import JOINT_STREAM, model_domain
from splitlaw.stages import grid, model_card
from splitlaw.stages.job import Job
from splitlaw.stages.loss_rows import common_columns, loss_numbers, replay_columns
from splitlaw.stages.recipe_tokens import RecipeTokens, read_recipes
from splitlaw.training.evaluation import Windows, evaluate, save_documents
from splitlaw.training.loop import Trainer
from splitlaw.training.states import State

Losses = Mapping[str, Mapping[str, float]]
"""`LOSS_COLUMNS` of a model by evaluated domain."""


def train_trunk(
    job: Job,
    plan_file: Path,
    *,
    domain: str | None = None,
    execution: ExecutionConfig,
    out: Path,
) -> None:
    """Train the general text that the runs of all strategies share.

    With `domain`, it is that of the domain's independent trunk, with the trunk's own seed.
    """
    recipes = recipes_of(job, plan_file).values()
    if domain is None:
        runs = [run for r in recipes if not r.independent for run in r.runs.values()]
        grid.train_trunk(job, runs, "final trunk", execution=execution, out=out)
        return
    apart = [recipe for recipe in recipes if recipe.independent]
    if not apart or domain not in apart[0].runs:
        raise UserError(f"{plan_file}: has no independent trunk of {domain}; leave out --domain")
    own = replace(job, seed=apart[0].seed_of(domain, job.seed))
    runs = [recipe.runs[domain] for recipe in apart]
    grid.train_trunk(own, runs, f"final trunk {domain}", execution=execution, out=out)


def train_strategy(
    job: Job, strategy: str, plan_file: Path, *, budget: str, execution: ExecutionConfig, out: Path
) -> None:
    """Train and export the models of one strategy and write its rows of the comparison.

    Each model is evaluated on every domain and on general text. Its losses by document are written
    to `documents.npz` beside it, for standard errors of paired differences.
    """
    recipes = recipes_of(job, plan_file)
    if strategy not in recipes:
        raise UserError(f"{plan_file}: has no recipe {strategy}; run choose_split again")
    recipe = recipes[strategy]
    windows = job.windows([GENERAL, *recipe.specialize_steps])
    rows = []
    for seed, runs in recipe.runs_by_seed(job.seed).items():
        own = replace(job, seed=seed)
        trainer = _trainer(own, recipe, execution)
        trainer.expect([job.lineage(run) for run in runs.values()])
        losses = _train_runs(own, trainer, recipe, runs, windows, out.parent)
        rows += [
            {**_row(job, trainer, recipe, domain, losses[domain]), "budget": budget}
            for domain in runs
        ]
    table = pd.DataFrame(rows, columns=COMPARISON)
    trainer.world.on_main(lambda: write_result_table(out, table))
    grid.finish(trainer)


def _trainer(job: Job, recipe: RecipeTokens, execution: ExecutionConfig) -> Trainer:
    """The trainer of the models of a recipe that have the seed of `job`."""
    mixtures = {run.stream: run.mixture for run in recipe.runs.values() if run.replay}
    mixtures |= {JOINT_STREAM: recipe.mixture} if recipe.mixture else {}
    domains = [GENERAL, *recipe.specialize_steps]
    label = f"final {recipe.strategy}"
    return job.trainer(domains, execution, label, mixtures, recipe.unique_tokens)


def _train_runs(
    job: Job,
    trainer: Trainer,
    recipe: RecipeTokens,
    runs: Mapping[str, Run],
    windows: Mapping[str, Windows],
    folder: Path,
) -> dict[str, Losses]:
    """Train the run of each domain, several of which may be the same; their losses by domain."""
    exported: dict[Run, Path] = {}
    losses = {}
    for domain, run in runs.items():
        if run not in exported:
            name = model_domain(recipe.strategy, domain, recipe.specialize_steps[domain])
            exported[run] = folder / name
            train_model(job, trainer, recipe, run, windows, exported[run])
        file = exported[run] / "run.json"
        losses[domain] = trainer.world.on_main(partial(read_json, file))["losses"]
    return losses


def _row(
    job: Job, trainer: Trainer, recipe: RecipeTokens, domain: str, losses: Losses
) -> dict[str, Any]:
    """A row of `comparison.csv` without its budget; the model has `losses` on all domains."""
    run = recipe.runs[domain]
    return {
        **common_columns(job, run, domain, losses[domain]),
        "specialize_tokens": job.tokens(recipe.specialize_steps[domain]),
        **replay_columns(job, trainer, run),
        "strategy": recipe.strategy,
        "pretrain_tokens": job.base_tokens + job.tokens(recipe.pretrain_steps),
        "flops": job.tokens(recipe.steps) * job.shape.flops_per_token,
        "predicted_loss": recipe.predicted_loss[domain],
        "general_loss": losses[GENERAL]["loss"],
    }


def recipes_of(job: Job, plan_file: Path) -> dict[str, RecipeTokens]:
    """The recipes of a plan, as this job trains them."""
    return read_recipes(
        plan_file,
        batch_tokens=job.training.batch_tokens,
        replay=job.final_replay,
        base_tokens=job.base_tokens,
    )


def train_model(
    job: Job,
    trainer: Trainer,
    recipe: RecipeTokens,
    run: Run,
    windows: Mapping[str, Windows],
    folder: Path,
) -> None:
    """Train one final model, evaluate it on all `windows`, and export it to `folder`."""
    began = time.monotonic()
    lineage = job.lineage(run)
    trainer.reach(lineage)
    losses = {domain: evaluate(trainer.model, part) for domain, part in windows.items()}
    summary = {domain: loss_numbers(loss) for domain, loss in losses.items()}
    weights = trainer.states.weights()
    if not trainer.world.main:
        return
    export_model(job, trainer.model, weights, folder)
    save_documents(folder / "documents.npz", losses)
    description = grid.describe_run(job, trainer, began, steps=run.total)
    made_by = model_card.target(job, folder.parent / "losses.csv")
    card = model_card.model_card(job, recipe, run, summary, made_by=made_by, about=description)
    write_text(folder / "README.md", card)
    content = {
        **description,
        "strategy": recipe.strategy,
        "run": asdict(run),
        "mixture_steps": recipe.mixture,
        "state": str(trainer.store.file(lineage).relative_to(job.results)),
        "losses": summary,
    }
    write_json(folder / "run.json", content)


def export_model(job: Job, model: PreTrainedModel, weights: State, folder: Path) -> None:
    """Write model and tokenizer as a folder that `transformers` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    existing = isinstance(job.shape, BaseShape)
    if not existing:  # a base keeps its own tokens and settings
        set_generation(model, read_json(job.sidecar(GENERAL)).get("end_of_text", 0))
    model.config.use_cache = existing  # training switches the cache of a base off
    model.save_pretrained(folder, state_dict=weights)
    model.config.use_cache = False
    for file in sorted((job.results / "tokenizer").iterdir()):
        if file.is_file():  # an existing tokenizer may have folders, of chat templates for example
            shutil.copyfile(file, folder / file.name)


def set_generation(model: PreTrainedModel, token: int) -> None:
    """Set the end-of-text token of a model, and how `generate` continues a text: by sampling.

    By default it generates at most half a context, so that the prompt stays inside the context.
    """
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), token)
    model.config.update(ends)
    longest = model.config.max_position_embeddings // 2
    model.generation_config = GenerationConfig(**ends, do_sample=True, max_new_tokens=longest)
