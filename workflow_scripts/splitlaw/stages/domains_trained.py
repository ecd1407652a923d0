"""The best split of every number of domains, trained, to test what `choose_domains` predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.planner import Plan
from splitlaw.stages import grid
from splitlaw.stages.gather import read_tables
from splitlaw.stages.job import Job

Split = list[Run]
"""The runs of a split, one for each domain."""


def train_numbers(
    job: Job, plans: Mapping[int, Plan], table: pd.DataFrame, *, execution: ExecutionConfig
) -> dict[int, float]:
    """The loss of the trained split by number of domains, from the plan of each.

    One domain is the longest unsplit run, whose loss is in `table`.
    """
    losses = train_plans(job, list(plans.values()), execution=execution)
    return {1: unsplit_loss(job, table), **dict(zip(plans, losses, strict=True))}


def train_plans(job: Job, plans: Sequence[Plan], *, execution: ExecutionConfig) -> list[float]:
    """Train the splits of `plans`; the mean loss of each over all held-out tokens, in nats.

    The splits of `job` share general text and the branches of domains that they have in common.
    """
    splits = [split_of(job, each) for each in plans]
    runs = job.results / "runs" / job.size / f"seed{job.seed}" / "split"
    every = [run for split in splits for run in split]
    grid.train_trunk(
        job, every, "trunk of the splits", execution=execution, out=runs / "trunk.json"
    )
    tables = []
    for domain in dict.fromkeys(run.domain for run in every):
        cells = {(r.pretrain_steps, r.specialize_steps) for r in every if r.domain == domain}
        own = replace(job, grid=replace(job.grid, cells=tuple(sorted(cells)), unsplit=()))
        tables.append(runs / domain / "losses.csv")
        grid.specialize(own, domain, [domain], execution=execution, out=tables[-1])
    table = read_tables(tables)
    return [
        sum(each.weights[run.domain] * loss_of(job, table, run) for run in split)
        for each, split in zip(plans, splits, strict=True)
    ]


def split_of(job: Job, plan: Plan) -> Split:
    """The runs of a plan in whole steps; a domain to which it gives no tokens has one step."""
    steps = job.training.steps
    return [
        Run(
            domain=domain,
            pretrain_steps=steps(plan.pretrain_tokens),
            specialize_steps=max(1, steps(tokens)),
        )
        for domain, tokens in plan.specialize_tokens.items()
    ]


def loss_of(job: Job, table: pd.DataFrame, run: Run) -> float:
    """The loss of a run on the held-out text of its domain."""
    rows = table[
        (table["domain"] == run.domain)
        & (table["pretrain_tokens"] == job.tokens(run.pretrain_steps))
        & (table["specialize_tokens"] == job.tokens(run.specialize_steps))
    ]
    (loss,) = rows["loss"]
    return float(loss)


def unsplit_loss(job: Job, table: pd.DataFrame) -> float:
    """The loss on all held-out text of the longest run on general text."""
    rows = table[(table["train_domain"] == GENERAL) & (table["domain"] == GENERAL)]
    (loss,) = rows.loc[rows["pretrain_tokens"] == job.tokens(max(job.grid.unsplit)), "loss"]
    return float(loss)
