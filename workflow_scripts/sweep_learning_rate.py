"""Train one size at several learning rates on general text; the table of its losses out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from splitlaw.cli.training_job import job_parser, run_job

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = job_parser(__doc__)
    parser.add_argument("--rates", type=float, nargs="+", required=True, help="peak learning rates")
    parser.add_argument("--tokens", type=int, required=True, help="general tokens of each run")
    arguments = parser.parse_args(argv)

    def action(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.learning_rates import sweep

        sweep(job, arguments.rates, arguments.tokens, execution=execution, out=arguments.out)

    return run_job(arguments, action)


if __name__ == "__main__":
    sys.exit(main())
