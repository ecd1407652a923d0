"""Open tasks of lm-eval before anything is trained.

    python -m splitlaw.zero_shot.check FOLDER TASK ...

Their data sets are downloaded into the cache of the Hub, from which the stage `benchmark` reads
them, also on a node without a network.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from splitlaw.common.errors import exit_status


def main(folder: str, *names: str) -> int:
    """Open the tasks `names`, of which `folder` may have the files.

    The exit status is 2 after one line on a task that cannot be used.
    """

    def check() -> None:
        from splitlaw.zero_shot.harness import load_tasks

        with tempfile.TemporaryDirectory() as empty:
            load_tasks(names, folder=Path(folder), items=Path(empty), cache=Path(empty))

    return exit_status(check)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
