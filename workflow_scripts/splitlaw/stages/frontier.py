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
from splitlaw.experiment.columns import FRONTIER
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.planner import splits_at
from splitlaw.stages import grid
from splitlaw.stages.job import Job
from splitlaw.stages.loss_rows import common_columns


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
    With `even`, the splits are those of `even_splits` instead. Shared segments are trained once.
    `out` has one row per fraction and domain.
    """
    plan = read_json(plan_file)
    splits = (even_splits if even else best_splits)(fit, plan, fractions)
    splits = splits.assign(run=runs_of(splits, job, plan.get("unique_tokens", {})))
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
                **common_columns(job, run, row.domain, losses),
                "budget": budget,
                "fraction_general": row.fraction_general,
                "predicted_loss": row.predicted_loss,
            }
        )
    trainer.world.on_main(lambda: write_result_table(out, pd.DataFrame(rows, columns=FRONTIER)))
    grid.finish(trainer)


def general_share(plan: Mapping[str, Any]) -> float:
    """General tokens of a plan as a share of its budget.

    It is the general fraction unless the plan leaves a part of the budget unspent.
    """
    spent = (plan["pretrain_tokens"] + sum(plan["specialize_tokens"].values())) / plan["tokens"]
    # Rounding to whole tokens leaves less than 0.05% unspent.
    return float(plan["fraction_general"] * min(1.0, round(spent, 3)))


def best_splits(
    fit: FitResult, plan: Mapping[str, Any], fractions: Sequence[float]
) -> pd.DataFrame:
    """The best splits at `fractions` and at that of the plan, in tokens."""
    if plan["trunk"] != "shared":
        raise UserError("the frontier is measured with a shared trunk; set final.trunk to shared")
    if plan.get("replay") is not None:
        raise UserError(
            "the frontier is measured without a base and without replay; make it with another "
            "configuration"
        )
    return splits_at(
        fit,
        flops=plan["flops"],
        params=plan["params"],
        fractions=np.array(sorted({*fractions, general_share(plan)})),
        flops_per_token=plan["flops_per_token"],
        domains=list(plan["specialize_tokens"]),
        weights=plan["weights"],
        unique_tokens=plan.get("unique_tokens"),
    )


def even_splits(
    fit: FitResult, plan: Mapping[str, Any], fractions: Sequence[float]
) -> pd.DataFrame:
    """The splits at `fractions` that spend the whole budget, with the same D' for every domain.

    They depend on the law only through the predicted losses.
    """
    domains, limits = list(plan["specialize_tokens"]), plan.get("unique_tokens", {})
    shares = np.array(sorted(fractions))
    pretrain, each = shares * plan["tokens"], (1 - shares) * plan["tokens"] / len(domains)
    most = [limits.get(domain, np.inf) for domain in domains]
    columns = [fit.domains.index(domain) for domain in domains]
    losses = fit.losses(
        plan["params"],
        pretrain[:, None],
        each[:, None],
        np.array(columns),
        unique_specialize=np.minimum(each[:, None], most),
    )
    return pd.DataFrame(
        {
            "fraction_general": np.repeat(shares, len(domains)),
            "domain": domains * len(shares),
            "pretrain_tokens": np.repeat(pretrain, len(domains)),
            "specialize_tokens": np.repeat(each, len(domains)),
            "predicted_loss": losses.ravel(),
        }
    )


def runs_of(splits: pd.DataFrame, job: Job, unique_tokens: Mapping[str, float]) -> list[Run]:
    """The run of every row, in whole steps, at least one of them on its domain."""
    batch = job.training.batch_tokens
    return [
        Run(
            domain=row.domain,
            pretrain_steps=round(row.pretrain_tokens / batch),
            specialize_steps=max(1, round(row.specialize_tokens / batch)),
            unique_tokens=int(unique_tokens.get(row.domain, 0)),
        )
        for row in splits.itertuples()
    ]
