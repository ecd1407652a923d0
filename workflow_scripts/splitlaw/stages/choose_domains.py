"""How many domains to divide a mixture into: predicted from a few branches for each number.

The general text is clustered into every number of domains. The branches of all domains leave one
trunk. For each number, a law is fitted to its branches and to the unsplit runs, and the planner
finds the best split of the budget under it. Losses are comparable between numbers of domains: each
is the mean over the tokens of the same held-out documents, and every document is evaluated by the
specialist of its cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.result_table import write_result_table
from splitlaw.corpus.domains.partitions import Partition, partition_documents
from splitlaw.experiment.columns import DOMAINS
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.identity import domains_json
from splitlaw.experiment.lineage import GENERAL, general_prefix, trained_steps
from splitlaw.experiment.section import Distinct, Natural, Positive, Settings, load_config
from splitlaw.experiment.settings import ExecutionConfig, LawConfig, TrainingConfig
from splitlaw.experiment.shape import Shape
from splitlaw.laws.api import fit_table
from splitlaw.planner import plan
from splitlaw.stages import grid
from splitlaw.stages.domains_table import Predicted, domains_rows, domains_summary
from splitlaw.stages.domains_trained import train_numbers
from splitlaw.stages.gather import read_tables
from splitlaw.stages.job import Job
from splitlaw.tokens import open_documents
from splitlaw.tokens.groups import write_groups

FOLDER = "choose_domains"
"""Folder of the branches, beside the table."""

KEY = "choose_domains.numbers"
"""Key of the configuration that errors name."""

MIXTURE_DOMAINS = 8
"""The held-out documents have `test_tokens` for each of this many domains, together. Their error is
then like that of a mean over eight domains, and does not depend on the numbers compared."""


class DomainsConfig(Settings):
    """Everything that determines the result, except the corpus and its tokens."""

    size: str
    shape: Mapping[str, int]
    training: TrainingConfig
    seed: Natural
    """Seed of initialisation and data order."""
    numbers: Distinct[Positive]
    """Numbers of domains."""
    embedding: str | None
    corpus_seed: int
    """Seed of the clusters."""
    budget_tokens: Positive
    pretrain_tokens: Positive
    specialize_tokens: Distinct[Positive]
    test_tokens: Positive
    """Held-out tokens of a domain, of which `MIXTURE_DOMAINS` times as many are evaluated."""
    minimum_tokens: Positive
    """A cluster with fewer held-out tokens is refused."""
    law: LawConfig
    train: bool = False
    """Also train the best split of every number of domains."""


def read_config(source: str) -> DomainsConfig:
    """Read the part of the configuration from a whole one, or as `domains_json` writes it."""
    if "experiment" in load_config(source):
        source = domains_json(ExperimentConfig.load(source))
    return DomainsConfig.load(source)


def choose_domains(
    config: DomainsConfig, *, results: Path, execution: ExecutionConfig, out: Path
) -> str:
    """Train the branches, write the table `out`, and return a summary of it.

    The corpus and the tokens are those in `results`. Runs that are stored beside `out` are not
    trained again.
    """
    partitions = partition_documents(
        results / "corpus",
        config.numbers,
        seed=config.corpus_seed,
        embedding=config.embedding,
        key=KEY,
    )
    folder = out.parent / FOLDER
    held_out = _write_tokens(config, results, partitions, folder)
    job = _job(config, folder, held_out)
    table = _train(job, partitions, execution)
    found = [_predict(config, job, each, table) for each in partitions]
    rows = domains_rows(found, budget_tokens=config.budget_tokens)
    lines = domains_summary(found, budget_tokens=config.budget_tokens, size=config.size)
    if config.train:
        plans = {e.partition.number: e.plan for e in found if not e.partition.merged}
        trained = train_numbers(job, plans, table, execution=execution)
        for row in rows:
            row["trained_loss"] = None if row["merged"] else trained[row["k"]]
        losses = ", ".join(f"{loss:.4f} with {number}" for number, loss in trained.items())
        lines.append(f"Measured loss by number of domains: {losses}.")
    write_result_table(out, pd.DataFrame(rows, columns=DOMAINS))
    return "\n".join(lines)


def _write_tokens(
    config: DomainsConfig, results: Path, partitions: Sequence[Partition], folder: Path
) -> int:
    """Write the token files of general text and of every domain; returns the held-out tokens."""
    sidecar = results / "tokens" / GENERAL / "tokens.json"
    _, offsets, _ = open_documents(sidecar, "test")
    counted = np.cumsum(np.diff(offsets) - 1)  # the end of text is not predicted
    wanted = MIXTURE_DOMAINS * config.test_tokens
    documents = min(int(np.searchsorted(counted, wanted)) + 1, len(counted))
    groups = {}
    for each in partitions:
        for number, name in enumerate(each.names):
            rows = {s: np.flatnonzero(m == number) for s, m in each.members.items()}
            rows["test"] = rows["test"][rows["test"] < documents]
            tokens = int((np.diff(offsets)[rows["test"]] - 1).sum())
            _check_held_out(config, each, number, tokens)
            groups[name] = rows
    members = partitions[0].members
    everything = {"train": np.arange(len(members["train"])), "test": np.arange(documents)}
    write_groups(sidecar, {GENERAL: everything, **groups}, folder / "tokens")
    return int(counted[documents - 1])


def _check_held_out(config: DomainsConfig, partition: Partition, number: int, tokens: int) -> None:
    if tokens < config.minimum_tokens:
        raise UserError(
            f"{KEY} has {partition.number}: the cluster {partition.labels[number]} has {tokens} "
            f"held-out tokens, fewer than evaluation.minimum_tokens {config.minimum_tokens}; give "
            "fewer domains, more text, or a larger evaluation.tokens"
        )


def _job(config: DomainsConfig, folder: Path, held_out: int) -> Job:
    batch = config.training.batch_tokens
    pretrain = config.training.steps(config.pretrain_tokens)
    specialize = [config.training.steps(tokens) for tokens in config.specialize_tokens]
    longest = config.training.steps(config.budget_tokens)
    unsplit = {pretrain, longest, *(pretrain + steps for steps in specialize)}
    return Job(
        size=config.size,
        split="fit",
        seed=config.seed,
        shape=Shape(**config.shape),
        training=config.training,
        grid=Grid(
            batch_tokens=batch,
            cells=tuple((pretrain, steps) for steps in sorted(specialize)),
            unsplit=tuple(sorted(unsplit)),
        ),
        results=folder,
        test_tokens=held_out,
    )


def _names(partitions: Iterable[Partition]) -> list[str]:
    """The distinct domains; a partition with merged clusters shares the others."""
    return list(dict.fromkeys(name for each in partitions for name in each.names))


def _train(job: Job, partitions: Sequence[Partition], execution: ExecutionConfig) -> pd.DataFrame:
    """Train the trunk, the unsplit runs and the branches of every domain; the losses of all."""
    names = _names(partitions)
    runs = job.results / "runs" / job.size / f"seed{job.seed}"
    grid.pretrain(job, execution=execution, out=runs / "trunk.json")
    tables = []
    for domain in (GENERAL, *names):
        tables.append(runs / domain / "losses.csv")
        domains = names if domain == GENERAL else [domain]
        grid.specialize(job, domain, domains, execution=execution, out=tables[-1])
    return read_tables(tables)


def _predict(
    config: DomainsConfig, job: Job, partition: Partition, table: pd.DataFrame
) -> Predicted:
    """The law of a partition, and the best split of the budget under it."""
    own = table["domain"].isin(partition.names)
    own &= table["train_domain"].isin([GENERAL, *partition.names])
    law = config.law
    fit = fit_table(
        table[own], law=law.form, discrepancy=law.discrepancy, draws=law.draws, seed=law.seed
    )
    per_token = job.shape.flops_per_token
    best = plan(
        fit,
        flops=config.training.steps(config.budget_tokens) * job.grid.batch_tokens * per_token,
        params=job.shape.params,
        flops_per_token=per_token,
        domains=partition.names,
        weights=_weights(job, partition),
    )
    return Predicted(partition=partition, plan=best, branch_tokens=_branch_tokens(job, partition))


def _weights(job: Job, partition: Partition) -> dict[str, float]:
    """Share of the held-out tokens that each domain has."""
    tokens = {}
    for name in partition.names:
        _, offsets, _ = open_documents(job.sidecar(name), "test")
        tokens[name] = float((np.diff(offsets) - 1).sum())
    return {name: count / sum(tokens.values()) for name, count in tokens.items()}


def _branch_tokens(job: Job, partition: Partition) -> int:
    """Tokens of the branches of a partition, without the trunk that all branches share."""
    steps = 0
    for name in partition.names:
        lineages = [job.lineage(run) for run in job.grid.runs(name)]
        steps += trained_steps(lineages)
        steps -= trained_steps(filter(None, map(general_prefix, lineages)))
    return job.tokens(steps)
