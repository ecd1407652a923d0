"""Go on with a workflow that was killed: stop its jobs, take its lock away, and start it again.

Words that are not options of this command go to snakemake: resume.py --profile slurm report
"""

import argparse
import os
import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, clean up, and become snakemake."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--ignore-provenance",
        action="store_true",
        help="take over the lock of a workflow on another machine",
    )
    arguments, words = parser.parse_known_args(argv)

    def action() -> None:
        from splitlaw.workflow import session

        for line in session.resume(ignore_provenance=arguments.ignore_provenance):
            print(line, file=sys.stderr)

    status = exit_status(action)
    if status:
        return status
    own = Path(sys.executable).parent
    os.environ["PATH"] = f"{own}{os.pathsep}{os.environ['PATH']}"
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *words])


if __name__ == "__main__":
    sys.exit(main())
