"""Grid runs of one size and seed: train the trunk, train branches, evaluate cooled-down models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common import provenance
from splitlaw.common.files import atomic_path, read_json, write_json
from splitlaw.common.progress import Progress
from splitlaw.experiment.columns import BRANCH, HOLDOUT, LOSS_COLUMNS, LOSSES, REPLAY, UNSPLIT
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Lineage, Run, in_training_order, trunk_prefix
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape, shape_from
from splitlaw.training.evaluation import DocumentLosses, Windows, cut_windows, evaluate
from splitlaw.training.loop import Trainer
from splitlaw.training.text import TrainingText


@dataclass(frozen=True, kw_only=True)
class Job:
    """All runs of one size and seed, and the locations of their files."""

    size: str
    """Name of the size."""
    split: str
    """`fit`, or `holdout` for a size that the law is tested on and not fitted to."""
    seed: int
    """Seed of initialisation and data order."""
    shape: Shape | BaseShape
    """Shape of the models."""
    training: TrainingConfig
    """How the models are trained."""
    grid: Grid
    """The runs."""
    results: Path
    """The experiment's folder."""
    test_tokens: int
    """Held-out tokens per domain to evaluate on."""
    base_tokens: int = 0
    """Tokens of the base, where they are known."""
    final_replay: Mapping[str, float] = field(default_factory=dict)
    """Share of replay by domain in final models, where the plan has none."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, size: str, seed: int, results: Path) -> Job:
        """A job from the part of the configuration that determines its results."""
        training = TrainingConfig.read(config["training"], where="--config", section="training")
        return cls(
            size=size,
            split=config["split"],
            seed=seed,
            shape=shape_from(config["shape"]),
            training=training,
            grid=Grid(
                batch_tokens=training.batch_tokens,
                cells=tuple((int(d), int(s)) for d, s in config["cells"]),
                unsplit=tuple(config["unsplit"]),
                replay=tuple(config.get("replay", (0,))),
                holdout_cells=tuple((int(d), int(s)) for d, s in config.get("holdout_cells", ())),
                holdout_replay=tuple(config.get("holdout_replay", ())),
                repeated=tuple((int(d), int(s), int(u)) for d, s, u in config.get("repeated", [])),
            ),
            results=results,
            test_tokens=config["test_tokens"],
            base_tokens=config.get("base_tokens", 0),
            final_replay=config.get("final_replay", {}),
        )

    def sidecar(self, domain: str) -> Path:
        """`tokens.json` of a domain."""
        return self.results / "tokens" / domain / "tokens.json"

    def trainer(
        self,
        domains: Sequence[str],
        execution: ExecutionConfig,
        label: str,
        mixtures: Mapping[str, Mapping[str, int]] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Trainer:
        """A trainer that reads these domains and mixtures of them.

        `label` is shown in its progress. `mixtures` has the weight of each domain in the streams
        that mix several, by the name of the stream, and `limits` the tokens of a domain's text that
        they read, where these are not all.
        """
        return Trainer(
            shape=self.shape,
            config=self.training,
            seed=self.seed,
            text=TrainingText(
                sidecars={domain: self.sidecar(domain) for domain in domains},
                mixtures=mixtures or {},
                limits=limits or {},
            ),
            checkpoints=self.results / "checkpoints" / self.size / f"seed{self.seed}",
            execution=execution,
            progress=Progress(f"{self.size} {label}"),
        )

    def windows(self, domains: Sequence[str]) -> dict[str, Windows]:
        """Held-out text of these domains."""
        return {
            domain: cut_windows(
                self.sidecar(domain), context=self.shape.context, limit=self.test_tokens
            )
            for domain in domains
        }

    def evaluated(self, domain: str, domains: Sequence[str]) -> list[str]:
        """The domains, of `domains` and `general`, that the runs on `domain` are evaluated on."""
        if domain == GENERAL:
            return [GENERAL, *domains]
        return [domain, GENERAL] if self.measures_general else [domain]

    @property
    def measures_general(self) -> bool:
        """Whether branches are evaluated on general text: with replay, and with a base."""
        return any(self.grid.replay) or isinstance(self.shape, BaseShape)

    @property
    def columns(self) -> list[str]:
        """The columns of the job's table of losses."""
        return [*LOSSES, *REPLAY] if self.measures_general else LOSSES

    def lineage(self, run: Run) -> Lineage:
        """The lineage of a run with this job's schedule."""
        return run.lineage(self.training.cooldown_fraction)

    def tokens(self, steps: int) -> int:
        """Tokens in `steps` steps."""
        return steps * self.training.batch_tokens

    def folder_name(self, run: Run) -> str:
        """Name of a run's folder, from its tokens."""
        name = f"D{self.tokens(run.pretrain_steps)}-S{self.tokens(run.specialize_steps)}"
        name += f"-r{run.replay:g}" if run.replay else ""
        return f"{name}-U{run.unique_tokens}" if run.unique_tokens else name

    def folder(self, run: Run) -> Path:
        """Folder of a run of the grid."""
        runs = self.results / "runs" / self.size / f"seed{self.seed}"
        return runs / run.domain / self.folder_name(run)


