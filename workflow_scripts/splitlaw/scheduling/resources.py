"""Work of training jobs: their runs, steps, evaluated tokens and disk, from the configuration.

With a throughput, `scheduling.requests` derives what the rules request from a scheduler, and
`scheduling.forecast` the cost of an experiment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from splitlaw.experiment.config import RunsConfig
from splitlaw.experiment.lineage import GENERAL, Lineage, Run, prefixes, trained_steps, trunk_prefix
from splitlaw.experiment.strategies import (
    GENERAL_FRACTIONS,
    JOINT,
    JOINT_STREAM,
    MIXTURE,
    NO_SPLIT,
    OPTIMAL,
    REPLAY_SHARES,
)
from splitlaw.scheduling.throughput import Throughput

TRUNK = "trunk"
"""Name of the trunk's job, where other jobs are named by their domain or strategy."""
ASSUMED_FRACTION_GENERAL = 0.25
"""General fraction of the optimal split before there is a plan; the reference experiment measured
its lowest loss near it."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Amount of work in one job or in several jobs together."""

    runs: int = 0
    """Number of models completed."""
    steps: int = 0
    """Optimizer steps; steps that several runs share are counted once."""
    steps_independent: int = 0
    """Optimizer steps of the same runs without sharing."""
    evaluated_tokens: int = 0
    """Held-out tokens that are predicted."""
    disk_bytes: int = 0
    """Bytes of states and models written."""
    jobs: int = 0
    """Number of jobs."""

    def __add__(self, other: Work) -> Work:
        return Work(**{key: value + getattr(other, key) for key, value in asdict(self).items()})

    def __mul__(self, times: int) -> Work:
        return Work(**{key: value * times for key, value in asdict(self).items()})

    def seconds(self, throughput: Throughput, batch_tokens: int) -> float:
        """Seconds that the jobs take one after another."""
        return (
            self.jobs * throughput.start_seconds
            + self.runs * throughput.run_seconds
            + self.steps * batch_tokens / throughput.tokens_per_second
            + self.evaluated_tokens / throughput.evaluated_tokens_per_second
        )


def relative_flops(config: RunsConfig, size: str) -> float:
    """FLOPs per token of a size relative to the mean over all sizes."""
    flops = {name: config.shape_of(name).flops_per_token for name in config.sizes}
    return flops[size] * len(flops) / sum(flops.values())


def trunk_lineages(config: RunsConfig, runs: Iterable[Run]) -> list[Lineage]:
    """The parts of `runs` that the job of their trunk trains."""
    fraction = config.training.cooldown_fraction
    return [part for run in runs if (part := trunk_prefix(run.lineage(fraction)))]


def shared_work(config: RunsConfig, size: str, runs: Iterable[Run]) -> Work:
    """The work of the job that trains the trunk of `runs`."""
    shared = trunk_lineages(config, runs)
    return Work(
        steps=trained_steps(shared),
        disk_bytes=states_bytes(config, size, prefixes(shared)),
        jobs=1,
    )


def runs_work(
    config: RunsConfig,
    size: str,
    runs: Iterable[Run],
    *,
    shared_with: Iterable[Run],
    evaluated: int,
) -> Work:
    """The work of a job that trains `runs` after the job of their trunk.

    `shared_with` are all runs that the trunk serves, and `evaluated` is the number of domains on
    which each run is evaluated.
    """
    wanted = sorted(set(runs))
    lineages = [run.lineage(config.training.cooldown_fraction) for run in wanted]
    shared = trunk_lineages(config, shared_with)
    return Work(
        runs=len(wanted),
        steps=trained_steps(lineages + shared) - trained_steps(shared),
        steps_independent=sum(run.total for run in wanted),
        evaluated_tokens=len(wanted) * evaluated * config.evaluation.tokens,
        disk_bytes=states_bytes(config, size, prefixes(lineages) - prefixes(shared)),
        jobs=1,
    )


def states_bytes(config: RunsConfig, size: str, lineages: Iterable[Lineage]) -> int:
    """Bytes of the states at the ends of `lineages`, in float32.

    A state holds the weights and, unless its run is complete, Adam's two moments.
    """
    params = config.shape_of(size).params
    last_segments = (lineage[-1] for lineage in lineages)
    return sum(params * (4 if last.stop == last.total else 12) for last in last_segments)


