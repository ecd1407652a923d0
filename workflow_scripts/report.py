"""Write the report of an experiment: one page that opens offline, and its figures."""

import sys
from collections.abc import Sequence
from pathlib import Path

from splitlaw.common.errors import CommandParser, UserError, exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, write the page, print a summary."""
    parser = CommandParser(prog="report.py", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--results", type=Path, help="the experiment's folder")
    what.add_argument("--law", type=Path, help="a fit.json alone: write the page to play with")
    parser.add_argument("--out", type=Path, help="the page; report.html or plan_page.html beside")
    parser.add_argument("--figures", type=Path, help="folder of the figures; beside the page")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.laws import FitResult

        try:
            from splitlaw.report import make_report, write_plan_page
        except ModuleNotFoundError as cause:
            if str(cause.name).startswith("splitlaw"):
                raise
            raise UserError(f"{cause.name} is not installed; pip install '.[report]'") from None

        if arguments.law:
            page = arguments.out or arguments.law.with_name("plan_page.html")
            write_plan_page(FitResult.load(arguments.law), page, law=str(arguments.law))
            print(f"Open {page} in a browser.")
            return
        out = arguments.out or arguments.results / "report.html"
        figures = arguments.figures or out.parent / "figures"
        print(make_report(arguments.results, out=out, figures=figures))

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
