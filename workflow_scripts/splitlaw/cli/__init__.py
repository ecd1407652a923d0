"""The command line: `splitlaw COMMAND`, with a command for every stage of the workflow."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from splitlaw.cli.commands import COMMANDS, WORKER, overview, run_command

__all__ = ["COMMANDS", "main", "overview"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 2 after a `UserError`, 130 after Ctrl-C.

    Parameters
    ----------
    argv
        The command's name and its options; those of this process if left out.

    """
    words = list(sys.argv[1:] if argv is None else argv)
    status = None
    if WORKER in os.environ:
        from splitlaw.cli import worker  # requires the sockets and signals of POSIX

        status = worker.run(words)
    return run_command(words) if status is None else status
