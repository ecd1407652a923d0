"""Grid runs of one size and seed: train the trunk, train branches, evaluate what is cooled down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common import provenance
from splitlaw.common.files import atomic_path, read_json, write_json
from splitlaw.common.progress import Progress
from splitlaw.experiment.config import Grid
from splitlaw.experiment.lineage import GENERAL, Lineage, Run, in_training_order, trunk_prefix
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import Shape
from splitlaw.training.evaluation import DocumentLosses, Windows, cut_windows, evaluate
from splitlaw.training.loop import Trainer

COLUMNS = (
    "run stage split size params non_embedding_params flops_per_token train_domain domain "
    "pretrain_tokens unique_pretrain_tokens specialize_tokens unique_specialize_tokens trunk seed "
    "loss loss_stderr bits_per_byte"
).split()


@dataclass(frozen=True, kw_only=True)
class Job:
    """All runs of one size and seed, and where their files are."""

    size: str
    """Name of the size."""
    split: str
    """`fit`, or `holdout` for a size that the law's parameters never see."""
    seed: int
    """Seed of initialisation and data order."""
    shape: Shape
    """Shape of the models."""
    recipe: TrainingConfig
    """How they are trained."""
    grid: Grid
    """Which runs there are."""
    results: Path
    """The experiment's folder."""
    test_tokens: int
    """Held-out tokens per domain to evaluate on."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, size: str, seed: int, results: Path) -> Job:
        """A job from the part of the configuration that decides what its results are."""
        training = TrainingConfig(**config["training"])
        return cls(
            size=size,
            split=config["split"],
            seed=seed,
            shape=Shape(**config["shape"]),
            recipe=training,
            grid=Grid(
                batch_tokens=training.batch_tokens,
                cells=tuple((int(d), int(s)) for d, s in config["cells"]),
                unsplit=tuple(config["unsplit"]),
            ),
            results=results,
            test_tokens=config["test_tokens"],
        )

    def sidecar(self, domain: str) -> Path:
        """`tokens.json` of a domain."""
        return self.results / "tokens" / domain / "tokens.json"

    def trainer(self, domains: Sequence[str], execution: ExecutionConfig, what: str) -> Trainer:
        """A trainer that can read these domains and knows the states of this size and seed."""
        return Trainer(
            shape=self.shape,
            recipe=self.recipe,
            seed=self.seed,
            sidecars={domain: self.sidecar(domain) for domain in domains},
            checkpoints=self.results / "checkpoints" / self.size / f"seed{self.seed}",
            execution=execution,
            progress=Progress(f"{self.size} {what}"),
        )

    def windows(self, domains: Sequence[str]) -> dict[str, Windows]:
        """Held-out text of these domains."""
        return {
            domain: cut_windows(
                self.sidecar(domain), context=self.shape.context, limit=self.test_tokens
            )
            for domain in domains
        }


def trunk_lineages(runs: Sequence[Run], cooldown_fraction: float) -> list[Lineage]:
    """The histories on general text that runs leave from: the trunk's and the shared cooldowns'."""
    parts = (trunk_prefix(run.lineage(cooldown_fraction)) for run in runs)
    return in_training_order(filter(None, parts))


def pretrain(job: Job, *, execution: ExecutionConfig, out: Path) -> None:
    """Train what all domains of the grid share."""
    runs = job.grid.runs(GENERAL) + job.grid.runs("any domain")
    train_shared(job, runs, "trunk", execution=execution, out=out)


def train_shared(
    job: Job, runs: Sequence[Run], what: str, *, execution: ExecutionConfig, out: Path
) -> None:
    """Train the general text that `runs` leave from, and describe the work in `out`."""
    began = time.monotonic()
    trainer = job.trainer([GENERAL], execution, what)
    wanted = trunk_lineages(runs, job.recipe.cooldown_fraction)
    trainer.expect(wanted)
    for lineage in wanted:
        if not trainer.has(lineage):
            trainer.reach(lineage)
    about = describe(job, trainer, began)
    trainer.world.decide(lambda: write_json(out, about))
    finish(trainer)


def specialize(
    job: Job, domain: str, domains: Sequence[str], *, execution: ExecutionConfig, out: Path
) -> None:
    """Train the branches of a domain, or cool down the unsplit runs; evaluate every one.

    A branch is evaluated on its own domain, an unsplit run on `general` and all `domains`.
    """
    trainer = job.trainer(sorted({GENERAL, domain}), execution, domain)
    windows = job.windows([GENERAL, *domains] if domain == GENERAL else [domain])
    runs = {run.lineage(job.recipe.cooldown_fraction): run for run in job.grid.runs(domain)}
    trainer.expect(list(runs))
    rows = []
    for lineage in in_training_order(runs):
        run = runs[lineage]
        losses = train_and_evaluate(job, trainer, run, windows, out.parent / folder_name(run, job))
        rows += [row(job, trainer, run, name, loss) for name, loss in losses.items()]
    trainer.world.decide(lambda: write_table(out, rows, COLUMNS))
    finish(trainer)


def write_table(out: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV, atomically."""
    with atomic_path(out) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)


