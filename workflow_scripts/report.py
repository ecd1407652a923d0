"""Write the report of an experiment: one page that opens offline, and its figures."""

import sys
from collections.abc import Sequence
from pathlib import Path

from splitlaw.errors import CommandParser, exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, write the page, print a summary."""
    parser = CommandParser(prog="report.py", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument("--out", type=Path, help="the page; report.html in the results if left out")
    parser.add_argument("--figures", type=Path, help="folder of the figures; beside the page")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.results / "report.html"

    def action() -> None:
        from splitlaw.report import make_report

        figures = arguments.figures or out.parent / "figures"
        print(make_report(arguments.results, out=out, figures=figures))

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