def grid_runs(config: RunsConfig, size: str, seed: int | None = None) -> list[Run]:
    """All runs of a size and seed."""
    grid = config.grid_of(size, seed)
    return [run for domain in (GENERAL, *config.domain_names) for run in grid.all_runs(domain)]


def trunk_work(config: RunsConfig, size: str, seed: int | None = None) -> Work:
    """The work of the `pretrain` job of a size and seed."""
    return shared_work(config, size, grid_runs(config, size, seed))


def branch_work(config: RunsConfig, size: str, domain: str, seed: int | None = None) -> Work:
    """The work of the `specialize` job of a size, domain and seed.

    For `general` these are the unsplit runs, which are evaluated on every domain. Branches are
    evaluated on general text too where the grid has replay or a base.
    """
    grid = config.grid_of(size, seed)
    of_branch = 2 if any(grid.replay) or config.base else 1
    return runs_work(
        config,
        size,
        grid.all_runs(domain),
        shared_with=grid_runs(config, size, seed),
        evaluated=1 + len(config.domain_names) if domain == GENERAL else of_branch,
    )


def general_fractions(plan: Mapping[str, Any] | None) -> dict[str, float]:
    """The share of general tokens in each strategy with a trunk or specialists.

    That of `optimal` is assumed without a plan.
    """
    optimal = plan["fraction_general"] if plan else ASSUMED_FRACTION_GENERAL
    return {OPTIMAL: optimal, **GENERAL_FRACTIONS}


def trunks(config: RunsConfig) -> int:
    """Number of trunks of the specialists in one recipe."""
    return len(config.domain_names) if config.final.trunk == "independent" else 1


def final_jobs(config: RunsConfig) -> tuple[str, ...]:
    """The final jobs of a seed: one for each trunk, named `TRUNK`, and for each strategy."""
    return (*(TRUNK for _ in range(trunks(config))), *config.strategies)


def final_runs(config: RunsConfig, share: float, budget: int) -> list[Run]:
    """The runs of a strategy in which `share` of the budget (in tokens) is general text."""
    domains = config.domain_names
    general = config.training.steps(share * budget / (trunks(config) if share < 1 else 1))
    each = config.training.steps((1 - share) * budget / len(domains))
    if not each:
        return [Run(domain=GENERAL, pretrain_steps=general, specialize_steps=0)]
    return [Run(domain=name, pretrain_steps=general, specialize_steps=each) for name in domains]


def planned_runs(
    config: RunsConfig, budget: int, plan: Mapping[str, Any] | None
) -> dict[str, list[Run]]:
    """The runs of every strategy at a budget in tokens."""
    fractions = general_fractions(plan)
    single = [
        Run(domain=JOINT_STREAM, pretrain_steps=0, specialize_steps=config.training.steps(budget))
    ]
    if MIXTURE not in config.strategies:
        runs = {name: final_runs(config, share, budget) for name, share in fractions.items()}
        return {**runs, JOINT: single}
    optimal = final_runs(config, fractions[OPTIMAL], budget)
    others = {
        name: [replace(run, replay=share) for run in optimal]
        for name, share in REPLAY_SHARES.items()
    }
    return {OPTIMAL: optimal, **others, MIXTURE: single}


def final_work(
    config: RunsConfig,
    strategy: str,
    *,
    plan: Mapping[str, Any] | None = None,
    size: str | None = None,
    budget: int | None = None,
) -> Work:
    """The work of the `train_final` job of one strategy and seed, or of a trunk.

    `strategy` is `TRUNK` for the latter. `size` and `budget` (tokens) default to those of `final`.
    """
    size = size or config.final.size
    budget = budget or config.final.budget_tokens
    runs = planned_runs(config, budget, plan)
    alone = (NO_SPLIT,) if config.final.trunk == "independent" and NO_SPLIT in runs else ()
    together = [run for name, each in runs.items() if name not in alone for run in each]
    if strategy == TRUNK:
        return shared_work(config, size, together)
    own, evaluated = runs[strategy], 1 + len(config.domain_names)
    shared_with = () if strategy in alone else together
    work = runs_work(config, size, own, shared_with=shared_with, evaluated=evaluated)
    return work + Work(disk_bytes=4 * config.shape_of(size).params * len(own))
