"""Grid runs of one size and seed: train the trunk, train branches, evaluate cooled-down models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common import provenance
from splitlaw.common.files import read_json, write_json
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.lineage import GENERAL, Lineage, Run, in_training_order, trunk_prefix
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.shape import BaseShape
from splitlaw.stages.job import Job
from splitlaw.stages.loss_rows import loss_numbers, losses_row
from splitlaw.training.evaluation import Windows, evaluate
from splitlaw.training.loop import Trainer


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
    table = pd.DataFrame(rows, columns=job.columns)
    trainer.world.on_main(lambda: write_result_table(out, table))
    finish(trainer)


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
