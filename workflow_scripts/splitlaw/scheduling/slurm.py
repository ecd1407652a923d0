"""Check requests against the limits of a Slurm cluster, and list its queued jobs."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from splitlaw.common.errors import UserError

PROFILE = "slurm/profile.yaml"
UNITS = {"": 1, "s": 1 / 60, "m": 1, "min": 1, "h": 60, "d": 1440, "w": 10080}
"""Minutes in each unit of `max_runtime`, which are those of Snakemake's `runtime`."""
GPUS_PER_NODE = "--gpus-per-node"
"""Option that requests GPUs of a type whose name Snakemake refuses in `gres`."""
ANSWER_SECONDS = 60
"""Time limit of a Slurm command; a busy controller may take some tens of seconds."""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Limits of one partition."""

    name: str
    """Its name."""
    minutes: float
    """Time limit; infinite if there is none."""
    gpus: int
    """Largest number of GPUs of a node."""
    gpu_types: frozenset[str]
    """Types of the GPUs, where the site declares them."""
    cpus: int
    """Largest number of CPUs of a node."""
    memory_mb: int
    """Largest memory of a node."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Resources that one job requests."""

    job: str
    """Name of the rule or group."""
    partition: str
    """Partition; empty for the default of the site."""
    minutes: float = 0
    """Runtime."""
    gpus: int = 0
    """Number of GPUs."""
    gpu_type: str = ""
    """Type of the GPUs; empty for any."""
    cpus: int = 1
    """Number of CPUs."""
    memory_mb: int = 0
    """Memory."""


def run_command(*arguments: str) -> str:
    """Run a Slurm command and return its output."""
    program = arguments[0]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except OSError:
        raise UserError(
            f"{program} is not installed here; start the workflow on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{program} does not answer; check that the controller is running and try again"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.split())[-200:]
        raise UserError(
            f"{program} failed ({reason}); check that the controller is running and try again"
        )
    return done.stdout


def partitions() -> dict[str, Partition]:
    """All partitions of the cluster."""
    return read_partitions(run_command("sinfo", "--noheader", "--format", "%R|%l|%G|%c|%m"))


def read_partitions(text: str) -> dict[str, Partition]:
    """Partitions from lines `name|time limit|generic resources|cpus|memory` of `sinfo`.

    A partition has one line for each kind of node; the limits are those of the largest. Other
    lines are messages of the site.
    """
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        if line.count("|") != 4:
            continue
        name, limit, resources, cpus, memory = line.split("|")
        gpus, gpu_types = read_gpus(resources)
        here = Partition(
            name=name,
            minutes=read_minutes(limit),
            gpus=gpus,
            gpu_types=gpu_types,
            cpus=int(cpus.rstrip("+")),
            memory_mb=int(memory.rstrip("+")),
        )
        before = found.get(name, here)
        found[name] = replace(
            here,
            gpus=max(gpus, before.gpus),
            gpu_types=gpu_types | before.gpu_types,
            cpus=max(here.cpus, before.cpus),
            memory_mb=max(here.memory_mb, before.memory_mb),
        )
    return found


def read_max_runtime(value: object) -> float:
    """Minutes of `max_runtime` in a profile: a number, `2d`, `36h`, `2d 12h`, or as in `sinfo`.

    Raises `UserError` for other values; no value is infinite.
    """
    text = str(value or "infinite").strip()
    parts = re.findall(r"([0-9.]+)\s*([a-z]*)", text.lower())
    try:
        if re.fullmatch(r"(?:[0-9.]+\s*[a-z]*\s*)+", text.lower()):
            return sum(float(number) * UNITS[unit] for number, unit in parts)
        return read_minutes(text)
    except (KeyError, ValueError):
        raise UserError(
            f"{PROFILE}: max_runtime is {text}; give minutes, or a time like 2d, 36h, 2-12:00:00"
        ) from None


def read_minutes(limit: str) -> float:
    """Minutes of a time limit such as `infinite`, `30:00`, `1:00:00` or `2-00:00:00`."""
    if limit.lower() in ("infinite", "unlimited", "n/a"):
        return math.inf
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes, seconds = ([0] * (3 - len(parts)) + parts)[:3]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def read_gpus(resources: str) -> tuple[int, frozenset[str]]:
    """Number and types of GPUs from resources such as `gpu:4`, `gpu:3090:4(S:0-1)` or `(null)`."""
    count, gpu_types = 0, set()
    for entry in re.sub(r"\([^)]*\)", "", resources).split(","):
        name, *rest = entry.strip().split(":")
        if name != "gpu":
            continue
        number = rest.pop() if rest else "1"
        if not number.isdecimal():  # a type without a number is one GPU
            rest, number = [number], "1"
        count += int(number)
        gpu_types |= {gpu_type for gpu_type in rest if gpu_type != "(null)"}
    return count, frozenset(gpu_types)


