"""What a Slurm site allows, told before anything is submitted."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from splitlaw.common.errors import UserError

PROFILE = "slurm/profile.yaml"


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The largest job that a partition takes."""

    name: str
    """Its name."""
    minutes: float
    """Its time limit; infinite where it has none."""
    gpus: int
    """GPUs of the node that has most of them."""
    gpu_types: frozenset[str]
    """Their kinds, where the site names them."""
    cpus: int
    """CPUs of the largest node."""
    memory_mb: int
    """Memory of the largest node."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one job asks for."""

    job: str
    """Name of the rule or group."""
    partition: str
    """Where it is to run."""
    minutes: float = 0
    gpus: int = 0
    gpu_type: str = ""
    cpus: int = 1
    memory_mb: int = 0


def ask(*words: str) -> str:
    """What a Slurm command answers."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except OSError:
        raise UserError(
            f"{words[0]} is not installed here; start the workflow on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{words[0]} does not answer; is the controller down? try again later"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.split())[-200:]
        raise UserError(f"{words[0]} fails ({reason}); is the controller down? try again later")
    return done.stdout


def partitions() -> dict[str, Partition]:
    """All partitions of the cluster."""
    return read_partitions(ask("sinfo", "--noheader", "--format", "%R|%l|%G|%c|%m"))


def read_partitions(text: str) -> dict[str, Partition]:
    """Partitions from lines `name|time limit|generic resources|cpus|memory` of `sinfo`."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, limit, resources, cpus, memory = line.split("|")
        gpus, kinds = read_gpus(resources)
        here = Partition(
            name=name,
            minutes=read_minutes(limit),
            gpus=gpus,
            gpu_types=kinds,
            cpus=int(cpus.rstrip("+")),
            memory_mb=int(memory.rstrip("+")),
        )
        before = found.get(name, here)
        found[name] = replace(
            here,
            gpus=max(gpus, before.gpus),
            gpu_types=kinds | before.gpu_types,
            cpus=max(here.cpus, before.cpus),
            memory_mb=max(here.memory_mb, before.memory_mb),
        )
    return found


def read_minutes(limit: str) -> float:
    """Minutes of a limit like `infinite`, `30:00`, `1:00:00` or `2-00:00:00`."""
    if limit in ("infinite", "UNLIMITED", "n/a"):
        return math.inf
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes, seconds = ([0] * (3 - len(parts)) + parts)[:3]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def read_gpus(resources: str) -> tuple[int, frozenset[str]]:
    """GPUs of a node and their kinds from `gpu:4`, `gpu:a100:4(S:0-1)` or `(null)`."""
    entries = re.findall(r"gpu(?::([A-Za-z][\w.-]*))?:(\d+)", resources)
    kinds = frozenset(kind for kind, _ in entries if kind)
    return sum(int(count) for _, count in entries), kinds


def request(job: str, resources: Mapping[str, object]) -> Request:
    """The request of a Snakemake job, from its resources."""
    gpus, kinds = read_gpus(str(resources.get("gres") or ""))
    return Request(
        job=job,
        partition=str(resources.get("slurm_partition") or ""),
        minutes=float(str(resources.get("runtime") or 0)),
        gpus=gpus,
        gpu_type=next(iter(kinds), ""),
        cpus=int(str(resources.get("cpus_per_task") or resources.get("_cores") or 1)),
        memory_mb=int(str(resources.get("mem_mb") or 0)),
    )


def check(requests: Iterable[Request], known: Mapping[str, Partition]) -> None:
    """Refuse a request that no node of its partition could ever serve.

    The longest comes first, so that a runtime that serves it serves all.
    """
    for wanted in sorted(requests, key=lambda each: (-each.minutes, each.job)):
        if not wanted.partition:
            continue  # the site's default partition
        if wanted.partition not in known:
            raise UserError(
                f"{PROFILE}: {wanted.job} goes to the partition {wanted.partition}, which does "
                f"not exist; the partitions are {', '.join(sorted(known))}"
            )
        _check_one(wanted, known[wanted.partition], known)


def _check_one(wanted: Request, here: Partition, known: Mapping[str, Partition]) -> None:
    where = f"{PROFILE}: {wanted.job} asks for"
    if wanted.gpus and not here.gpus:
        others = [name for name, partition in sorted(known.items()) if partition.gpus]
        remedy = f"set gpu_partition to {' or '.join(others)}" if others else "remove gpu_partition"
        raise UserError(f"{where} a GPU on the partition {here.name}, which has none; {remedy}")
    if wanted.gpus > here.gpus:
        raise UserError(
            f"{where} {wanted.gpus} GPUs of one node, the nodes of {here.name} have "
            f"{here.gpus}; lower execution.processes"
        )
    if wanted.gpu_type and here.gpu_types and wanted.gpu_type not in here.gpu_types:
        raise UserError(
            f"{where} a GPU of type {wanted.gpu_type}, {here.name} has "
            f"{', '.join(sorted(here.gpu_types))}; set gpu_type to one of them or remove it"
        )
    if wanted.minutes > here.minutes:
        raise UserError(
            f"{where} {wanted.minutes:.0f} minutes, the partition {here.name} allows "
            f"{here.minutes:.0f}; lower runtime, or set max_runtime: {here.minutes:.0f} and a "
            "training that needs longer goes on in a retry"
        )
    for what, number, most in (
        ("CPUs", wanted.cpus, here.cpus),
        ("MB of memory", wanted.memory_mb, here.memory_mb),
    ):
        if number > most:
            raise UserError(
                f"{where} {number} {what}, the largest node of {here.name} has {most}; choose "
                "another partition, or lower runs in the profile's resources"
            )


@dataclass(frozen=True, kw_only=True)
class Queued:
    """One of the user's jobs."""

    identifier: str
    """Slurm's number of it."""
    state: str
    """RUNNING, PENDING, ..."""
    what: str
    """Rule or group and wildcards, as Snakemake notes them."""


def queued(folder: str) -> list[Queued]:
    """The user's jobs that a Snakemake in `folder` submitted and that have not ended."""
    listing = ask("squeue", "--me", "--noheader", "--format", "%i|%T|%Z|%k")
    rows = [line.split("|", 3) for line in listing.splitlines() if line.count("|") >= 3]
    return [
        Queued(identifier=identifier, state=state, what=comment.split("_", 1)[1])
        for identifier, state, place, comment in rows
        if place == folder and comment.startswith(("rule_", "group_"))
    ]
