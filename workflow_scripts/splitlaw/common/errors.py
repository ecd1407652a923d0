"""Errors that the user can fix are one line and exit status 2; all others keep their traceback."""

import argparse
import errno
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exceeded quota."""

_IN_RUST = re.compile(r"\(os error (\d+)\)$")
"""End of the message of an error of the system in Rust, with its number."""

_PARTLY_WRITTEN = re.compile(r"\d+ requested and \d+ written")
"""NumPy's message where an array does not fit on the disk; it has no error number."""

USER_ERROR = 2
"""Exit status after an error that the user can fix; that of argparse after a wrong call."""

INTERRUPTED = 130
"""Exit status after Ctrl-C; that of a shell, 128 + SIGINT."""

BROKEN_PIPE = 141
"""Exit status where the reader of the output has ended; that of a shell, 128 + SIGPIPE."""


class UserError(Exception):
    """A mistake that the user can fix.

    The message is one line: the file, key or row, what is wrong with it, and the remedy.
    """


class Diverged(UserError):
    """A training whose loss is not finite, or stays far above its lowest value."""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports a wrong call in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        self.exit(USER_ERROR, f"error: {message}; see {self.prog} --help\n")


def exit_status(
    action: Callable[[], object],
    job: AbstractContextManager[object] = nullcontext(),  # noqa: B008, it holds no state
) -> int:
    """Call `action` within the context `job` and return the exit status of the command.

    The status is 0, 2 after an error that the user can fix, 130 after Ctrl-C, or 141 if the reader
    of the output has ended. The error is printed in one line; of several processes of one training,
    only the first prints it. Letters that the terminal cannot show are printed as escapes, as
    Python prints them on standard error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with job:
            action()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        # Python flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print("stopped: the same command resumes", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {line}", file=sys.stderr)
        return USER_ERROR
    return 0


def one_line(error: BaseException) -> str | None:
    """Message of an error that the user can fix, in one line; None for other errors."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    number = no_room(error)
    return None if number is None else no_room_line(getattr(error, "filename", None), number)


def no_room(error: BaseException) -> int | None:
    """Error number of a full disk or an exceeded quota, if this is the cause of `error`, else None.

    Libraries in Rust, such as `tokenizers` and `safetensors`, raise errors of their own that end
    with the system's number, and NumPy states how many items of an array were written. A message
    that only quotes the system's words, such as one on a line of a table, is another error.
    """
    number = None
    if isinstance(error, OSError) and error.errno is not None:
        number = error.errno
    elif isinstance(error, OSError) and _PARTLY_WRITTEN.fullmatch(str(error)):
        number = errno.ENOSPC
    elif not isinstance(error, UserError) and (found := _IN_RUST.search(str(error))):
        number = int(found[1])
    return number if number in NO_ROOM else None


def no_room_line(path: object, number: int = errno.ENOSPC) -> str:
    """Message for a disk on which `path` cannot be written, in one line."""
    return (
        f"{path or 'the results'}: {os.strerror(number)}; finished files are "
        "complete: free some space, then the same command resumes"
    )
