"""The status of a job: a small JSON file that others read while the job runs.

A job writes `results/{experiment}/status/{job}.json`, which the next run of the same job replaces.
Nothing is computed from these files: they can be deleted at any time.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json

FOLDER = "status"
"""Folder of the status files below the results of an experiment."""

RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"
"""States of a job. A stopped job was asked to end (by Ctrl-C or a scheduler) and can resume."""

INTERVAL = 1.0
"""Seconds between two writes: more would not be noticed, and would load shared file systems."""

HEARTBEAT = 10.0
"""Seconds after which a status that has not changed is written again, to show that the job runs."""

LOST_AFTER = 120.0
"""Age in seconds at which the status of a running job means that the job is lost.

An NFS client may show a file that was replaced on another machine for up to 60 s (`acdirmax`). With
a heartbeat and a few seconds between the clocks of two machines, the status of a job that runs
appears to be at most 75 s old; the rest is a margin for a busy file server.
"""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The content of a status file."""

    stage: str
    """Stage that the job belongs to."""
    item: str = ""
    """Which job of its stage: size, budget, seed, strategy, domain, shard."""
    state: str
    """`running`, `done`, `failed` or `stopped`."""
    message: str = ""
    """Present activity of a running job; reason in one line why a job failed."""
    done: int | None = None
    """Amount of the present activity that is done, in `unit`."""
    total: int | None = None
    """Amount to be done, where it is known."""
    unit: str = ""
    """Unit of `done` and `total`."""
    tokens_per_second: float | None = None
    """Throughput of a training."""
    seconds_left: float | None = None
    """Expected seconds until `total` is reached."""
    nothing_to_do: bool = False
    """Whether all models that the job had to train were stored already."""
    out: str = ""
    """Path of the output that the job was started with."""
    started: float
    """When the job started, in seconds since the epoch."""
    written: float
    """When this file was written, in seconds since the epoch."""
    host: str
    """Machine that the job runs on."""
    pid: int
    """Process id of the job on that machine."""
    slurm_job_id: str | None = None
    """Id of the Slurm job that it belongs to."""

    @property
    def fraction(self) -> float | None:
        """Fraction of `total` that is done, from 0 to 1."""
        if self.done is None or not self.total:
            return None
        return min(self.done / self.total, 1.0)

    def is_lost(self, now: float) -> bool:
        """Whether the job ended without recording its end, as a killed process does.

        `now` is in seconds since the epoch. On this machine the process is looked up; a process on
        another machine is lost when its status is older than `LOST_AFTER`.
        """
        if self.state != RUNNING:
            return False
        gone = self.host == socket.gethostname() and not _exists(self.pid)
        return gone or now - self.written > LOST_AFTER


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        return True
    return True


def item_of(names: Mapping[str, Any]) -> str:
    """Name of a job within its stage, from its arguments or wildcards: `w16 seed0 law`."""
    parts = []
    for key in ("size", "budget", "seed", "strategy", "domain", "shard"):
        value = names.get(key)
        if value is not None and ("size" in names or key != "seed"):  # else a seed names no job
            parts.append(f"{key}{value}" if key in ("seed", "shard") else str(value))
    return " ".join(parts)


def read_status(file: Path) -> Status | None:
    """The content of a status file; None if it is missing or not a status file."""
    try:
        content = read_json(file)
        return Status(**{key: value for key, value in content.items() if key in _FIELDS})
    except (UserError, TypeError):
        return None


_FIELDS = frozenset(field.name for field in fields(Status))


class StatusReader:
    """All status files below a results folder; those of ended jobs are read once."""

    def __init__(self, results: Path) -> None:
        self.folder = results / FOLDER
        self._known: dict[Path, tuple[int, Status | None]] = {}

    def read(self) -> list[Status]:
        """The current statuses, sorted by file name."""
        known = {}
        for file in sorted(self.folder.glob("*.json")):
            before = self._known.get(file)
            try:
                modified = file.stat().st_mtime_ns
            except OSError:
                continue  # deleted in the meantime
            # NFS may return an old time for up to a minute, but opens the present file.
            running = before and before[1] and before[1].state == RUNNING
            if before and before[0] == modified and not running:
                known[file] = before
            else:
                known[file] = (modified, read_status(file))
        self._known = known
        return [status for _, status in known.values() if status is not None]
