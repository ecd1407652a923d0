"""What an experiment will cost, told before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common.files import atomic_path
from splitlaw.experiment.config import Config, domain_names, execution_of, grid_seeds, shape_of
from splitlaw.experiment.lineage import GENERAL
from splitlaw.scheduling import resources as needs
from splitlaw.scheduling.resources import Pace, Work

COLUMNS = (
    "stage size runs tokens flops hours tokens_independent flops_independent memory_mb disk_mb"
).split()


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of the table."""

    stage: str
    """`pretrain`, `specialize` or `train_final`."""
    size: str
    """Name of the size."""
    work: Work
    """Over all seeds and domains."""


def items(config: Config, plan: Mapping[str, Any] | None = None) -> list[Item]:
    """The grid's stages by size, and the final training, over all their seeds."""
    domains = domain_names(config)
    seeds = grid_seeds(config)
    listed = []
    for size in config["sizes"]:
        trunks = [needs.trunk_work(config, size, domains, seed) for seed in seeds]
        branches = [
            needs.branch_work(config, size, domain, domains, seed)
            for seed in seeds
            for domain in (GENERAL, *domains)
        ]
        listed.append(Item(stage="pretrain", size=size, work=sum(trunks, Work())))
        listed.append(Item(stage="specialize", size=size, work=sum(branches, Work())))
    strategies = ("trunk", *needs.final_shares(plan))
    final = sum((needs.final_work(config, name, domains, plan=plan) for name in strategies), Work())
    final = sum([final] * len(config["final"]["seeds"]), Work())
    return [*listed, Item(stage="train_final", size=config["final"]["size"], work=final)]


def forecast(
    config: Config, paces: Mapping[str, Pace], plan: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """A row a stage and size: runs, tokens, FLOPs, hours of all devices, memory and disk."""
    batch = config["training"]["batch_tokens"]
    rows = []
    for item in items(config, plan):
        flops = shape_of(config, item.size).flops_per_token
        pace, work = paces[item.size], item.work
        devices = int(execution_of(config, item.size).get("processes", 1))
        rows.append(
            {
                "stage": item.stage,
                "size": item.size,
                "runs": work.runs,
                "tokens": work.steps * batch,
                "flops": work.steps * batch * flops,
                "hours": devices * work.seconds(pace, batch) / 3600,
                "tokens_independent": work.steps_independent * batch,
                "flops_independent": work.steps_independent * batch * flops,
                "memory_mb": round(pace.memory_mb),
                "disk_mb": round(work.disk_bytes / 1e6, 1),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def write(table: pd.DataFrame, out: Path) -> None:
    """Write the table as CSV."""
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)


def describe(table: pd.DataFrame, config: Config, *, source: str, gpu: bool, planned: bool) -> str:
    """The table for a person, with what sharing saves and the budget of the final training."""
    shown = pd.DataFrame(
        {
            "stage": table["stage"],
            "size": table["size"],
            "runs": table["runs"].replace(0, ""),
            "tokens": table["tokens"].map(si),
            "FLOPs": table["flops"].map("{:.2e}".format),
            "GPU-hours" if gpu else "core-hours": table["hours"].map("{:.3g}".format),
            "memory": table["memory_mb"].map("{:,} MB".format),
            "disk": table["disk_mb"].map("{:,.0f} MB".format),
        }
    )
    grid = table[table["stage"] != "train_final"]
    final = table[table["stage"] == "train_final"].iloc[0]
    size = config["final"]["size"]
    budget = config["final"]["budget_tokens"]
    flops = budget * shape_of(config, size).flops_per_token
    unit = "GPU-hours" if gpu else "core-hours"
    saved = 1 - grid["flops"].sum() / grid["flops_independent"].sum()
    split = "the plan's split" if planned else f"a guessed split ({needs.STAND_IN_FRACTION:.0%})"
    return "\n".join(
        [
            shown.to_string(index=False),
            "",
            f"In all {table['hours'].sum():.3g} {unit}: {grid['hours'].sum():.3g} for the grid, "
            f"{final['hours']:.3g} for the final training; {table['disk_mb'].sum():,.0f} MB of "
            "disk. Text, the law, benchmarks and the report are not in it.",
            f"Sharing trunks saves {saved:.0%} of the grid's FLOPs: {grid['flops'].sum():.2e} "
            f"instead of {grid['flops_independent'].sum():.2e}.",
            f"Final training: {len(needs.final_shares(None))} recipes of {si(budget)} tokens "
            f"({flops:.2e} FLOPs) each, {size}, with {split}; the grid takes "
            f"{grid['flops'].sum() / flops:.1f} times one recipe.",
            f"Throughput: {source}.",
        ]
    )


def si(number: float) -> str:
    """A count in thousands, millions, billions or trillions."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.0f}"


def paces_of(
    config: Config, calibration: Mapping[str, Any] | None, *, gpu: bool
) -> tuple[dict[str, Pace], str]:
    """The pace of every size, and in words where it comes from."""
    paces = {size: needs.pace_of(config, size, calibration, gpu=gpu) for size in config["sizes"]}
    given = config.get("execution", {}).get("flops_per_second")
    if given:
        return paces, f"execution.flops_per_second, {given:.2e}"
    if calibration:
        return paces, f"measured on {calibration['device']} by the target calibrate"
    return paces, "a guess; run the target calibrate"
