"""The measured frontier: mean domain loss at several general fractions of one budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import FRONTIER, FRONTIER_REPLAY
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.planner import splits_at
from splitlaw.stages import grid
from splitlaw.stages.final_results import split_options
from splitlaw.stages.job import Job
from splitlaw.stages.loss_rows import common_columns, replay_columns


def measure(
    job: Job,
    fit: FitResult,
    plan_file: Path,
    fractions: Sequence[float],
    *,
    budget: str,
    even: bool = False,
    execution: ExecutionConfig,
    out: Path,
) -> None:
    """Train and evaluate the best split at each of `fractions` and at that of the plan.

    At each fraction, the domains share their tokens in the way that the law predicts to be best.
    With `even`, they have the same tokens, and the plan's fraction is left out. Shared segments are
    trained once.
    `out` has one row per fraction and domain.
    """
    plan = read_json(plan_file)
    splits = planned_splits(fit, plan, fractions, even=even)
    splits = splits.assign(run=runs_of(splits, job, plan.get("unique_tokens", {})))
    domains = list(splits["domain"].unique())
    mixtures = {run.stream: run.mixture for run in splits["run"] if run.replay}
    trainer = job.trainer([GENERAL, *domains], execution, "frontier", mixtures)
    general = [GENERAL] if "replay" in splits else []
    windows = job.windows([*general, *domains])
    trainer.expect([job.lineage(run) for run in splits["run"]])
    rows = []
    for row in splits.itertuples():
        run, read = row.run, {name: windows[name] for name in (*general, row.domain)}
        folder = out.parent / run.domain / job.folder_name(run)
        losses = grid.train_and_evaluate(job, trainer, run, read, folder)
        rows.append(
            {
                **common_columns(job, run, row.domain, losses[row.domain]),
                **replay_columns(job, trainer, run),
                "general_loss": losses[GENERAL]["loss"] if general else None,
                "budget": budget,
                "fraction_general": row.fraction_general,
                "predicted_loss": row.predicted_loss,
            }
        )
    columns = [*FRONTIER, *(FRONTIER_REPLAY if general else ())]
    trainer.world.on_main(lambda: write_result_table(out, pd.DataFrame(rows, columns=columns)))
    grid.finish(trainer)


def general_share(plan: Mapping[str, Any]) -> float:
    """General tokens of a plan as a share of its budget.

    It is the general fraction unless the plan leaves a part of the budget unspent.
    """
    # Rounding to whole tokens leaves less than 0.05% unspent.
    return float(plan["fraction_general"] * min(1.0, round(spent_share(plan), 3)))


def spent_share(plan: Mapping[str, Any]) -> float:
    """Tokens of a plan as a share of those that its budget pays for."""
    branches = [*plan["specialize_tokens"].values(), *plan.get("replay_tokens", {}).values()]
    pretrain = plan["pretrain_tokens"] - counted_base(plan)
    return float((pretrain + sum(branches)) / plan["tokens"])


def counted_base(plan: Mapping[str, Any]) -> float:
    """Tokens of a base that `pretrain_tokens` count: 0 without one, and where they are unknown."""
    tokens = (plan.get("base") or {}).get("pretrain_tokens")
    return float(tokens) if isinstance(tokens, int | float) else 0.0


def planned_splits(
    fit: FitResult, plan: Mapping[str, Any], fractions: Sequence[float], *, even: bool
) -> pd.DataFrame:
    """The splits at `fractions`, and without `even` at that of the plan, in tokens."""
    if plan["trunk"] != "shared":
        raise UserError("the frontier is measured with a shared trunk; set final.trunk to shared")
    if not plan["pretrain_tokens_paid"]:
        raise UserError("the plan keeps a given D, so it has no frontier of general fractions")
    shares = np.array(sorted({*fractions, *([] if even else [general_share(plan)])}))
    return splits_at(fit, fractions=shares, even=even, **split_options(plan))


def runs_of(splits: pd.DataFrame, job: Job, unique_tokens: Mapping[str, float]) -> list[Run]:
    """The run of every row, in whole steps, at least one of them on its domain."""
    batch = job.training.batch_tokens
    return [
        Run(
            domain=row.domain,
            pretrain_steps=round((row.pretrain_tokens - job.base_tokens) / batch),
            specialize_steps=max(1, round(row.specialize_tokens / (1 - row.replay) / batch)),
            replay=row.replay,
            unique_tokens=int(unique_tokens.get(row.domain, 0)),
        )
        for row in splits.assign(replay=splits.get("replay", 0.0)).itertuples()
    ]
