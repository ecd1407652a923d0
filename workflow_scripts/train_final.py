"""Train the final models of one strategy, or the general text that all strategies share."""

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
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of choose_split")
    parser.add_argument("--budget", required=True, help="the budget's name in the results")
    parser.add_argument(
        "--strategy", required=True, help="a strategy, or trunk for what they share"
    )
    arguments = parser.parse_args(argv)

    def action(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages import final

        if arguments.strategy == "trunk":
            final.train_trunk(job, arguments.plan, execution=execution, out=arguments.out)
            return
        final.train_strategy(
            job,
            arguments.strategy,
            arguments.plan,
            budget=arguments.budget,
            execution=execution,
            out=arguments.out,
        )

    return run_job(arguments, action)


if __name__ == "__main__":
    sys.exit(main())
