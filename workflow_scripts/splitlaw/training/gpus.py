"""GPUs of a machine: those that a training may use, and those of them that it locks for itself.

Where several trainings run on one machine, each takes its own GPUs and waits until they are free.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Folder of the NVIDIA driver with one entry for each GPU, named by its PCI address."""
DEVICES = Path("/dev")
"""Folder of the device files; a container without access to GPUs has none, but sees `DRIVER`."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable with the GPUs that CUDA may use: indices, UUIDs, or names of MIG devices."""
SLURM_GPUS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
"""Variables with the numbers of the GPUs that Slurm has given to a job."""
ALLOCATION_VARIABLES = (VISIBLE, "SLURM_JOB_ID", "LOCAL_RANK", *SLURM_GPUS)
"""Environment variables that decide which GPUs a process may use."""
_held: list[FileLock] = []
"""Locks of this process; filelock releases a lock that is no longer referenced."""


def count_gpus() -> int:
    """Number of GPUs of this machine, counted without opening one."""
    return len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0


def visible_gpus() -> list[str] | None:
    """The GPUs that `CUDA_VISIBLE_DEVICES` names; None where it is not set.

    As in CUDA, the list ends before the first invalid name, such as `-1` or Slurm's `NoDevFiles`.
    """
    text = os.environ.get(VISIBLE)
    if text is None:
        return None
    names: list[str] = []
    for name in map(str.strip, text.split(",")):
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))) or name in names:
            break
        names.append(name)
    return names


def reason_to_expect_gpu() -> str | None:
    """The reason to expect a GPU, in words for a message; None if there is none."""
    visible = visible_gpus()
    if visible is not None:
        return f"{VISIBLE} is {','.join(visible)}" if visible else None
    for name in SLURM_GPUS:
        if os.environ.get(name):
            return f"{name} is {os.environ[name]}"
    files = list(DEVICES.glob("nvidia[0-9]*"))
    return "this machine has an NVIDIA GPU" if count_gpus() and files else None


def claim(count: int = 1, *, seconds: float = 1.0) -> list[str]:
    """Wait until `count` GPUs are free, lock them, and make only them visible to CUDA.

    The GPUs are chosen among those that the process was given, and are locked until it ends, even
    if it is killed: the system releases the locks. Nothing is locked, and the list is empty, where
    there are fewer GPUs or where a scheduler has given this process exactly as many as it needs.
    `seconds` is the time between two tries.
    """
    names = _available_gpus(count)
    waiting = False
    while names:
        free = {name: lock for name in names if (lock := _try_lock(name))}
        taken = list(free)[:count]
        for name, lock in free.items():
            # All or none: two trainings that wait for several GPUs must not block each other.
            if name not in taken or len(taken) < count:
                lock.release()
        if len(taken) == count:
            _held.extend(free[name] for name in taken)
            os.environ[VISIBLE] = ",".join(taken)
            return taken
        if not waiting:
            print(f"waiting for a free GPU among {', '.join(names)}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(seconds)
    return []


def _available_gpus(count: int) -> list[str]:
    """The GPUs to choose `count` from; none where nothing is to be locked."""
    visible, scheduled = visible_gpus(), "SLURM_JOB_ID" in os.environ
    if "LOCAL_RANK" in os.environ or (visible is None and scheduled):
        return []
    names = [str(number) for number in range(count_gpus())] if visible is None else visible
    # The trainings of a Slurm job that has one GPU share it; those of `salloc` with several do not.
    shared = scheduled and len(names) == count
    return [] if shared or len(names) < count else names


def _try_lock(name: str) -> FileLock | None:
    """The lock of a GPU, or None if another process holds it."""
    # Indices and UUIDs of one GPU have one lock. The indices of a Slurm job begin at 0 in each job.
    job = os.environ.get("SLURM_JOB_ID")
    place = f"job{job}-" if job else ""
    name = _indices_by_uuid().get(name, name).replace("/", "_")
    file = f"splitlaw-{os.getuid()}-{place}gpu{name}.lock"
    # A soft lock would outlive a killed process.
    lock = FileLock(Path(tempfile.gettempdir()) / file, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _indices_by_uuid() -> dict[str, str]:
    """Index of each GPU in the order of PCI addresses, by the UUID that the driver gives it.

    CUDA numbers GPUs of one kind in this order too.
    """
    found = {}
    for number, folder in enumerate(sorted(DRIVER.iterdir()) if DRIVER.is_dir() else []):
        try:
            lines = (folder / "information").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "GPU UUID":
                found[value.strip()] = str(number)
    return found
