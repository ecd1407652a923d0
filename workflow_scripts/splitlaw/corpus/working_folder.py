"""The folder of a run's working copies, which is removed when the run ends, however it ends."""

import fcntl
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".work-"
_LOCK = "lock"  # without a suffix, unlike the files of the run


@contextmanager
def working_folder(out: Path) -> Iterator[Path]:
    """Context with a new folder in `out`, which is also removed when SIGTERM ends the process.

    Folders and partial files of runs that were killed are removed at the start. Those of a run that
    is still in progress hold a lock, and stay.
    """
    remove_leftovers(out)
    with (
        exit_on_sigterm(),
        tempfile.TemporaryDirectory(dir=out, prefix=_PREFIX) as folder,
        (Path(folder) / _LOCK).open("w") as lock,
    ):
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def remove_leftovers(out: Path) -> None:
    """Remove the working copies and partial files in `out` of runs that were killed."""
    folders = list(out.glob(f"{_PREFIX}*"))
    left = [folder for folder in folders if _is_left(folder)]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    if left == folders:  # no run is in progress that could be writing a file
        for part in out.glob("**/.*.part"):
            part.unlink(missing_ok=True)


def _is_left(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into `SystemExit`, so that the contexts of the block end as they should."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # only the main thread may handle signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
