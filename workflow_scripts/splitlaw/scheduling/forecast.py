"""The cost of an experiment, estimated before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from splitlaw.experiment import rounds
from splitlaw.experiment.config import RunsConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.scheduling import resources
from splitlaw.scheduling.resources import Work
from splitlaw.scheduling.throughput import Throughput, throughput_of

COLUMNS = (
    "stage size runs tokens flops hours tokens_independent flops_independent memory_mb disk_mb"
).split()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row of the forecast."""

    stage: str
    """`pretrain`, `specialize` or `train_final`."""
    size: str
    """Name of the size."""
    work: Work
    """Work of all seeds and domains."""


def items(config: RunsConfig, plan: Mapping[str, Any] | None = None) -> list[Item]:
    """The grid's stages by size and the final training, each over all its seeds."""
    listed = []
    # All seeds that train the whole grid have the same work, and so have those that repeat a part.
    repeated = config.grid.repeat.seeds if config.grid.repeat else ()
    parts = [(seeds[0], len(seeds)) for seeds in (config.grid.seeds, repeated) if seeds]
    for size in sorted(config.sizes, key=lambda name: config.shape_of(name).params):
        trunks = [resources.trunk_work(config, size, seed) * count for seed, count in parts]
        branches = [
            resources.branch_work(config, size, domain, seed) * count
            for seed, count in parts
            for domain in (GENERAL, *config.domain_names)
        ]
        listed.append(Item(stage="pretrain", size=size, work=sum(trunks, Work())))
        listed.append(Item(stage="specialize", size=size, work=sum(branches, Work())))
    final = [
        resources.final_work(config, name, plan=plan)
        for _ in config.final.seeds
        for name in resources.final_jobs(config)
    ]
    work = sum(final, Work())
    return [*listed, Item(stage="train_final", size=config.final.size, work=work)]


def forecast(
    config: RunsConfig, throughputs: Mapping[str, Throughput], plan: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """A row for each stage and size, with the columns `COLUMNS`.

    `hours` are device hours: the hours of all jobs times the devices of each.
    """
    batch = config.training.batch_tokens
    rows = []
    for item in items(config, plan):
        flops = config.shape_of(item.size).flops_per_token
        throughput, work = throughputs[item.size], item.work
        devices = config.execution_of(item.size).processes
        rows.append(
            {
                "stage": item.stage,
                "size": item.size,
                "runs": work.runs,
                "tokens": work.steps * batch,
                "flops": work.steps * batch * flops,
                "hours": devices * work.seconds(throughput, batch) / 3600,
                "tokens_independent": work.steps_independent * batch,
                "flops_independent": work.steps_independent * batch * flops,
                "memory_mb": round(throughput.memory_mb),
                "disk_mb": round(work.disk_bytes / 1e6, 1),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def describe(
    table: pd.DataFrame, config: RunsConfig, *, source: str, gpu: bool, planned: bool
) -> str:
    """The table as text, with the savings of shared trunks and the budget of the final training."""
    unit = "GPU-hours" if gpu else "core-hours"
    is_final = table["stage"] == "train_final"
    grid, final = table[~is_final], table[is_final]
    saved = 1 - grid["flops"].sum() / grid["flops_independent"].sum()
    return "\n".join(
        [
            _shown(table, unit).to_string(index=False),
            "",
            f"In all {table['hours'].sum():.3g} {unit}: {grid['hours'].sum():.3g} for the grid, "
            f"{final['hours'].sum():.3g} for the final training; "
            f"{table['disk_mb'].sum():,.0f} MB of disk. Text, the law, benchmarks and the report "
            "are not included.",
            f"Sharing trunks saves {saved:.0%} of the grid's FLOPs: {grid['flops'].sum():.2e} "
            f"instead of {grid['flops_independent'].sum():.2e}.",
            _final_training(config, float(grid["flops"].sum()), planned=planned),
            *adaptive_limits(table, config, unit),
            f"Throughput: {source}.",
        ]
    )


def _shown(table: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The table as it is printed; `unit` is that of the hours."""
    return pd.DataFrame(
        {
            "stage": table["stage"],
            "size": table["size"],
            "runs": table["runs"].replace(0, ""),
            "tokens": table["tokens"].map(si),
            "FLOPs": table["flops"].map("{:.2e}".format),
            unit: table["hours"].map("{:.3g}".format),
            "memory": table["memory_mb"].map("{:,} MB".format),
            "disk": table["disk_mb"].map("{:,.0f} MB".format),
        }
    )


def _final_training(config: RunsConfig, grid_flops: float, *, planned: bool) -> str:
    """A sentence on the recipes of the final training, beside the FLOPs of the grid."""
    size, budget = config.final.size, config.final.budget_tokens
    flops = budget * config.shape_of(size).flops_per_token
    assumed = f"an assumed split ({resources.ASSUMED_FRACTION_GENERAL:.0%})"
    split = "the plan's split" if planned else assumed
    return (
        f"Final training: {len(config.strategies)} recipes of {si(budget)} tokens "
        f"({flops:.2e} FLOPs) each, {size}, with {split}; "
        f"the grid takes {grid_flops / flops:.1f} times the FLOPs of one recipe."
    )


def adaptive_limits(table: pd.DataFrame, config: RunsConfig, unit: str) -> list[str]:
    """A sentence on how much of an adaptive grid is trained; none for other grids."""
    adaptive = config.grid.adaptive
    if adaptive is None:
        return []
    start = rounds.start_runs(config)
    fitted = table["size"].isin(list(rounds.fit_grids(config)))
    pool = table[(table["stage"] != "train_final") & fitted]
    tokens, hours = int(pool["tokens"].sum()), float(pool["hours"].sum())
    count = adaptive.runs or len(config.domain_names)
    if adaptive.max_tokens is not None and adaptive.max_tokens < tokens:
        by_size = pool.groupby("size")[["hours", "tokens"]].sum()
        slowest = float((by_size["hours"] / by_size["tokens"]).max())
        tokens, hours = adaptive.max_tokens, min(hours, adaptive.max_tokens * slowest)
    return [
        "The grid is adaptive: the rows of the sizes that the law is fitted to are those of its "
        f"whole pool, an upper bound. It starts with {len(start)} runs of "
        f"{si(rounds.trained_tokens(config, start))} tokens, ends after {adaptive.rounds} rounds "
        f"of {count} runs or at an expected regret of {adaptive.stop_regret:.2%}, and takes at "
        f"most {si(tokens)} tokens ({hours:.3g} {unit})."
    ]


def si(number: float) -> str:
    """A count in thousands, millions, billions or trillions."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.0f}"


def throughputs_of(
    config: RunsConfig, calibration: Mapping[str, Any] | None, *, gpu: bool
) -> tuple[dict[str, Throughput], str]:
    """The throughput of every size and a description of its source."""
    throughputs = {size: throughput_of(config, size, calibration, gpu=gpu) for size in config.sizes}
    given = config.execution.flops_per_second
    if given:
        return throughputs, f"execution.flops_per_second, {given:.2e}"
    if calibration:
        return throughputs, f"measured on {calibration['device']} by the target calibrate"
    return throughputs, "an estimate; measure it with `splitlaw run calibrate`"
