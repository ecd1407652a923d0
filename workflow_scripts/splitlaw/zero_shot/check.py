"""Open tasks of lm-eval before anything is trained: python -m splitlaw.zero_shot.check TASK ...

Their data sets are downloaded into the cache of the Hub, from which the stage `benchmark` reads
them, also on a node without a network.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from splitlaw.common.errors import exit_status


def main(names: list[str]) -> int:
    """Open the tasks `names`; the exit status is 2 after one line on a task that cannot be used."""

    def check() -> None:
        from splitlaw.zero_shot.harness import load_tasks

        with tempfile.TemporaryDirectory() as folder:
            load_tasks(names, folder=Path("tasks"), items=Path(folder), cache=Path(folder))

    return exit_status(check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
