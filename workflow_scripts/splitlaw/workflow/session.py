"""Sessions: one workflow at a time in a folder, and the recovery from one that was killed.

A session is one run of Snakemake that has jobs to do. It is recorded in `RECORDS` while it lasts,
so that the next one can determine whether Snakemake's lock belongs to a workflow that was killed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json
from splitlaw.scheduling import slurm
from splitlaw.scheduling.slurm import QueuedJob

RECORDS, LOCKS = Path(".snakemake/splitlaw"), Path(".snakemake/locks")
SCRIPT = "workflow_scripts/resume.py"
CANCEL_SECONDS = 180.0
"""Time for cancelled jobs to write their states and end. Slurm waits 30 seconds by default, and two
minutes where `--signal=TERM@120` is set."""
NO_JOBS = (
    "-n --dry-run --dryrun --unlock --lint --list --list-rules --list-target-rules --dag "
    "--rulegraph --filegraph --d3dag --summary --detailed-summary --version --report"
).split()
"""Options of Snakemake with which it runs no job."""
SHOWN_JOBS = 4
"""Number of jobs that a message names, so that it stays one readable line."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A recorded Snakemake process that has not ended properly."""

    file: Path
    """Its record."""
    host: str
    """Name of its machine."""
    pid: int
    """Its process id there."""
    command: str
    """The command that started it."""
    began: float
    """When it began, in seconds since the epoch."""

    @property
    def alive(self) -> bool | None:
        """Whether the process exists; None on another machine, where this is unknown."""
        if self.host != socket.gethostname():
            return None
        try:
            return any("snakemake" in part for part in psutil.Process(self.pid).cmdline())
        except psutil.Error:
            return False


def sessions() -> list[Session]:
    """Every recorded session of the current folder."""
    found = []
    for file in sorted(RECORDS.glob("*.json")):
        record = read_json(file)
        record.pop("schema_version", None)
        found.append(Session(file=file, **record))
    return found


def begin(arguments: Sequence[str]) -> Path:
    """Record this process, started by the command `arguments`, as a session; return the record."""
    host, pid = socket.gethostname(), os.getpid()
    file = RECORDS / f"{host}-{pid}.json"
    command = " ".join(arguments)
    write_json(file, {"host": host, "pid": pid, "command": command, "began": time.time()})
    return file


def end() -> None:
    """Remove the records of this process and of processes that were killed on this machine."""
    for session in sessions():
        if session.pid == os.getpid() or session.alive is False:
            session.file.unlink(missing_ok=True)


def began() -> float:
    """When the earliest recorded session began, in seconds since the epoch."""
    return min((session.began for session in sessions()), default=time.time())


def is_dry_run(arguments: Iterable[str]) -> bool:
    """Whether Snakemake runs no job with these arguments."""
    short = [part for part in arguments if part.startswith("-") and not part.startswith("--")]
    return any("n" in part for part in short) or any(
        part.split("=")[0] in NO_JOBS for part in arguments
    )


def check_lock(arguments: Sequence[str]) -> None:
    """Report the lock of a workflow that was killed, its remaining jobs and how to resume it.

    `arguments` are those of this Snakemake.
    """
    if is_dry_run(arguments) or not is_locked():
        return
    recorded = sessions()
    if any(session.alive for session in recorded) or snakemake_runs_here():
        return  # Snakemake itself reports the conflict with a running workflow.
    elsewhere = [session for session in recorded if session.alive is None]
    if elsewhere:
        raise UserError(
            f".snakemake/locks: a workflow on {elsewhere[0].host} (process {elsewhere[0].pid}) "
            "has locked this folder; wait for it or, if it was killed, resume it with: "
            f"{resume_command(['--ignore-provenance', *arguments])}"
        )
    jobs = remaining_jobs()
    remaining = f"; {len(jobs)} of its jobs are still queued: {describe(jobs)}" if jobs else ""
    raise UserError(
        f".snakemake/locks: a workflow was killed here and left its lock{remaining}; resume it "
        f"with: {resume_command(arguments)}"
    )


