"""A user's mistake is one line and exit status 2; our own mistakes keep their traceback."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""A device without space, a user without quota."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one line: the file, key or row, what is wrong with it, and what to do.
    """


class Diverged(UserError):
    """A training whose loss is not finite, or has left for good."""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports a wrong call in one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit status 2 and one line."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def exit_status(action: Callable[[], object]) -> int:
    """Run `action` and give the exit status of the command: 0, or 2 after a user's mistake.

    130 after Ctrl-C.

    Of several processes that make the same mistake, the first alone tells it.
    """
    try:
        action()
    except UserError as mistake:
        told = str(mistake)
    except KeyboardInterrupt:
        print("stopped: the same command goes on", file=sys.stderr)
        return 130
    except OSError as cause:
        if cause.errno not in NO_ROOM:
            raise
        told = (
            f"{cause.filename or 'the results'}: {os.strerror(cause.errno)}; what was finished is "
            "whole: make room, and the same command goes on from there"
        )
    else:
        return 0
    if os.environ.get("RANK", "0") == "0":
        print(f"error: {' '.join(told.split())}", file=sys.stderr)
    return 2
