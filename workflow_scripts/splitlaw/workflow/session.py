"""One workflow at a time in a folder: who runs here, who was killed, what is left of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from splitlaw.common.errors import UserError
from splitlaw.common.files import canonical_json, read_json, write_json
from splitlaw.scheduling import slurm as cluster
from splitlaw.scheduling.slurm import Queued

RECORDS, LOCKS = Path(".snakemake/splitlaw"), Path(".snakemake/locks")
SCRIPT = "workflow_scripts/resume.py"
LOOKS = (
    "-n --dry-run --dryrun --unlock --lint --list --list-rules --list-target-rules --dag "
    "--rulegraph --filegraph --d3dag --summary --detailed-summary --version --report"
).split()


@dataclass(frozen=True, kw_only=True)
class Session:
    """A Snakemake that began to work in this folder and has not said that it ended."""

    file: Path
    """Its record."""
    host: str
    pid: int
    command: str
    """What a person types to start it again."""
    began: float
    """When, in seconds since the epoch."""

    @property
    def alive(self) -> bool | None:
        """Whether it still runs; None where another machine knows."""
        if self.host != socket.gethostname():
            return None
        try:
            return any("snakemake" in word for word in psutil.Process(self.pid).cmdline())
        except psutil.Error:
            return False


def sessions() -> list[Session]:
    """Every session on record in the current folder."""
    found = []
    for file in sorted(RECORDS.glob("*.json")):
        about = json.loads(file.read_text())
        about.pop("schema_version", None)
        found.append(Session(file=file, **about))
    return found


def begin(words: list[str]) -> Path:
    """Record that this process works here; gives the record, for `end`."""
    file = RECORDS / f"{socket.gethostname()}-{os.getpid()}.json"
    about = {"host": socket.gethostname(), "pid": os.getpid(), "command": " ".join(words)}
    write_json(file, {**about, "began": time.time()})
    return file


def end() -> None:
    """Remove the records of this process and of those that were killed on this machine."""
    for session in sessions():
        if session.pid == os.getpid() or session.alive is False:
            session.file.unlink(missing_ok=True)


def since() -> float:
    """When the work began that no session has ended properly yet."""
    return min((session.began for session in sessions()), default=time.time())


def only_looks(words: list[str]) -> bool:
    """Whether a Snakemake command line starts no work."""
    return any(word.split("=")[0] in LOOKS for word in words) or any(
        word.startswith("-") and not word.startswith("--") and "n" in word for word in words
    )


def check_lock(words: list[str]) -> None:
    """Tell of a lock that a killed workflow left behind, and of its jobs that still run."""
    if only_looks(words) or not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    known = sessions()
    if any(session.alive for session in known) or _others_here():
        return  # Snakemake itself refuses what clashes with a workflow that lives
    elsewhere = [session for session in known if session.alive is None]
    if elsewhere:
        raise UserError(
            f".snakemake/locks: a workflow on {elsewhere[0].host} (process {elsewhere[0].pid}) "
            f"holds this folder; wait for it or, if it was killed, go on with: {_resume_command()} "
            f"--ignore-provenance{_words(words)}"
        )
    raise UserError(
        f".snakemake/locks: a workflow was killed here and left its lock{_left()}; go on with: "
        f"{_resume_command()}{_words(words)}"
    )


def check_orphans(words: list[str]) -> None:
    """Refuse to start beside jobs of a workflow that was killed."""
    if _others_here():
        return
    orphans = cluster.queued(str(Path.cwd()))
    if orphans:
        raise UserError(
            f"squeue: jobs of a killed workflow are still there{name(orphans)}; stop them and go "
            f"on with: {_resume_command()}{_words(words)}"
        )


def name(orphans: list[Queued]) -> str:
    """The first few jobs in words."""
    listed = ", ".join(f"{job.identifier} {job.what} {job.state.lower()}" for job in orphans[:4])
    more = f" and {len(orphans) - 4} more" if len(orphans) > 4 else ""
    return f": {listed}{more}" if orphans else ""


def resume(*, ignore_provenance: bool, seconds: float = 180) -> list[str]:
    """Stop the jobs of a killed workflow, wait for their end, and take its lock away.

    Gives what was done, a line each. The jobs are asked to end with SIGTERM, save their state, and
    go on from it in the next run.
    """
    blocking = [session for session in sessions() if session.alive or session.alive is None]
    if _others_here() or (blocking and not ignore_provenance):
        who = blocking[0] if blocking else None
        where = f" on {who.host}, process {who.pid}" if who else ""
        raise UserError(
            f".snakemake: a workflow runs here{where}; wait for it, or stop it first"
            + ("" if not who or who.alive else "; if it was killed, add --ignore-provenance")
        )
    done = []
    if shutil.which("squeue"):
        done += _cancel_orphans(seconds)
    if LOCKS.is_dir() and any(LOCKS.iterdir()):
        shutil.rmtree(LOCKS)
        done.append("the lock is removed")
    return done


def _cancel_orphans(seconds: float) -> list[str]:
    orphans = cluster.queued(str(Path.cwd()))
    if not orphans:
        return []
    cluster.ask("scancel", *(job.identifier for job in orphans))
    deadline = time.monotonic() + seconds
    while cluster.queued(str(Path.cwd())):
        if time.monotonic() > deadline:
            raise UserError(
                f"scancel: jobs of the killed workflow do not end{name(orphans)}; look at squeue "
                "and try again"
            )
        time.sleep(1)
    return [f"stopped{name(orphans)}"]


def _left() -> str:
    if not shutil.which("squeue"):
        return ""
    orphans = cluster.queued(str(Path.cwd()))
    return f", and {len(orphans)} jobs that are still there{name(orphans)}" if orphans else ""


def _resume_command() -> str:
    """The command that goes on, with the project's own Python where it has one."""
    own, here = Path(sys.executable), Path.cwd()
    return f"{own.relative_to(here) if own.is_relative_to(here) else 'python'} {SCRIPT}"


