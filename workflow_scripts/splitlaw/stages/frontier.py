"""The measured frontier: mean domain loss at several general fractions of one budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.columns import FRONTIER
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
    """Train and evaluate the best split at each of `fractions` and at that of the plan.

    At each fraction, the domains share their tokens in the way that the law predicts to be best.
    Shared segments are trained once. `out` has one row per fraction and domain.
    """
    splits = splits_with_runs(job, fit, read_json(plan_file), fractions)
    domains = list(splits["domain"].unique())
    trainer = job.trainer([GENERAL, *domains], execution, "frontier")
    windows = job.windows(domains)
    trainer.expect([job.lineage(run) for run in splits["run"]])
    rows = []
    for row in splits.itertuples():
        run, window = row.run, {row.domain: windows[row.domain]}
        folder = out.parent / run.domain / job.folder_name(run)
        losses = grid.train_and_evaluate(job, trainer, run, window, folder)[row.domain]
        rows.append(
            {
                **grid.table_row(job, run, row.domain, losses),
                "budget": budget,
                "fraction_general": row.fraction_general,
                "predicted_loss": row.predicted_loss,
            }
        )
    trainer.world.on_main(lambda: grid.write_table(out, rows, FRONTIER))
    grid.finish(trainer)


def splits_with_runs(
    job: Job, fit: FitResult, plan: Mapping[str, Any], fractions: Sequence[float]
) -> pd.DataFrame:
    """The best splits at `fractions` and at that of the plan, with a `run` for each domain.

    A run is in whole steps and has at least one on its domain.
    """
    if plan["trunk"] != "shared":
        raise UserError("the frontier is measured with a shared trunk; set final.trunk to shared")
    if plan.get("replay") is not None:
        raise UserError(
            "the frontier is measured without a base and without replay; make it with another "
            "configuration"
        )
    splits = splits_at(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.array(sorted({*fractions, plan["fraction_general"]})),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
    )
    batch = job.training.batch_tokens
    runs = [
        Run(
            domain=row.domain,
            pretrain_steps=round(row.pretrain_tokens / batch),
            specialize_steps=max(1, round(row.specialize_tokens / batch)),
        )
        for row in splits.itertuples()
    ]
    return splits.assign(run=runs)
