"""Train the best split at several general fractions of one budget, for one seed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from splitlaw.cli.training_job import job_parser, run_job

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = job_parser(__doc__)
    parser.add_argument("--law", required=True, help="fit.json that shares out domain tokens")
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of the budget")
    parser.add_argument("--budget", required=True, help="the budget's name in the results")
    parser.add_argument("--fractions", type=float, nargs="+", required=True, help="general shares")
    arguments = parser.parse_args(argv)

    def action(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.laws import FitResult
        from splitlaw.stages import frontier

        frontier.measure(
            job,
            FitResult.load(arguments.law),
            arguments.plan,
            arguments.fractions,
            budget=arguments.budget,
            execution=execution,
            out=arguments.out,
        )

    return run_job(arguments, action)


if __name__ == "__main__":
    sys.exit(main())
