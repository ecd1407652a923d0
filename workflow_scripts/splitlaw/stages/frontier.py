"""The measured frontier: mean domain loss at several general fractions of one budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitlaw.common.files import read_json
from splitlaw.experiment.columns import FRONTIER, LOSS_COLUMNS
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.planner import splits_at
from splitlaw.stages import grid
from splitlaw.stages.grid import Job


def measure(
    job: Job,
    fit: FitResult,
    plan_file: Path,
    fractions: Sequence[float],
    *,
    budget: str,
    execution: ExecutionConfig,
    out: Path,
) -> None:
    """Train and evaluate the best split at each of `fractions` and at the plan's own.

    At each fraction, the domains share their tokens in the way that the law predicts to be best.
    Shared segments are trained once. `out` has one row per fraction and domain.
    """
    plan = read_json(plan_file)
    splits = splits_at(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.array(sorted({*fractions, plan["fraction_general"]})),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
    )
    batch, domains = job.training.batch_tokens, list(plan["specialize_tokens"])
    trainer = job.trainer([GENERAL, *domains], execution, "frontier")
    windows = job.windows(domains)
    splits["run"] = [
        Run(
            domain=row.domain,
            pretrain_steps=round(row.pretrain_tokens / batch),
            specialize_steps=max(1, round(row.specialize_tokens / batch)),
        )
        for row in splits.itertuples()
    ]
    trainer.expect([job.lineage(run) for run in splits["run"]])
    rows = []
    for row in splits.itertuples():
        run, window = row.run, {row.domain: windows[row.domain]}
        folder = out.parent / run.domain / job.folder_name(run)
        losses = grid.train_and_evaluate(job, trainer, run, window, folder)[row.domain]
        rows.append(
            {
                "size": job.size,
                "budget": budget,
                "seed": job.seed,
                "fraction_general": row.fraction_general,
                "domain": row.domain,
                "pretrain_tokens": job.tokens(run.pretrain_steps),
                "specialize_tokens": job.tokens(run.specialize_steps),
                "predicted_loss": row.predicted_loss,
                **{name: losses[name] for name in LOSS_COLUMNS},
            }
        )
    trainer.world.on_main(lambda: grid.write_table(out, rows, FRONTIER))
    grid.finish(trainer)