def pretrain(job: Job, *, execution: ExecutionConfig, out: Path) -> None:
    """Train the general text that the runs of the grid share."""
    runs = job.grid.runs(GENERAL) + job.grid.all_runs("any domain")
    train_trunk(job, runs, "trunk", execution=execution, out=out)


def base_loss(job: Job, trainer: Trainer) -> dict[str, Any]:
    """The loss of the base as it is given on general text, for `trunk.json`; empty without one."""
    if not isinstance(job.shape, BaseShape):
        return {}
    losses = evaluate(trainer.model, job.windows([GENERAL])[GENERAL])
    return {"base": {"losses": {GENERAL: loss_numbers(losses)}, "tokens": job.base_tokens}}


def train_trunk(
    job: Job, runs: Sequence[Run], label: str, *, execution: ExecutionConfig, out: Path
) -> None:
    """Train the general text that `runs` share, and write a description of the work to `out`."""
    began = time.monotonic()
    trainer = job.trainer([GENERAL], execution, label)
    shared = [trunk_prefix(job.lineage(run)) for run in runs]
    base = base_loss(job, trainer)
    lineages = in_training_order(filter(None, shared))
    trainer.expect(lineages)
    for lineage in lineages:
        if not trainer.states.has(lineage):
            trainer.reach(lineage)
    description = describe_run(job, trainer, began)
    trainer.world.on_main(lambda: write_json(out, {**description, **base}))
    finish(trainer)


def specialize(
    job: Job, domain: str, domains: Sequence[str], *, execution: ExecutionConfig, out: Path
) -> None:
    """Train and evaluate the branches on a domain, or the unsplit runs if it is `general`.

    A branch is evaluated on its own domain, and on `general` where the grid has replay or a base.
    An unsplit run is evaluated on `general` and all `domains`.
    """
    runs = {job.lineage(run): run for run in job.grid.all_runs(domain)}
    mixtures = {run.stream: run.mixture for run in runs.values() if run.replay}
    trainer = job.trainer(sorted({GENERAL, domain}), execution, domain, mixtures)
    windows = job.windows(job.evaluated(domain, domains))
    trainer.expect(list(runs))
    rows = []
    for lineage in in_training_order(runs):
        run = runs[lineage]
        losses = train_and_evaluate(job, trainer, run, windows, job.folder(run))
        rows += [losses_row(job, trainer, run, name, loss) for name, loss in losses.items()]
    trainer.world.on_main(lambda: write_table(out, rows, job.columns))
    finish(trainer)


