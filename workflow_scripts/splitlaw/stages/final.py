"""The final models: the planned split and today's recipes, trained at equal compute."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import GenerationConfig, LlamaForCausalLM
from transformers.utils import logging

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json, write_json, write_text
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.stages import grid as runs
from splitlaw.stages import model_card as card
from splitlaw.stages.grid import Job
from splitlaw.training.evaluation import DocumentLosses, Windows, evaluate
from splitlaw.training.loop import Trainer

OPTIMAL, NO_SPLIT, SCRATCH = "optimal", "no_split", "scratch"
STRATEGIES = (OPTIMAL, "two_stage_90", "half", NO_SPLIT, SCRATCH)
COLUMNS = (
    "strategy seed size budget domain params flops pretrain_tokens specialize_tokens "
    "predicted_loss loss loss_stderr bits_per_byte"
).split()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One strategy's share of the budget, in whole steps."""

    strategy: str
    """Name of the strategy."""
    pretrain_steps: int
    """D of every specialist, or of the one general model."""
    specialize_steps: Mapping[str, int]
    """D' of each domain."""
    predicted_loss: Mapping[str, float]
    """What the law expects on each domain, nats per token; not a number where it has no value."""
    interval: Mapping[str, tuple[float, float]]
    """90% interval of `predicted_loss`."""
    law: str
    """The form or forms behind the prediction."""

    @property
    def runs(self) -> dict[str, Run]:
        """The model that answers for each domain."""
        return {
            domain: Run(
                domain=domain if steps else GENERAL,
                pretrain_steps=self.pretrain_steps,
                specialize_steps=steps,
            )
            for domain, steps in self.specialize_steps.items()
        }

    @property
    def steps(self) -> int:
        """Steps of the whole recipe, a trunk that models share counted once."""
        return self.pretrain_steps + sum(self.specialize_steps.values())


def read_recipes(plan_file: Path, *, batch_tokens: int) -> dict[str, Recipe]:
    """The recipes of a plan and its baselines, rounded to whole steps."""
    plan = read_json(plan_file)
    if plan["trunk"] != "shared":
        raise UserError(
            f"{plan_file}: plans {plan['trunk']} trunks; the final training shares one, so plan "
            "with --trunk shared"
        )
    mixed = [law["law"] for law in plan["candidates"] if law["weight"] > 0] or [plan["law"]]
    names = {"mean": f"the mean of {' and '.join(mixed)}" if len(mixed) > 1 else mixed[0]}
    entries = [{**plan, "strategy": OPTIMAL, "law": "mean"}, *plan["baselines"]]
    return {
        entry["strategy"]: _recipe(entry, names.get(entry["law"], entry["law"]), batch_tokens)
        for entry in entries
    }


def _recipe(entry: Mapping[str, Any], law: str, batch_tokens: int) -> Recipe:
    told = {
        domain: [np.nan if number is None else float(number) for number in loss]
        for domain, loss in entry["predicted_loss"].items()
    }
    return Recipe(
        strategy=entry["strategy"],
        pretrain_steps=round(entry["pretrain_tokens"] / batch_tokens),
        specialize_steps={
            domain: round(tokens / batch_tokens)
            for domain, tokens in entry["specialize_tokens"].items()
        },
        predicted_loss={domain: value for domain, (value, _, _) in told.items()},
        interval={domain: (low, high) for domain, (_, low, high) in told.items()},
        law=law,
    )


def train_shared(job: Job, plan_file: Path, *, execution: ExecutionConfig, out: Path) -> None:
    """Train the general text of all recipes, so that each of them can branch off."""
    recipes = read_recipes(plan_file, batch_tokens=job.recipe.batch_tokens)
    everything = [run for recipe in recipes.values() for run in recipe.runs.values()]
    runs.train_shared(job, everything, "final trunk", execution=execution, out=out)