def request(job: str, resources: Mapping[str, object]) -> Request:
    """The request of a Snakemake job, from its resources.

    `mem_mb_per_cpu`, which a site may set, takes precedence over `mem_mb` in the Slurm plugin; what
    it gives the job must suffice for `mem_mb`, or a job would be killed for its memory after hours.
    """
    extra = re.search(rf"{GPUS_PER_NODE}=(\S+)", str(resources.get("slurm_extra") or ""))
    gpus, gpu_types = read_gpus(f"gpu:{extra[1]}" if extra else str(resources.get("gres") or ""))
    cpus = int(str(resources.get("cpus_per_task") or resources.get("_cores") or 1))
    memory_mb = int(str(resources.get("mem_mb") or 0))
    per_cpu = int(str(resources.get("mem_mb_per_cpu") or 0))
    if per_cpu and per_cpu * cpus < memory_mb:
        raise UserError(
            f"{PROFILE}: {job} requests mem_mb_per_cpu {per_cpu} for {cpus} CPUs, {per_cpu * cpus} "
            f"MB, and requires {memory_mb}; set it to {math.ceil(memory_mb / cpus)} or more, or "
            "remove it"
        )
    return Request(
        job=job,
        partition=str(resources.get("slurm_partition") or ""),
        minutes=float(str(resources.get("runtime") or 0)),
        gpus=gpus,
        gpu_type=next(iter(gpu_types), ""),
        cpus=cpus,
        memory_mb=per_cpu * cpus or memory_mb,
    )


def check(requests: Iterable[Request], known: Mapping[str, Partition]) -> None:
    """Refuse the first request that no node of its partition could ever satisfy.

    The longest is checked first, so that a runtime which suffices for it suffices for all.
    """
    for wanted in sorted(requests, key=lambda each: (-each.minutes, each.job)):
        if not wanted.partition:
            continue  # the default partition of the site, whose name is unknown
        if wanted.partition not in known:
            raise UserError(
                f"{PROFILE}: {wanted.job} requests the partition {wanted.partition}, which does "
                f"not exist; the partitions are {', '.join(sorted(known))}"
            )
        _check_gpus(wanted, known[wanted.partition], known)
        _check_limits(wanted, known[wanted.partition])


def _check_gpus(wanted: Request, partition: Partition, known: Mapping[str, Partition]) -> None:
    requests = f"{PROFILE}: {wanted.job} requests"
    if wanted.gpus and not partition.gpus:
        others = [name for name, other in sorted(known.items()) if other.gpus]
        remedy = f"set gpu_partition to {' or '.join(others)}" if others else "remove gpu_partition"
        raise UserError(
            f"{requests} a GPU on the partition {partition.name}, which has none; {remedy}"
        )
    if wanted.gpus > partition.gpus:
        raise UserError(
            f"{requests} {wanted.gpus} GPUs on one node, but nodes of {partition.name} have at "
            f"most {partition.gpus}; lower execution.processes"
        )
    if wanted.gpu_type and partition.gpu_types and wanted.gpu_type not in partition.gpu_types:
        raise UserError(
            f"{requests} a GPU of type {wanted.gpu_type}, but {partition.name} has "
            f"{', '.join(sorted(partition.gpu_types))}; set gpu_type to one of them or remove it"
        )


def _check_limits(wanted: Request, partition: Partition) -> None:
    requests = f"{PROFILE}: {wanted.job} requests"
    if wanted.minutes > partition.minutes:
        raise UserError(
            f"{requests} {wanted.minutes:.0f} minutes, but the partition {partition.name} allows "
            f"{partition.minutes:.0f}; lower runtime, or set max_runtime: {partition.minutes:.0f}, "
            "so that longer training resumes in a retry"
        )
    for name, number, most in (
        ("CPUs", wanted.cpus, partition.cpus),
        ("MB of memory", wanted.memory_mb, partition.memory_mb),
    ):
        if number > most:
            raise UserError(
                f"{requests} {number} {name}, but the largest node of {partition.name} has {most}; "
                "choose another partition, or lower runs in the profile's resources"
            )


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """One of the user's jobs that has not ended."""

    identifier: str
    """Its number in Slurm."""
    state: str
    """RUNNING, PENDING, ..."""
    name: str
    """Rule or group and wildcards, from the comment that Snakemake gives the job."""


def queued_jobs(folder: str) -> list[QueuedJob]:
    """The user's jobs that Snakemake submitted from `folder` and that have not ended."""
    own = str(os.getuid())  # Slurm before version 20.02 has no option --me
    listing = run_command("squeue", "--user", own, "--noheader", "--format", "%i|%T|%Z|%k")
    rows = [line.split("|", 3) for line in listing.splitlines() if line.count("|") >= 3]
    return [
        QueuedJob(identifier=identifier, state=state, name=comment.split("_", 1)[1])
        for identifier, state, submitted_from, comment in rows
        if submitted_from == folder and comment.startswith(("rule_", "group_"))
    ]
