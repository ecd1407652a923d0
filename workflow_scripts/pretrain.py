"""Train the general trunk of one size and seed, with a state wherever a run leaves it."""

import sys

from splitlaw.command import job_parser, read_job
from splitlaw.errors import exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    arguments = job_parser(__doc__).parse_args(argv)

    def action() -> None:
        from splitlaw.runs import pretrain

        job, execution = read_job(arguments)
        pretrain(job, execution=execution, out=arguments.out)

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
