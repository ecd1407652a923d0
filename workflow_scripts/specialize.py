"""Train one domain's branches of a trunk, or cool down the unsplit runs, and evaluate them."""

import sys

from splitlaw.command import job_parser, read_job
from splitlaw.errors import exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = job_parser(__doc__)
    parser.add_argument("--domain", required=True, help="a domain, or general for unsplit runs")
    parser.add_argument("--domains", required=True, help="all domains, separated by commas")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.runs import specialize

        job, execution = read_job(arguments)
        domains = arguments.domains.split(",")
        specialize(job, arguments.domain, domains, execution=execution, out=arguments.out)

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
