"""The measured frontier: mean domain loss at several general fractions of one budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.planner import splits_at
from splitlaw.stages import grid as runs
from splitlaw.stages.grid import Job

COLUMNS = (
    "size budget seed fraction_general domain pretrain_tokens specialize_tokens predicted_loss "
    "loss loss_stderr bits_per_byte"
).split()


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
    Training that several splits have in common is done once. `out` has one row per fraction and
    domain.
    """
    plan = read_json(plan_file)
    wanted = splits_at(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.array(sorted({*fractions, plan["fraction_general"]})),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
    )
    batch, domains = job.recipe.batch_tokens, list(plan["specialize_tokens"])
    trainer = job.trainer([GENERAL, *domains], execution, "frontier")
    windows = job.windows(domains)
    wanted["run"] = [
        Run(
            domain=row.domain,
            pretrain_steps=round(row.pretrain_tokens / batch),
            specialize_steps=max(1, round(row.specialize_tokens / batch)),
        )
        for row in wanted.itertuples()
    ]
    trainer.expect([run.lineage(job.recipe.cooldown_fraction) for run in wanted["run"]])
    rows = []
    for row in wanted.itertuples():
        run, window = row.run, {row.domain: windows[row.domain]}
        folder = out.parent / run.domain / runs.folder_name(run, job)
        losses = runs.train_and_evaluate(job, trainer, run, window, folder)[row.domain]
        rows.append(
            {
                "size": job.size,
                "budget": budget,
                "seed": job.seed,
                "fraction_general": row.fraction_general,
                "domain": row.domain,
                "pretrain_tokens": run.pretrain_steps * batch,
                "specialize_tokens": run.specialize_steps * batch,
                "predicted_loss": row.predicted_loss,
                **{name: losses[name] for name in COLUMNS[-3:]},
            }
        )
    trainer.world.decide(lambda: runs.write_table(out, rows, COLUMNS))
    runs.finish(trainer)