def train_strategy(
    job: Job, strategy: str, plan_file: Path, *, budget: str, execution: ExecutionConfig, out: Path
) -> None:
    """Train and export the models of one strategy and write its rows of the comparison.

    Each model is evaluated on every domain and on general text; the losses by document go to
    `documents.npz` beside it, for paired errors.
    """
    recipe = read_recipes(plan_file, batch_tokens=job.recipe.batch_tokens)[strategy]
    domains = list(recipe.specialize_steps)
    trainer = job.trainer([GENERAL, *domains], execution, f"final {strategy}")
    windows = job.windows([GENERAL, *domains])
    trainer.expect([run.lineage(job.recipe.cooldown_fraction) for run in recipe.runs.values()])
    rows = []
    exported: dict[Run, Path] = {}
    for domain, run in recipe.runs.items():
        if run not in exported:
            exported[run] = out.parent / run.domain
            train_model(job, trainer, recipe, run, windows, exported[run])
        file = exported[run] / "run.json"
        about = trainer.world.decide(partial(read_json, file))
        rows.append(
            {
                "strategy": strategy,
                "seed": job.seed,
                "size": job.size,
                "budget": budget,
                "domain": domain,
                "params": job.shape.params,
                "flops": recipe.steps * job.recipe.batch_tokens * job.shape.flops_per_token,
                "pretrain_tokens": run.pretrain_steps * job.recipe.batch_tokens,
                "specialize_tokens": run.specialize_steps * job.recipe.batch_tokens,
                "predicted_loss": recipe.predicted_loss[domain],
                **{name: about["losses"][domain][name] for name in COLUMNS[-3:]},
            }
        )
    trainer.world.decide(lambda: runs.write_table(out, rows, COLUMNS))
    runs.finish(trainer)


def train_model(
    job: Job,
    trainer: Trainer,
    recipe: Recipe,
    run: Run,
    windows: Mapping[str, Windows],
    folder: Path,
) -> None:
    """Bring one final model to its end, evaluate it everywhere, and export it."""
    began = time.monotonic()
    lineage = run.lineage(job.recipe.cooldown_fraction)
    trainer.reach(lineage)
    losses = {domain: evaluate(trainer.model, part) for domain, part in windows.items()}
    summary = {domain: runs.summarise(loss) for domain, loss in losses.items()}
    weights = trainer.weights()
    if not trainer.world.main:
        return
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    name_end_of_text(trainer.model, read_json(job.sidecar(GENERAL)).get("end_of_text", 0))
    trainer.model.save_pretrained(folder, state_dict=weights)
    for file in sorted((job.results / "tokenizer").iterdir()):
        shutil.copyfile(file, folder / file.name)
    save_documents(folder / "documents.npz", losses)
    about = runs.describe(job, trainer, began, steps=run.total)
    made_by = card.target(job, folder.parent / "losses.csv")
    told = card.model_card(job, recipe, run, summary, made_by=made_by, about=about)
    write_text(folder / "README.md", told)
    state = str(trainer.store.file(lineage).relative_to(job.results))
    content = {
        **about,
        "strategy": recipe.strategy,
        "run": asdict(run),
        "state": state,
        "losses": summary,
    }
    write_json(folder / "run.json", content)


def name_end_of_text(model: LlamaForCausalLM, token: int) -> None:
    """Tell a model's files where texts begin and end, and how `generate` goes on: by sampling.

    What is generated is at most half of what the model reads.
    """
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), token)
    model.config.update(ends)
    longest = model.config.max_position_embeddings // 2
    model.generation_config = GenerationConfig(**ends, do_sample=True, max_new_tokens=longest)


def save_documents(file: Path, losses: Mapping[str, DocumentLosses]) -> None:
    """Keep nats, tokens and bytes of every held-out document, by domain."""
    arrays = {
        f"{domain}/{name}": values
        for domain, loss in losses.items()
        for name, values in asdict(loss).items()
    }
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_documents(file: Path) -> dict[str, DocumentLosses]:
    """Losses by document of a final model, by evaluated domain."""
    with np.load(file) as arrays:
        domains = sorted({name.split("/")[0] for name in arrays.files})
        return {
            domain: DocumentLosses(
                nats=arrays[f"{domain}/nats"],
                tokens=arrays[f"{domain}/tokens"],
                bytes=arrays[f"{domain}/bytes"],
            )
            for domain in domains
        }
