"""Jobs and stages of a run: how many are done, how much of their work, and the time left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from splitlaw.common.status import DONE, INTERVAL, RUNNING, Status, StatusReader

CLOCK_SKEW = 2.0
"""Seconds by which the clocks of two machines may differ; those of a cluster are synchronised."""

STARTING = 60.0
"""Seconds within which a started job is expected to write a status: importing torch takes up to 20.

Later, a job without one is in a queue and does not share in the work.
"""

MOST = 0.95
"""Largest share of a job that counts as done before its end, where only its time is known."""


@dataclass(kw_only=True)
class Job:
    """One job that has been started."""

    stage: Stage
    work: float
    """Work of the job, where the mean over the jobs of its rule is 1."""
    name: str
    """Stage and item, for messages."""
    item: str = ""
    logs: list[Path] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    began: float
    """By a monotonic clock, in seconds."""
    clock_time: float
    """The same in seconds since the epoch."""
    status: Status | None = None
    """Status that the job reports; None before its process writes one, for example in a queue."""

    @property
    def measured(self) -> float | None:
        """Fraction of the job that is done, where the job reports it in tokens."""
        status = self.status
        return status.fraction if status is not None and status.unit == "tokens" else None


@dataclass(kw_only=True)
class Stage:
    """The jobs of one stage in this run."""

    name: str
    total: int = 0
    done: int = 0
    done_work: float = 0.0
    trained_before: int = 0
    """Jobs whose models were all stored already."""
    busy: float = 0.0
    """Seconds of its finished jobs, summed."""
    clocked: float = 0.0
    """Seconds of earlier periods with jobs in progress."""
    since: float | None = None
    """Start of the current period with jobs in progress, by a monotonic clock."""
    failed: bool = False
    running: dict[int, Job] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    def enter(self, number: int, job: Job) -> None:
        """Record that a job begins."""
        self.since = self.since or job.began
        self.running[number] = job

    def leave(self, number: int) -> Job | None:
        """Record that a job has ended, successfully or not; None if that was recorded before."""
        job = self.running.pop(number, None)
        if self.since is not None and not self.running:
            self.clocked, self.since = self.seconds, None
        return job

    @property
    def begun(self) -> bool:
        """Whether any job has been started."""
        return bool(self.running or self.done or self.failed)

    @property
    def ended(self) -> bool:
        """Whether all jobs are done."""
        return self.done == self.total

    @property
    def seconds(self) -> float:
        """Seconds with a job in progress or queued; time spent waiting for other stages is not."""
        return self.clocked + (time.monotonic() - self.since if self.since is not None else 0.0)

    @property
    def active(self) -> list[Job]:
        """Jobs whose process runs; others of `running` are in a queue, or have just ended."""
        running = list(self.running.values())
        return [job for job in running if job.status is not None and job.status.state == RUNNING]

    @property
    def share(self) -> float:
        """Fraction of the work that is done, from 0 to 1."""
        return min((self.done_work + self._underway()) / self.total, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds until the end; None before any job has reported a progress."""
        rate, now = self._rate(), time.monotonic()
        running = list(self.running.values())
        working = [job for job in running if job.status or now - job.began < STARTING]
        if not rate or not working:
            return None
        work = max(self.total - self.done_work - self._underway(), 0.0)
        longest = max(
            (job.status.seconds_left or 0.0 for job in working if job.status), default=0.0
        )
        return max(work / rate / len(working), longest)

    def _rate(self) -> float:
        """Work per second of one job, from the finished jobs and those that report progress."""
        work, seconds = self.done_work, self.busy
        for job in self.active:
            if job.measured and job.status:
                work += job.work * job.measured
                seconds += job.status.written - job.status.started
        return work / max(seconds, 1e-3) if work else 0.0  # jobs may end within a clock's tick

    def _underway(self) -> float:
        """Work that the running jobs have done."""
        rate, now = self._rate(), time.monotonic()
        work = 0.0
        for job in list(self.running.values()):
            if job.status is None:
                continue
            if job.status.state == DONE:
                work += job.work
            elif job.measured is not None:
                work += job.work * job.measured
            else:
                work += min(MOST * job.work, rate * (now - job.began))
        return work


class JobStatuses:
    """The statuses of the jobs of a run, from the status files of its results folder."""

    def __init__(self, results: Path) -> None:
        self.reader = StatusReader(results)
        self._read = 0.0

    def update(self, jobs: Iterable[Job], *, now: bool = False) -> None:
        """Set the status of each job, at most as often as statuses are written unless `now`."""
        if not now and time.monotonic() - self._read < INTERVAL:
            return
        self._read = time.monotonic()
        statuses = self.reader.read()
        by_output = {Path(status.out): status for status in statuses if status.out}
        by_item = {(status.stage, status.item): status for status in statuses if not status.out}
        for job in jobs:
            found = _find(job.outputs, by_output) or by_item.get((job.stage.name, job.item))
            # The file may be that of an earlier run of the same job.
            if found is not None and found.started >= job.clock_time - CLOCK_SKEW:
                job.status = found


def _find(outputs: Sequence[Path], by_output: dict[Path, Status]) -> Status | None:
    """The status of the job that was started with one of these files, or with a folder of them."""
    places = (place for output in outputs for place in (output, *output.parents))
    return next((by_output[place] for place in places if place in by_output), None)


def clock(seconds: float) -> str:
    """A duration: 7 s, 2:05 min, 3:04 h."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"