def _words(words: list[str]) -> str:
    return "".join(f" {shlex.quote(word)}" for word in words)


def _others_here() -> bool:
    """Whether another Snakemake of this machine works in this folder."""
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        main = any(Path(word).name == "snakemake" for word in words[:3]) and "--mode" not in words
        if main and process.info["cwd"] == str(Path.cwd()) and process.info["pid"] not in family:
            return True
    return False


def check_results(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse a results folder that cannot be written, or that another configuration filled.

    Until a grid is trained, a sweep may still change the rule of the learning rate.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as cause:
        raise UserError(
            f"{folder}: cannot be written ({cause.strerror}); mend its permissions or make room"
        ) from None
    record = folder / "experiment.json"
    if record.exists():
        before = read_json(record)
        if not (folder / "runs").exists():
            before["training"] = {**before.get("training", {}), **rates_of(identity)}
        difference = first_difference(before, identity)
        if difference:
            raise UserError(
                f"{folder}: made by another configuration ({difference}); give `experiment` "
                "another name, or move the folder away"
            )
    write_json(record, identity)


def rates_of(identity: dict[str, Any]) -> dict[str, Any]:
    """The rule of the learning rate, which a sweep is there to change."""
    keys = ("learning_rate", "reference_params", "learning_rate_exponent")
    return {key: value for key, value in identity["training"].items() if key in keys}


def first_difference(before: Any, now: Any, key: str = "") -> str:
    """The first key that both have with another value; what only one has is an addition."""
    if isinstance(before, dict) and isinstance(now, dict):
        for part in before.keys() & now.keys():
            found = first_difference(before[part], now[part], f"{key}.{part}".lstrip("."))
            if found and part != "schema_version":
                return found
        return ""
    if canonical_json(before) == canonical_json(now):
        return ""
    return f"{key} was {canonical_json(before)}, is {canonical_json(now)}"
