"""Train the general trunk of one size and seed, with a state wherever a run leaves it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from splitlaw.cli.training_job import job_parser, run_job

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    arguments = job_parser(__doc__).parse_args(argv)

    def action(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.grid import pretrain

        pretrain(job, execution=execution, out=arguments.out)

    return run_job(arguments, action)


if __name__ == "__main__":
    sys.exit(main())
