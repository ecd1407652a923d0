"""Gather a measured frontier, draw it, and tell the plan's regret."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, gather, draw and tell."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="one a seed")
    parser.add_argument("--law", required=True, help="fit.json behind the plan")
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of the budget")
    parser.add_argument("--out", type=Path, required=True, help="frontier.csv to write")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.laws import FitResult
        from splitlaw.report.frontier import write_frontier

        fit = FitResult.load(arguments.law)
        tables, plan, out = arguments.tables, arguments.plan, arguments.out
        print(write_frontier(tables, plan_file=plan, fit=fit, out=out))

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
