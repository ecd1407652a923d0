"""Rows of the tables of losses: the columns that all of them share, and those of `losses.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitlaw.experiment.columns import BRANCH, HOLDOUT, LOSS_COLUMNS, UNSPLIT
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.stages.job import Job
from splitlaw.training.evaluation import DocumentLosses
from splitlaw.training.loop import Trainer


def loss_numbers(losses: DocumentLosses) -> dict[str, float]:
    """The `LOSS_COLUMNS` of a table's row."""
    numbers = (losses.loss, losses.stderr, losses.bits_per_byte)
    return dict(zip(LOSS_COLUMNS, numbers, strict=True))


def common_columns(job: Job, run: Run, domain: str, losses: Mapping[str, float]) -> dict[str, Any]:
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
    row = common_columns(job, run, domain, losses) | replay_columns(job, trainer, run)
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