def write_table(out: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write these columns of `rows` as CSV, atomically."""
    with atomic_path(out) as temporary:
        pd.DataFrame(rows, columns=list(columns)).to_csv(temporary, index=False)


def train_and_evaluate(
    job: Job, trainer: Trainer, run: Run, windows: Mapping[str, Windows], folder: Path
) -> dict[str, dict[str, float]]:
    """Losses of a run by domain; it is trained and evaluated only if `folder` has no result."""
    began = time.monotonic()
    lineage = job.lineage(run)
    file = folder / "run.json"
    tests = {domain: test_set_digest(job, domain) for domain in windows}
    state = str(trainer.store.file(lineage).relative_to(job.results))
    known = trainer.world.on_main(lambda: stored_losses(trainer, lineage, file, state))
    missing = [domain for domain in windows if known.get(domain, {}).get("test") != tests[domain]]
    if missing:
        trainer.reach(lineage)
        for domain in missing:
            measured = loss_numbers(evaluate(trainer.model, windows[domain]))
            known[domain] = {**measured, "test": tests[domain]}
        description = describe_run(job, trainer, began, steps=run.total)
        content = {**description, "run": asdict(run), "state": state, "losses": known}
        trainer.world.on_main(lambda: write_json(file, content))
    return {domain: known[domain] for domain in windows}


def stored_losses(
    trainer: Trainer, lineage: Lineage, file: Path, state: str
) -> dict[str, dict[str, Any]]:
    """Losses in `run.json`; empty if they are those of another state than the stored one."""
    if not file.exists() or not trainer.store.has(lineage):
        return {}
    content = read_json(file)
    return dict(content["losses"]) if content["state"] == state else {}


def test_set_digest(job: Job, domain: str) -> str:
    """Identifies the held-out text that a loss on `domain` is computed from."""
    sha = read_json(job.sidecar(domain))["splits"]["test"]["sha256"]
    return f"{sha[:16]}-{job.test_tokens}"


def loss_numbers(losses: DocumentLosses) -> dict[str, float]:
    """The `LOSS_COLUMNS` of a table's row."""
    numbers = (losses.loss, losses.stderr, losses.bits_per_byte)
    return dict(zip(LOSS_COLUMNS, numbers, strict=True))


def table_row(job: Job, run: Run, domain: str, losses: Mapping[str, float]) -> dict[str, Any]:
    """The columns common to all tables, for a model evaluated on `domain`."""
    return {
        "size": job.size,
        "params": job.shape.params,
        "seed": job.seed,
        "domain": domain,
        "pretrain_tokens": job.base_tokens + job.tokens(run.pretrain_steps),
        "specialize_tokens": job.tokens(run.specialize_steps),
        **{name: losses[name] for name in LOSS_COLUMNS},
    }


def losses_row(
    job: Job, trainer: Trainer, run: Run, domain: str, losses: Mapping[str, float]
) -> dict[str, Any]:
    """A row of `losses.csv`."""
    row = table_row(job, run, domain, losses) | replay_columns(job, trainer, run)
    unique = {GENERAL: trainer.streams.of(GENERAL).unique_tokens}
    unique[run.domain] = trainer.streams.of(run.domain, run.unique_tokens).unique_tokens
    return {
        **row,
        "run": f"{job.size}-seed{job.seed}-{run.domain}-{job.folder_name(run)}",
        "stage": UNSPLIT if run.domain == GENERAL else BRANCH,
        "split": HOLDOUT if job.grid.is_held_out(run) else job.split,
        "non_embedding_params": job.shape.non_embedding_params,
        "flops_per_token": job.shape.flops_per_token,
        "train_domain": run.domain,
        "unique_pretrain_tokens": job.base_tokens
        + min(job.tokens(run.pretrain_steps), unique[GENERAL]),
        "unique_specialize_tokens": min(row["specialize_tokens"], unique[run.domain]),
        "trunk": f"{job.size}-seed{job.seed}-D{row['pretrain_tokens']}",
    }


def replay_columns(job: Job, trainer: Trainer, run: Run) -> dict[str, Any]:
    """The share and the tokens of replay of a run, and its tokens of the domain alone."""
    if not run.replay:
        return {"replay": 0.0, "replay_tokens": 0}
    windows = trainer.streams.windows_read(run.stream, run.specialize_steps)
    return {
        "specialize_tokens": windows[run.domain] * job.shape.context,
        "replay": run.replay,
        "replay_tokens": windows[GENERAL] * job.shape.context,
    }


def describe_run(
    job: Job, trainer: Trainer, began: float, *, steps: int | None = None
) -> dict[str, Any]:
    """The entries of `run.json` common to all kinds of runs.

    `began` is the start in seconds of `time.monotonic`. `steps` is the length of the run, by
    default the steps that this process has trained.
    """
    trained = job.tokens(trainer.usage.steps)
    tokens = trained if steps is None else job.tokens(steps)
    return {
        "config": {"shape": asdict(job.shape), "training": job.training.model_dump()},
        "size": job.size,
        "seed": job.seed,
        "params": job.shape.params,
        "tokens": tokens,
        "flops": tokens * job.shape.flops_per_token,
        "wall_seconds": time.monotonic() - began,
        "tokens_per_second": trainer.tokens_per_second,
        "trained_tokens_of_this_process": trained,
        "device": str(trainer.device),
        "precision": "bfloat16" if trainer.gradients.bfloat16 else "float32",
        "fixed_order": trainer.gradients.random_order is None,
        "compiled": trainer.gradients.compiled,
        "compile_seconds": trainer.usage.compile_seconds,
        "microbatch": trainer.gradients.microbatch,
        "world_size": trainer.world.size,
        "sharded": trainer.execution.shard,
        **provenance.environment(),
    }


def finish(trainer: Trainer) -> None:
    """Print the tokens and the throughput of this process, compilation excluded."""
    trainer.progress.finish(trainer.tokens_per_second or None)