def check_orphans(arguments: Sequence[str]) -> None:
    """Refuse to start while jobs of a killed workflow are still queued."""
    jobs = [] if snakemake_runs_here() else queued_jobs()
    if jobs:
        raise UserError(
            f"squeue: jobs of a killed workflow are still queued: {describe(jobs)}; cancel them "
            f"and resume with: {resume_command(arguments)}"
        )


def resume(*, ignore_provenance: bool, seconds: float = CANCEL_SECONDS) -> list[str]:
    """Cancel the jobs of a killed workflow, wait for their end and remove its lock.

    Return what was done, one line each. Cancelled jobs receive SIGTERM and write their state, from
    which the next run resumes. With `ignore_provenance`, a workflow on another machine is taken for
    killed.
    """
    active = [session for session in sessions() if session.alive is not False]
    if snakemake_runs_here() or (active and not ignore_provenance):
        where = f" on {active[0].host}, process {active[0].pid}" if active else ""
        unknown = bool(active) and active[0].alive is None
        raise UserError(
            f".snakemake: a workflow is running here{where}; wait for it, or stop it first"
            + ("; if it was killed, add --ignore-provenance" if unknown else "")
        )
    done = []
    if jobs := remaining_jobs():
        cancel(jobs, seconds)
        done.append(f"cancelled: {describe(jobs)}")
    if is_locked():
        shutil.rmtree(LOCKS)
        done.append("the lock is removed")
    return done


def cancel(jobs: Sequence[QueuedJob], seconds: float) -> None:
    """Cancel jobs and wait for their end, at most `seconds`."""
    slurm.run_command("scancel", *(job.identifier for job in jobs))
    deadline = time.monotonic() + seconds
    while remaining := queued_jobs():
        if time.monotonic() > deadline:
            raise UserError(
                f"scancel: jobs of the killed workflow have not ended: {describe(remaining)}; "
                "inspect them with squeue and try again"
            )
        time.sleep(1)


def is_locked() -> bool:
    """Whether Snakemake's lock of the current folder is set."""
    return LOCKS.is_dir() and any(LOCKS.iterdir())


def queued_jobs() -> list[QueuedJob]:
    """Jobs that were submitted from the current folder and have not ended."""
    return slurm.queued_jobs(str(Path.cwd()))


def remaining_jobs() -> list[QueuedJob]:
    """Queued jobs of a killed workflow; none where this machine belongs to no cluster.

    An error of squeue is raised if a recorded workflow used Slurm, since its jobs may still run.
    """
    if not shutil.which("squeue"):
        return []
    try:
        return queued_jobs()
    except UserError:
        if any("slurm" in session.command for session in sessions()):
            raise
        return []


def describe(jobs: Sequence[QueuedJob]) -> str:
    """The first few jobs as text."""
    names = [f"{job.identifier} {job.name} {job.state.lower()}" for job in jobs[:SHOWN_JOBS]]
    more = f" and {len(jobs) - SHOWN_JOBS} more" if len(jobs) > SHOWN_JOBS else ""
    return ", ".join(names) + more


def resume_command(arguments: Sequence[str]) -> str:
    """The command that resumes, with the project's own Python where it has one."""
    own, here = Path(sys.executable), Path.cwd()
    python = str(own.relative_to(here)) if own.is_relative_to(here) else "python"
    named = any(word == "-s" or word.startswith("--snakefile") for word in arguments)
    script = str(Path(__file__).parents[2] / Path(SCRIPT).name) if named else SCRIPT
    return shlex.join([python, script, *arguments])


def snakemake_runs_here() -> bool:
    """Whether another Snakemake of this machine runs in the current folder.

    Jobs are Snakemake processes as well; they are recognised by `--mode`.
    """
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        parts = process.info["cmdline"] or []
        main = any(Path(part).name == "snakemake" for part in parts[:3]) and "--mode" not in parts
        if main and process.info["cwd"] == str(Path.cwd()) and process.info["pid"] not in family:
            return True
    return False