def folder_name(run: Run, job: Job) -> str:
    """A run's folder, from its tokens."""
    batch = job.recipe.batch_tokens
    return f"D{run.pretrain_steps * batch}-S{run.specialize_steps * batch}"


def train_and_evaluate(
    job: Job, trainer: Trainer, run: Run, windows: Mapping[str, Windows], folder: Path
) -> dict[str, dict[str, float]]:
    """Losses of a run by domain; trained and evaluated only where that is not on disk."""
    began = time.monotonic()
    lineage = run.lineage(job.recipe.cooldown_fraction)
    file = folder / "run.json"
    tests = {domain: test_digest(job, domain) for domain in windows}
    state = str(trainer.store.file(lineage).relative_to(job.results))
    known = trainer.world.decide(lambda: known_losses(trainer, lineage, file, state))
    missing = [domain for domain in windows if known.get(domain, {}).get("test") != tests[domain]]
    if missing:
        trainer.reach(lineage)
        for domain in missing:
            measured = summarise(evaluate(trainer.model, windows[domain]))
            known[domain] = {**measured, "test": tests[domain]}
        about = describe(job, trainer, began, steps=run.total)
        content = {**about, "run": asdict(run), "state": state, "losses": known}
        trainer.world.decide(lambda: write_json(file, content))
    return {domain: known[domain] for domain in windows}


def known_losses(
    trainer: Trainer, lineage: Lineage, file: Path, state: str
) -> dict[str, dict[str, Any]]:
    """Losses of a run that `run.json` holds of the very state that is stored."""
    if not file.exists() or not trainer.store.has(lineage):
        return {}
    before = read_json(file)
    return dict(before["losses"]) if before["state"] == state else {}


def test_digest(job: Job, domain: str) -> str:
    """What a loss on a domain's held-out text depends on besides the model."""
    sha = read_json(job.sidecar(domain))["splits"]["test"]["sha256"]
    return f"{sha[:16]}-{job.test_tokens}"


def summarise(losses: DocumentLosses) -> dict[str, float]:
    """The three numbers of a loss that every table carries."""
    return {
        "loss": losses.loss,
        "loss_stderr": losses.stderr,
        "bits_per_byte": losses.bits_per_byte,
    }


def row(
    job: Job, trainer: Trainer, run: Run, domain: str, losses: Mapping[str, float]
) -> dict[str, Any]:
    """One line of `losses.csv`."""
    batch, unsplit = job.recipe.batch_tokens, run.domain == GENERAL
    pretrain_tokens, specialize_tokens = run.pretrain_steps * batch, run.specialize_steps * batch
    return {
        "run": f"{job.size}-seed{job.seed}-{run.domain}-{folder_name(run, job)}",
        "stage": "unsplit" if unsplit else "branch",
        "split": job.split,
        "size": job.size,
        "params": job.shape.params,
        "non_embedding_params": job.shape.non_embedding_params,
        "flops_per_token": job.shape.flops_per_token,
        "train_domain": run.domain,
        "domain": domain,
        "pretrain_tokens": pretrain_tokens,
        "unique_pretrain_tokens": min(pretrain_tokens, trainer.unique_tokens(GENERAL)),
        "specialize_tokens": specialize_tokens,
        "unique_specialize_tokens": min(specialize_tokens, trainer.unique_tokens(run.domain)),
        "trunk": f"{job.size}-seed{job.seed}-D{pretrain_tokens}",
        "seed": job.seed,
        **{name: losses[name] for name in ("loss", "loss_stderr", "bits_per_byte")},
    }


def describe(
    job: Job, trainer: Trainer, began: float, *, steps: int | None = None
) -> dict[str, Any]:
    """The part of `run.json` that every kind of run shares; `steps` is what the model has seen."""
    trained = trainer.cost.steps * job.recipe.batch_tokens
    tokens = trained if steps is None else steps * job.recipe.batch_tokens
    return {
        "config": {"shape": asdict(job.shape), "training": job.recipe.model_dump()},
        "size": job.size,
        "seed": job.seed,
        "params": job.shape.params,
        "tokens": tokens,
        "flops": tokens * job.shape.flops_per_token,
        "wall_seconds": time.monotonic() - began,
        "tokens_per_second": trainer.speed,
        "trained_tokens_of_this_process": trained,
        "device": str(trainer.device),
        "compiled": trainer.compiled,
        "compile_seconds": trainer.cost.compile_seconds,
        "microbatch": trainer.microbatch,
        "world_size": trainer.world.size,
        "sharded": trainer.execution.shard,
        **provenance.environment(),
    }


def finish(trainer: Trainer) -> None:
    """Remove the bar and print what this process has trained, without the time for compiling."""
    trainer.progress.finish(trainer.speed or None)
