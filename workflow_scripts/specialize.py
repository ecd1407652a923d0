"""Train one domain's branches of a trunk, or cool down the unsplit runs, and evaluate them."""

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
    parser.add_argument("--domain", required=True, help="a domain, or general for unsplit runs")
    parser.add_argument("--domains", required=True, help="all domains, separated by commas")
    arguments = parser.parse_args(argv)

    def action(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.grid import specialize

        domains = arguments.domains.split(",")
        specialize(job, arguments.domain, domains, execution=execution, out=arguments.out)

    return run_job(arguments, action)


if __name__ == "__main__":
    sys.exit(main())
