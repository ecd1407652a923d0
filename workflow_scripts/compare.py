"""Tabulate and draw the optimal split's gain against size and budget."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, tabulate and draw."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument("--fit", type=Path, required=True, help="fit.json behind the plans")
    parser.add_argument("--cells", nargs="+", required=True, metavar="SIZE/BUDGET")
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="plan of each cell")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="seeds of each cell")
    parser.add_argument("--out", type=Path, required=True, help="gains.csv to write")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.laws import FitResult
        from splitlaw.report.compare import write_gains
        from splitlaw.stages.compare import gains_table, read_cells

        table = gains_table(
            read_cells(arguments.cells, arguments.plans),
            arguments.seeds,
            results=arguments.results,
            fit=FitResult.load(arguments.fit),
        )
        write_gains(table, arguments.out)

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
