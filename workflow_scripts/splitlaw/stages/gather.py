"""`losses.csv` from the tables of the jobs, and `cost.csv`: what sharing saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from splitlaw.common.files import atomic_path
from splitlaw.experiment.lineage import GENERAL, Run, general_prefix, trained_steps


def gather(
    tables: Sequence[Path],
    *,
    losses_out: Path,
    cost_out: Path,
    cooldown_fraction: float,
    batch_tokens: int,
) -> None:
    """Join the jobs' tables and count the training behind them.

    `cost.csv` has a row a stage and size: tokens and FLOPs that were trained with every shared
    stretch trained once, against what the same runs would have taken independently of each other.
    """
    losses = pd.concat([pd.read_csv(table) for table in tables], ignore_index=True)
    with atomic_path(losses_out) as temporary:
        losses.to_csv(temporary, index=False)
    rows = [
        row
        for size, part in losses.groupby("size", sort=False)
        for row in size_cost(str(size), part, cooldown_fraction, batch_tokens)
    ]
    with atomic_path(cost_out) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def size_cost(
    size: str, losses: pd.DataFrame, cooldown_fraction: float, batch_tokens: int
) -> list[dict[str, object]]:
    """Cost rows of one size, over all its seeds: `pretrain` is general text, `specialize` the rest.

    Independent runs would each train their own general text, which is counted under `pretrain`.
    """
    flops = int(losses["flops_per_token"].iloc[0])
    runs = losses.drop_duplicates("run")
    by_seed = [_runs(part, batch_tokens) for _, part in runs.groupby("seed")]
    shared = general = independent = independent_general = 0
    for seed_runs in by_seed:
        lineages = [run.lineage(cooldown_fraction) for run in seed_runs]
        shared += trained_steps(lineages)
        general += trained_steps(filter(None, map(general_prefix, lineages)))
        independent += sum(run.total for run in seed_runs)
        independent_general += sum(run.pretrain_steps for run in seed_runs)
    counts = {
        "pretrain": (sum(runs["train_domain"] == GENERAL), general, independent_general),
        "specialize": (
            sum(runs["train_domain"] != GENERAL),
            shared - general,
            independent - independent_general,
        ),
    }
    return [
        {
            "stage": stage,
            "size": size,
            "runs": number,
            "tokens": steps * batch_tokens,
            "flops": steps * batch_tokens * flops,
            "tokens_independent": alone * batch_tokens,
            "flops_independent": alone * batch_tokens * flops,
        }
        for stage, (number, steps, alone) in counts.items()
    ]


def _runs(table: pd.DataFrame, batch_tokens: int) -> list[Run]:
    return [
        Run(
            domain=row.train_domain,
            pretrain_steps=row.pretrain_tokens // batch_tokens,
            specialize_steps=row.specialize_tokens // batch_tokens,
        )
        for row in table.itertuples()
    ]


def compare(tables: Sequence[Path], *, out: Path) -> pd.DataFrame:
    """Join the strategies' rows into `comparison.csv`, and give them back."""
    whole = pd.concat([pd.read_csv(table) for table in tables], ignore_index=True)
    with atomic_path(out) as temporary:
        whole.to_csv(temporary, index=False)
    return whole


def spread(comparison: pd.DataFrame) -> pd.DataFrame:
    """Mean domain loss of every strategy over its seeds, and its excess over the optimal split.

    One row a strategy, the lowest first, in nats per token: the mean over seeds, their standard
    deviation, the mean excess over `optimal` of the same seed and the standard deviation of that,
    and in how many seeds the optimal split was lower. A spread needs two seeds and is NaN for one.
    """
    means = comparison.groupby(["strategy", "seed"])["loss"].mean().unstack("seed")
    excess = means - means.loc["optimal"]
    table = pd.DataFrame(
        {
            "mean": means.mean(axis=1),
            "sd": means.std(axis=1),
            "excess": excess.mean(axis=1),
            "excess_sd": excess.std(axis=1),
            "seeds_won": (excess > 0).sum(axis=1),
            "seeds": means.shape[1],
        }
    )
    return table.sort_values("mean")
