"""Why jobs ended: their own message, the scheduler's reason, or the end of a log."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitlaw.common.errors import no_room_line
from splitlaw.common.status import DONE, FAILED, RUNNING, STOPPED
from splitlaw.workflow.stages import CLOCK_SKEW, Job

TAIL = 20
"""Lines shown at the end of a log: a traceback's last calls and its error fit in half a screen."""

SLURM_LINES = 2000
"""Lines of Slurm's log that are searched for its reason, which messages of Snakemake follow."""

NAMED = 4
"""Number of jobs named where many end together: their names fit in a line or two."""

FULL = 1 << 20
"""Free bytes below which a disk is full. A job then cannot write why it failed; its partial files
are removed when it ends, so that some space is free afterwards."""

NO_REASON = "the scheduler ended it without a reason"
"""For example where a job has just finished when its time limit is reached."""


@dataclass(frozen=True, kw_only=True)
class End:
    """Why jobs ended."""

    lines: Sequence[str]
    """Lines to print."""
    logs: Sequence[Path]
    """Files to read more in."""
    stopped: bool = False
    """Whether the jobs were stopped on request and can resume."""


def explain_end(jobs: Sequence[Job], scheduled: Sequence[Path]) -> End:
    """Determine why the jobs of one scheduler's job ended, or a job without a scheduler.

    `scheduled` are the scheduler's logs. The status of each job must be up to date.
    """
    states = {job.status.state for job in jobs if job.status is not None}
    failed = [job for job in jobs if job.status is not None and job.status.state == FAILED]
    # A wrong call or a broken environment ends a job before it writes a status.
    broken = [job for job in jobs if job.status is None and _written_since(job)]
    if failed:
        return _from_jobs(failed)
    if reasons := slurm_reasons(scheduled):
        return End(lines=reasons[:1], logs=scheduled)
    if STOPPED in states:
        return End(lines=[], logs=[], stopped=True)
    if full := _full_disk(jobs):
        return End(lines=[full], logs=[])
    if broken and DONE not in states | {RUNNING}:
        return _from_jobs(broken)
    if scheduled:
        return End(lines=[NO_REASON], logs=scheduled)
    return End(lines=[_killed(jobs)], logs=[log for job in jobs for log in job.logs])


def _from_jobs(jobs: Sequence[Job]) -> End:
    """The message of each job to the user, else the end of its log with the traceback."""
    lines: list[str] = []
    for job in jobs:
        message = job.status.message if job.status else ""
        if message.startswith("error: "):
            lines.append(message)
        else:
            lines.append("\n".join(tail(job.logs)) or message or "failed without a message")
    return End(lines=list(dict.fromkeys(lines)), logs=[log for job in jobs for log in job.logs])


def _full_disk(jobs: Sequence[Job]) -> str:
    """A message if there is no space for logs; empty otherwise."""
    folders = sorted({log.parent for job in jobs for log in job.logs if log.parent.is_dir()})
    full = [folder for folder in folders if shutil.disk_usage(folder).free < FULL]
    return f"error: {no_room_line(full[0])}" if full else ""


def _killed(jobs: Sequence[Job]) -> str:
    shares = [job.measured for job in jobs if job.measured is not None]
    at = f" at {100 * shares[0]:.0f}%" if len(shares) == 1 else ""
    return f"it ended{at} without a message: it was killed or ran out of memory"


def named(jobs: Sequence[Job]) -> str:
    """The names of the first few jobs."""
    names = sorted(job.name for job in jobs)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def tail(files: Sequence[Path], number: int = TAIL) -> list[str]:
    """The last lines of logs; a bar that is redrawn with carriage returns is one line."""
    found: deque[str] = deque(maxlen=number)
    for file in files:
        try:
            with file.open(encoding="utf-8", errors="replace") as stream:
                found.extend(line for line in stream if line.strip())
        except OSError:
            continue
    return [line.rstrip().rsplit("\r", 1)[-1] for line in found]


def slurm_reasons(files: Sequence[Path]) -> list[str]:
    """The reasons that Slurm wrote into the logs of its job when it ended it, the cause first."""
    lines = [line for file in files for line in tail([file], SLURM_LINES)]
    found = [line.partition("error: ")[2] for line in lines if line.startswith("slurmstepd")]
    return list(dict.fromkeys(reason.strip("* ") for reason in found))


def _written_since(job: Job) -> bool:
    """Whether the job has written a log since it was started; an earlier run may have left one."""
    try:
        return any(log.stat().st_mtime >= job.clock_time - CLOCK_SKEW for log in job.logs)
    except OSError:
        return False
