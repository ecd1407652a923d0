"""Fit the rule from size to learning rate to the sweeps of the sizes; print it as configuration."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.stages.learning_rates import write_rule


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and fit."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="a sweep's losses")
    parser.add_argument("--reference-params", type=int, required=True, help="size of the rate")
    parser.add_argument("--out", type=Path, required=True, help="the rule, JSON")
    arguments = parser.parse_args(argv)

    def action() -> None:
        words = write_rule(
            arguments.tables, reference_params=arguments.reference_params, out=arguments.out
        )
        print(words)

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
