"""Join the final models' losses into comparison.csv."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and join."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one a strategy")
    parser.add_argument("--out", type=Path, required=True, help="comparison.csv to write")
    parser.add_argument("--spread", action="store_true", help="print means and spread over seeds")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.stages.gather import join_tables, spread_over_seeds

        comparison = join_tables(arguments.tables, out=arguments.out)
        if arguments.spread:
            print(spread_over_seeds(comparison).round(4).to_string())

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
