"""Joins the tables of the jobs: `losses.csv`, `cost.csv` and `comparison.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.result_table import read_result_table, write_result_table
from splitlaw.experiment.columns import COST
from splitlaw.experiment.lineage import GENERAL, Run, general_prefix, trained_steps
from splitlaw.experiment.rounds import repeated_tokens
from splitlaw.experiment.strategies import OPTIMAL


def gather(
    tables: Sequence[Path],
    *,
    losses_out: Path,
    cost_out: Path,
    cooldown_fraction: float,
    batch_tokens: int,
    base_tokens: int = 0,
) -> None:
    """Join the jobs' tables into `losses_out`, and write the cost of their runs to `cost_out`.

    A row of `cost.csv`, of a stage and size, has the tokens and FLOPs with every shared segment
    trained once, and those that the same runs would take independently of each other. The tokens of
    a base, which all rows count, are none of either.
    """
    losses = join_tables(tables, out=losses_out)
    losses["pretrain_tokens"] -= base_tokens
    rows = [
        row
        for size, part in losses.groupby("size", sort=False)
        for row in size_cost(str(size), part, cooldown_fraction, batch_tokens)
    ]
    write_result_table(cost_out, pd.DataFrame(rows, columns=COST))


def join_tables(tables: Sequence[Path], *, out: Path) -> pd.DataFrame:
    """Concatenate the rows of several tables, write them to `out`, and return them."""
    joined = read_tables(tables)
    write_result_table(out, joined)
    return joined


def size_cost(
    size: str, losses: pd.DataFrame, cooldown_fraction: float, batch_tokens: int
) -> list[dict[str, object]]:
    """Cost rows of one size over all its seeds: `pretrain` for general text, else `specialize`.

    The general text of independent runs, which each of them trains itself, counts as `pretrain`.
    """
    flops_per_token = int(losses["flops_per_token"].iloc[0])
    table = losses.drop_duplicates("run")
    shared = general = independent = independent_general = 0
    for _, part in table.groupby("seed"):
        runs = _runs(part, batch_tokens)
        lineages = [run.lineage(cooldown_fraction) for run in runs]
        shared += trained_steps(lineages)
        general += trained_steps(filter(None, map(general_prefix, lineages)))
        independent += sum(run.total for run in runs)
        independent_general += sum(run.pretrain_steps for run in runs)
    unsplit = int((table["train_domain"] == GENERAL).sum())
    counts = {
        "pretrain": (unsplit, general, independent_general),
        "specialize": (
            len(table) - unsplit,
            shared - general,
            independent - independent_general,
        ),
    }
    return [
        {
            "stage": stage,
            "size": size,
            "runs": runs,
            "tokens": steps * batch_tokens,
            "flops": steps * batch_tokens * flops_per_token,
            "tokens_independent": independent_steps * batch_tokens,
            "flops_independent": independent_steps * batch_tokens * flops_per_token,
        }
        for stage, (runs, steps, independent_steps) in counts.items()
    ]


def _runs(table: pd.DataFrame, batch_tokens: int) -> list[Run]:
    return [
        Run(
            domain=row["train_domain"],
            pretrain_steps=row["pretrain_tokens"] // batch_tokens,
            specialize_steps=(row["specialize_tokens"] + row.get("replay_tokens", 0))
            // batch_tokens,
            replay=row.get("replay", 0),
            unique_tokens=repeated_tokens(row),
        )
        for row in table.to_dict("records")
    ]


def spread_over_seeds(comparison: pd.DataFrame) -> pd.DataFrame:
    """Mean domain loss of every strategy over its seeds, and its excess over the optimal split.

    One row per strategy, the lowest mean first, in nats per token: mean and standard deviation
    over seeds, mean and standard deviation of the excess over `optimal` of the same seed, and the
    number of seeds in which the optimal split was lower. Standard deviations of one seed are NaN.
    """
    means = comparison.groupby(["strategy", "seed"])["loss"].mean().unstack("seed")
    excess = means - means.loc[OPTIMAL]
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


def read_tables(tables: Sequence[Path]) -> pd.DataFrame:
    """Concatenate the rows of several tables; `UserError` names one that cannot be read."""
    frames = []
    for table in tables:
        try:
            frames.append(read_result_table(table))
        except (OSError, ValueError) as cause:
            reason = " ".join(str(cause).split())
            raise UserError(f"{table}: cannot be read as CSV ({reason}); make it again") from None
    return pd.concat(frames, ignore_index=True)
