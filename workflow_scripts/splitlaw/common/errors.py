"""A user's mistake is one line and exit status 2; our own mistakes keep their traceback."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""A device without space, a user without quota."""


class UserError(Exception):
    """A mistake that the user can fix.

    The message is one line: the file, key or row, what is wrong with it, and what to do.
    """


class Diverged(UserError):
    """A training whose loss is not finite, or stays too high."""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports a wrong call in one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit status 2 and one line."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def exit_status(
    action: Callable[[], object],
    job: AbstractContextManager[object] = nullcontext(),  # noqa: B008, it holds no state
) -> int:
    """Run `action` within `job` and give the exit status of the command.

    It is 0, 2 after a user's mistake, or 130 after Ctrl-C. The mistake is printed in one line; of
    several processes that make the same one, only the first prints it.
    """
    try:
        with job:
            action()
    except KeyboardInterrupt:
        print("stopped: the same command resumes", file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        line = one_line(error)
        if line is None:
            raise
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {line}", file=sys.stderr)
        return 2
    return 0


def one_line(error: BaseException) -> str | None:
    """Message of an error that the user can fix, None for others."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return (
            f"{error.filename or 'the results'}: {os.strerror(error.errno)}; what was finished is "
            "complete: make room, and the same command resumes"
        )
    return None
