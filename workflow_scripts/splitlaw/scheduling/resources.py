"""What a training job takes: steps, seconds, memory and disk, from the config and a pace.

A pace is measured by the target `calibrate`, or guessed from FLOPs per second. The rules ask their
scheduler for what stands here, and `splitlaw.cost` adds it up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splitlaw.common.files import read_json
from splitlaw.experiment.config import Config, execution_of, grid_of, shape_of
from splitlaw.experiment.lineage import GENERAL, Lineage, Run, prefixes, trained_steps, trunk_prefix

CPU_FLOPS, GPU_FLOPS = 1e10, 1e13
LAUNCH_SECONDS = 0.02
"""Least seconds a step on a GPU, whose kernels are launched one by one."""
START_SECONDS = 40.0
PROCESS_MB, CUDA_MB = 900.0, 3000.0
"""Memory of a process that has imported and compiled, and what CUDA adds on the host."""
SNAKEMAKE_MB = 300.0
"""The two snakemakes that surround a job on a cluster."""
SAFETY = 2.0
"""Asked time over expected time: a job that ends early costs nothing, one that is cut off does."""
STAND_IN_FRACTION = 0.25
"""General fraction of the optimal split before there is a plan."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How one size trains on one kind of device."""

    tokens_per_second: float
    """Tokens trained a second by all processes of a run."""
    evaluated_tokens_per_second: float
    """Held-out tokens a second."""
    start_seconds: float
    """Spent once a job: imports, building the model, compiling."""
    run_seconds: float
    """Spent once a run besides its tokens: restoring a state, writing states."""
    memory_mb: float
    """Peak of the host's memory, of all processes."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one job, or many together, has to do."""

    runs: int = 0
    """Models that end in it."""
    steps: int = 0
    """Optimizer steps, what runs share counted once."""
    steps_independent: int = 0
    """Steps of the same runs if each began from nothing."""
    evaluated_tokens: int = 0
    """Held-out tokens predicted."""
    disk_bytes: int = 0
    """States and models written."""
    jobs: int = 0
    """Processes started."""

    def __add__(self, other: Work) -> Work:
        return Work(**{key: value + getattr(other, key) for key, value in asdict(self).items()})

    def seconds(self, pace: Pace, batch_tokens: int) -> float:
        """Seconds of one job after another."""
        return (
            self.jobs * pace.start_seconds
            + self.runs * pace.run_seconds
            + self.steps * batch_tokens / pace.tokens_per_second
            + self.evaluated_tokens / pace.evaluated_tokens_per_second
        )


# ---- pace -----------------------------------------------------------------------------------


def pace_of(config: Config, size: str, calibration: Mapping[str, Any] | None, *, gpu: bool) -> Pace:
    """The measured pace of a size where there is one, else a guess from FLOPs per second."""
    measured = (calibration or {}).get("sizes", {}).get(size)
    execution = execution_of(config, size)
    given, processes = execution.get("flops_per_second"), int(execution.get("processes", 1))
    if measured and not given:
        return Pace(**measured)
    shape = shape_of(config, size)
    batch = config["training"]["batch_tokens"]
    flops = processes * (given or (GPU_FLOPS if gpu else CPU_FLOPS))
    step = max(batch * shape.flops_per_token / flops, LAUNCH_SECONDS if gpu else 0.0)
    return Pace(
        tokens_per_second=batch / step,
        evaluated_tokens_per_second=2 * batch / step,
        start_seconds=START_SECONDS,
        run_seconds=0.1,
        memory_mb=processes * (guessed_memory(config, size) + (CUDA_MB if gpu else 0.0)),
    )


def guessed_memory(config: Config, size: str) -> float:
    """Peak memory of a process in MB: itself, five copies of the weights, a microbatch in flight.

    The copies are weights, gradients, Adam's two moments and the initial weights, in float32. A
    token holds about 16 vectors of the width a layer and 3 rows of logits.
    """
    shape, execution = shape_of(config, size), execution_of(config, size)
    rows = config["training"]["batch_tokens"] // shape.context // execution.get("processes", 1)
    rows = min(rows, execution.get("microbatch") or rows)
    numbers = 16 * shape.layers * shape.width + 3 * shape.vocabulary
    return PROCESS_MB + (20 * shape.params + 4 * numbers * rows * shape.context) / 1e6


def read_calibration(file: Path, config: Config) -> dict[str, Any] | None:
    """A calibration, if there is one of these very shapes and batches."""
    if not file.exists():
        return None
    content = read_json(file)
    return content if content["measured"] == calibrated_config(config) else None


def calibrated_config(config: Config) -> dict[str, Any]:
    """The part of the configuration that a pace depends on."""
    keys = ("compile", "device", "microbatch", "processes", "shard")
    return {
        "shapes": {size: asdict(shape_of(config, size)) for size in config["sizes"]},
        "batch_tokens": config["training"]["batch_tokens"],
        "execution": {
            size: {key: value for key, value in execution_of(config, size).items() if key in keys}
            for size in config["sizes"]
        },
    }


# ---- work -----------------------------------------------------------------------------------


