"""Time, memory and groups of jobs, as the rules request them from a scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.scheduling import resources
from splitlaw.scheduling.devices import Site, uses_gpu
from splitlaw.scheduling.resources import TRUNK, Work
from splitlaw.scheduling.throughput import Throughput, throughput_of

SAFETY_FACTOR = 2.0
"""Ratio of requested to expected time: a job that ends early costs nothing, a killed one does."""
OVERHEAD_MINUTES = 3.0
"""Minutes added to every request, for the start of a job on a busy or slow file system."""
MEMORY_FACTOR = 1.25
"""Ratio of requested to expected memory: the peak varies by some percent between runs."""
SNAKEMAKE_MB = 300.0
"""Memory of the two Snakemake processes around a job on a cluster."""
SMALL_SECONDS = 1800
"""Jobs of a size and seed that take less than this altogether are submitted as one: the start of
each would take a noticeable share of its time."""
TINY_SECONDS = 80
"""Jobs of several sizes are submitted as one where those of each take less than this, so that the
10 seconds that the start takes are a small share of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JobRequests:
    """Requests for the jobs of one experiment at one site.

    Sizes are given by name. A part of the grid is a domain, `general` or `trunk`.
    """

    config: ExperimentConfig
    """The experiment."""
    site: Site
    """Site on which its jobs run."""
    calibration: Mapping[str, Any] | None = None
    """Content of calibration.json; without it the throughput is estimated."""

    # Snakemake requests the same values several times for each of thousands of jobs. The caches
    # keep the object alive; a process has only one.

    @cache  # noqa: B019
    def throughput(self, size: str) -> Throughput:
        """Throughput of a size."""
        gpu = uses_gpu(self.config, self.site, size)
        return throughput_of(self.config, size, self.calibration, gpu=gpu)

    @cache  # noqa: B019
    def grid_seconds(self, size: str, part: str) -> float:
        """Expected seconds of the job of a part of the grid."""
        if part == TRUNK:
            return self._seconds(size, resources.trunk_work(self.config, size))
        return self._seconds(size, resources.branch_work(self.config, size, part))

    @cache  # noqa: B019
    def final_seconds(self, size: str, budget: int, strategy: str) -> float:
        """Expected seconds of a final job; `strategy` is `trunk` for the shared trunk."""
        work = resources.final_work(self.config, strategy, size=size, budget=budget)
        return self._seconds(size, work)

    def sweep_seconds(self, size: str) -> float:
        """Expected seconds of the sweep of learning rates."""
        sweep = self.config.tune_learning_rate
        runs = len(sweep.rates)
        return self._job_seconds(size, tokens=runs * sweep.tokens, runs=runs)

    def frontier_seconds(self, size: str, budget: int) -> float:
        """Upper bound on the seconds of a measured frontier.

        Each fraction and the plan's own cost the budget at most, since what they share is trained
        once.
        """
        count = len(self.config.frontier.fractions) + 1
        runs = count * len(self.config.domain_names)
        return self._job_seconds(size, tokens=count * budget, runs=runs)

    def domains_seconds(self) -> float:
        """Upper bound on the seconds of `choose_domains`.

        Every number of domains has branches of its own, and those of one merged domain. Each has
        as many tokens as the longest, since its constant part is that of the shorter ones, and a
        cooldown for each D'. Where splits are trained, each costs the budget at most.
        """
        study = self.config.choose_domains
        domains = sum(number + 1 for number in study.numbers)
        cooldowns = len(study.specialize_tokens) * self.config.training.cooldown_fraction
        longest = study.pretrain_tokens + max(study.specialize_tokens)
        branch = max(study.specialize_tokens) + round(cooldowns * longest)
        unsplit = study.budget_tokens * (len(study.specialize_tokens) + 2)
        runs = domains * len(study.specialize_tokens)
        trained = len(study.numbers) * study.budget_tokens if study.train else 0
        runs += sum(study.numbers) if study.train else 0
        tokens = domains * branch + unsplit + trained
        return self._job_seconds(study.size, tokens=tokens, runs=runs)

    def minutes(self, seconds: float, *, attempt: int) -> int:
        """Minutes to request for a job of `seconds`, at most those that the site allows.

        A run that takes longer than the site allows resumes in the next attempt.
        """
        wanted = math.ceil((SAFETY_FACTOR * seconds / 60 + OVERHEAD_MINUTES) * attempt)
        return int(min(wanted, self.site.max_minutes))

    def memory_mb(self, size: str | None = None, *, attempt: int) -> int:
        """Memory to request, increased by half with every attempt; for every size without one."""
        sizes = [size] if size else list(self.config.sizes)
        peak = max(self.throughput(name).memory_mb for name in sizes)
        return math.ceil((MEMORY_FACTOR * peak + SNAKEMAKE_MB) * (1 + attempt) / 2)

    def grid_group(self, size: str) -> str | None:
        """Name of the group that the grid jobs of a size belong to, if any."""
        parts = (TRUNK, GENERAL, *self.config.domain_names)
        return self._group(size, sum(self.grid_seconds(size, part) for part in parts))

    def final_group(self, size: str, budget: int) -> str | None:
        """Name of the group that the final jobs of a size and budget belong to, if any."""
        names = resources.final_jobs(self.config)
        return self._group(size, sum(self.final_seconds(size, budget, name) for name in names))

    def _group(self, size: str, seconds: float) -> str | None:
        """The group of jobs that take `seconds` in all.

        Sizes with an execution of their own have no job in common with others, whose devices may
        differ.
        """
        if self.config.execution_of(size).processes > 1 or seconds > SMALL_SECONDS:
            return None
        own_execution = size in self.config.execution.by_size
        return "tiny" if seconds < TINY_SECONDS and not own_execution else "small"

    def _job_seconds(self, size: str, *, tokens: int, runs: int) -> float:
        steps = self.config.training.steps(tokens)
        return self._seconds(size, Work(steps=steps, runs=runs, jobs=1))

    def _seconds(self, size: str, work: Work) -> float:
        return work.seconds(self.throughput(size), self.config.training.batch_tokens)
