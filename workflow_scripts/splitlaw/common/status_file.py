"""Writing the status file of this job while it runs; see `splitlaw.common.status`."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from splitlaw.common.errors import UserError, one_line
from splitlaw.common.files import write_json
from splitlaw.common.stages import stage_of
from splitlaw.common.status import (
    DONE,
    FAILED,
    FOLDER,
    HEARTBEAT,
    INTERVAL,
    RUNNING,
    STOPPED,
    Status,
    item_of,
    read_status,
)

EXPERIMENT = "experiment.json"
"""File that a workflow writes into the results folder of an experiment before its first job."""


class Measured(Protocol):
    """An object that counts the progress of a job, see `splitlaw.common.progress`."""

    name: str
    done: int
    total: int | None
    unit: str

    @property
    def throughput(self) -> float | None:
        """Units per second."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the total is reached."""


class StatusFile:
    """Context that keeps the status file of this job up to date, from a thread of its own.

    The thread writes at most once every `INTERVAL`; the end of the job is written at once. A
    training loop only adds to a counter, and never waits for the file system.
    """

    def __init__(self, file: Path, *, stage: str, item: str = "", out: str = "") -> None:
        self.file = file
        self._job = Status(
            stage=stage,
            item=item,
            state=RUNNING,
            out=out,
            started=time.time(),
            written=0.0,
            host=socket.gethostname(),
            pid=os.getpid(),
            slurm_job_id=os.environ.get("SLURM_JOB_ID"),
        )
        self._written = self._job
        self._progress: Measured | None = None
        self._to_train: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="status", daemon=True)

    def __enter__(self) -> StatusFile:
        """Write that the job is running."""
        global _current
        _current = self
        self._write(self._job)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Write how the job ended."""
        global _current
        _current = None
        handed_over = self._ended.is_set()
        self._stop()
        state, message = _ending(error)
        status = self._present()
        if handed_over:
            status = read_status(self.file) or status
            if status.state in (state, FAILED):
                return  # the other process has recorded the end, with its message
        elif state == DONE:
            status = replace(status, nothing_to_do=self._to_train == 0)
        self._write(replace(status, state=state, message=message, seconds_left=None))

    def follow(self, progress: Measured) -> None:
        """Report the amounts and the throughput of `progress`."""
        self._progress = progress
        if progress.unit == "tokens":
            self._to_train = (self._to_train or 0) + (progress.total or 0)

    def forget(self, progress: Measured) -> None:
        """Stop reporting `progress`, unless it counts tokens: training is all of a job's work."""
        if self._progress is progress and progress.unit != "tokens":
            self._progress = None

    def hand_over(self) -> None:
        """Let another process that this one starts write the status, until this one ends."""
        self._stop()

    def _stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_writing(self) -> None:
        while not self._ended.wait(INTERVAL):
            status = self._present()
            changed = replace(status, written=self._written.written) != self._written
            if changed or status.written - self._written.written >= HEARTBEAT:
                self._write(status)

    def _present(self) -> Status:
        progress = self._progress
        status = replace(self._job, written=time.time())
        if progress is None:
            return status
        return replace(
            status,
            message=progress.name,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
            tokens_per_second=progress.throughput if progress.unit == "tokens" else None,
            seconds_left=progress.seconds_left,
        )

    def _write(self, status: Status) -> None:
        self._written = replace(status, written=time.time())
        # No status must end a job. A full disk does so where results are written, with a message.
        with suppress(OSError, UserError):
            write_json(self.file, asdict(self._written))


_current: StatusFile | None = None


def current() -> StatusFile | None:
    """The status file of this process, None where it writes none."""
    return _current


def _ending(error: BaseException | None) -> tuple[str, str]:
    """State and message of a job that ended with `error`."""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        # A shell gives 128 and the signal's number as the exit status of a process.
        return (DONE if code == 0 else STOPPED if code > 128 else FAILED), ""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, ""
    if error is None:
        return DONE, ""
    line = one_line(error)
    return FAILED, f"error: {line}" if line else f"{type(error).__name__}: {error}"


def job_status(
    command: str, arguments: Mapping[str, Any]
) -> AbstractContextManager[StatusFile | None]:
    """The status file of a command with these arguments, or a context that writes none.

    A command that does not work on the results of an experiment writes none, and of the processes
    of one training only the first does.
    """
    results = results_folder(arguments)
    if results is None or os.environ.get("RANK", "0") != "0":
        return nullcontext()
    item = item_of(arguments) or _folders(Path(arguments.get("out") or ""), results)
    name = "-".join([command, *item.split()])
    return StatusFile(
        results / FOLDER / f"{name}.json",
        stage=stage_of(command),
        item=item,
        # Shards have an output in common, and are found by their item.
        out="" if arguments.get("shard") is not None else str(arguments.get("out") or ""),
    )


def results_folder(arguments: Mapping[str, Any]) -> Path | None:
    """The results folder of the experiment that a command with these arguments works on.

    It is `results` where the command writes into it, else the folder at or above `out` that a
    workflow has made.
    """
    given, out = arguments.get("results"), arguments.get("out")
    if given and out and Path(out).is_relative_to(given):
        return Path(given)
    places = [Path(given)] if given else []
    places += [Path(out), *Path(out).parents] if out else []
    return next((place for place in places if (place / EXPERIMENT).is_file()), None)


def _folders(out: Path, results: Path) -> str:
    """Folders of an output below its first one: `w16 14336` of `split/w16/14336/plan.json`."""
    if not out.is_relative_to(results):
        return ""
    return " ".join(out.relative_to(results).parts[1:-1])