def trunk_lineages(config: Config, runs: Iterable[Run]) -> list[Lineage]:
    """What a trunk's job trains for `runs`."""
    fraction = config["training"]["cooldown_fraction"]
    return [part for run in runs if (part := trunk_prefix(run.lineage(fraction)))]


def shared_work(config: Config, size: str, runs: Iterable[Run]) -> Work:
    """The work of a trunk's job."""
    shared = trunk_lineages(config, runs)
    return Work(
        steps=trained_steps(shared),
        disk_bytes=states_bytes(config, size, prefixes(shared)),
        jobs=1,
    )


def runs_work(
    config: Config, size: str, runs: Iterable[Run], *, behind: Iterable[Run], evaluated: int
) -> Work:
    """The work of a job over `runs` once the trunk's job of the runs `behind` it is done.

    `evaluated` is on how many domains each run is evaluated.
    """
    wanted = sorted(set(runs))
    lineages = [run.lineage(config["training"]["cooldown_fraction"]) for run in wanted]
    shared = trunk_lineages(config, behind)
    return Work(
        runs=len(wanted),
        steps=trained_steps(lineages + shared) - trained_steps(shared),
        steps_independent=sum(run.total for run in wanted),
        evaluated_tokens=len(wanted) * evaluated * config["evaluation"]["tokens"],
        disk_bytes=states_bytes(config, size, prefixes(lineages) - prefixes(shared)),
        jobs=1,
    )


def states_bytes(config: Config, size: str, lineages: Iterable[Lineage]) -> int:
    """Bytes of the states at the ends of segments: weights, with two moments unless cooled down."""
    params = shape_of(config, size).params
    last_segments = (lineage[-1] for lineage in lineages)
    return sum(params * (4 if last.stop == last.total else 12) for last in last_segments)


def grid_runs(
    config: Config, size: str, domains: Sequence[str], seed: int | None = None
) -> list[Run]:
    """Every run of a size for one seed."""
    grid = grid_of(config, size, seed)
    return [run for domain in (GENERAL, *domains) for run in grid.runs(domain)]


def trunk_work(config: Config, size: str, domains: Sequence[str], seed: int | None = None) -> Work:
    """A size's general text for one seed."""
    return shared_work(config, size, grid_runs(config, size, domains, seed))


def branch_work(
    config: Config, size: str, domain: str, domains: Sequence[str], seed: int | None = None
) -> Work:
    """A size's branches on a domain, or its unsplit runs, for one seed."""
    return runs_work(
        config,
        size,
        grid_of(config, size, seed).runs(domain),
        behind=grid_runs(config, size, domains, seed),
        evaluated=1 + len(domains) if domain == GENERAL else 1,
    )


def grid_work(config: Config, size: str, domains: Sequence[str]) -> Work:
    """All jobs of a size and seed together."""
    branches = (branch_work(config, size, domain, domains) for domain in (GENERAL, *domains))
    return sum(branches, trunk_work(config, size, domains))


def final_shares(plan: Mapping[str, Any] | None) -> dict[str, float]:
    """General share of every strategy's budget; the optimal one's from the plan if it stands."""
    shares = {"two_stage_90": 0.9, "half": 0.5, "no_split": 1.0, "scratch": 0.0}
    return {"optimal": plan["fraction_general"] if plan else STAND_IN_FRACTION, **shares}


def final_runs(config: Config, share: float, domains: Sequence[str], budget: int) -> list[Run]:
    """The runs of a strategy that gives `share` of a budget in tokens to general text."""
    batch = config["training"]["batch_tokens"]
    general = round(share * budget / batch)
    each = round((1 - share) * budget / batch / len(domains))
    if not each:
        return [Run(domain=GENERAL, pretrain_steps=general, specialize_steps=0)]
    return [Run(domain=name, pretrain_steps=general, specialize_steps=each) for name in domains]


def final_work(
    config: Config,
    strategy: str,
    domains: Sequence[str],
    *,
    plan: Mapping[str, Any] | None = None,
    size: str | None = None,
    budget: int | None = None,
) -> Work:
    """One strategy's final models for one seed, or `trunk` for what all of them share.

    Size and budget are those of `final` unless given.
    """
    size = size or str(config["final"]["size"])
    budget = budget or int(config["final"]["budget_tokens"])
    recipes = {
        name: final_runs(config, share, domains, budget)
        for name, share in final_shares(plan).items()
    }
    everything = [run for runs in recipes.values() for run in runs]
    if strategy == "trunk":
        return shared_work(config, size, everything)
    runs = recipes[strategy]
    work = runs_work(config, size, runs, behind=everything, evaluated=1 + len(domains))
    return work + Work(disk_bytes=4 * shape_of(config, size).params * len(runs))


# ---- what is asked of a scheduler -------------------------------------------------------------


def minutes(seconds: float, *, attempt: int = 1, limit: float = math.inf) -> int:
    """Minutes to ask for, at most `limit`: beyond it a run goes on in its next attempt."""
    return int(min(math.ceil((SAFETY * seconds / 60 + 3) * attempt), limit))


def memory_mb(pace: Pace, *, attempt: int = 1) -> int:
    """Memory to ask for, half as much again with every attempt."""
    need = 1.25 * pace.memory_mb + SNAKEMAKE_MB
    return math.ceil(need * (1 + attempt) / 2)
