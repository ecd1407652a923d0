"""One training on a GPU at a time, on a machine that no scheduler shares out."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

DRIVER = Path("/proc/driver/nvidia/gpus")
GIVEN = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "LOCAL_RANK")
"""Variables that say that somebody has shared out the GPUs already."""
_held: list[IO[str]] = []


def gpus() -> int:
    """GPUs of this machine, counted without opening one."""
    return len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0


def claim(count: int = 1, *, seconds: float = 1.0) -> list[int]:
    """Wait for `count` GPUs that no other training here holds, and see no other ones.

    They are held by locks on files until the process ends, however it ends. Nothing happens, and
    the list is empty, where there is no GPU or a scheduler has shared them out.
    """
    if any(name in os.environ for name in GIVEN) or gpus() < count:
        return []
    while True:
        found = {number: lock for number in range(gpus()) if (lock := _try(number))}
        taken = sorted(found)[:count]
        for number, lock in found.items():
            if number not in taken or len(taken) < count:
                lock.close()
        if len(taken) == count:
            _held.extend(found[number] for number in taken)
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, taken))
            return taken
        time.sleep(seconds)


def _try(number: int) -> IO[str] | None:
    """The lock of a GPU, or None where another process holds it."""
    name = f"splitlaw-{os.getuid()}-gpu{number}.lock"
    file = (Path(tempfile.gettempdir()) / name).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
