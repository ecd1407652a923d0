"""GPUs of a machine without a scheduler: each training takes its own and waits for free ones."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Folder of the NVIDIA driver with one entry for each GPU."""
ALLOCATION_VARIABLES = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "LOCAL_RANK")
"""Environment variables that are set where something else has allocated the GPUs."""
_held: list[FileLock] = []
"""Locks of this process; filelock releases a lock that is no longer referenced."""


def count_gpus() -> int:
    """Number of GPUs of this machine, counted without opening one."""
    return len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0


def claim(count: int = 1, *, seconds: float = 1.0) -> list[int]:
    """Wait until `count` GPUs are free, lock them, and make only them visible to CUDA.

    The GPUs are locked until the process ends, even if it is killed: the system releases the locks.
    Nothing is locked, and the list is empty, if the machine has fewer GPUs or something else has
    allocated them. `seconds` is the time between two tries.
    """
    if any(name in os.environ for name in ALLOCATION_VARIABLES) or count_gpus() < count:
        return []
    while True:
        free = {number: lock for number in range(count_gpus()) if (lock := _try_lock(number))}
        taken = sorted(free)[:count]
        for number, lock in free.items():
            # All or none: two trainings that wait for several GPUs must not block each other.
            if number not in taken or len(taken) < count:
                lock.release()
        if len(taken) == count:
            _held.extend(free[number] for number in taken)
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, taken))
            return taken
        time.sleep(seconds)


def _try_lock(number: int) -> FileLock | None:
    """The lock of a GPU, or None if another process holds it."""
    name = f"splitlaw-{os.getuid()}-gpu{number}.lock"
    # A soft lock would outlive a killed process.
    lock = FileLock(Path(tempfile.gettempdir()) / name, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
