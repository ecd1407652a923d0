"""Fit a scaling law to a table of losses: losses.csv in, fit.json out."""

import argparse
import sys
from collections.abc import Sequence

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.laws import FORMS, fit_table
from splitlaw.laws.api import DRAWS
from splitlaw.laws.fit import SHARINGS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments."""
    parser = CommandParser(prog="fit_law.py", description=__doc__)
    parser.add_argument("--losses", required=True, help="table of losses, CSV")
    parser.add_argument("--out", required=True, help="the fit, JSON")
    parser.add_argument("--law", default="auto", choices=["auto", *FORMS], metavar="NAME|auto")
    parser.add_argument("--share", default="auto", choices=["auto", *SHARINGS])
    parser.add_argument("--bootstrap", type=int, default=DRAWS, metavar="N", help="draws")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--min-tokens-per-param", type=float, default=0.0, metavar="X")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, write, and print a summary; the exit status."""
    args = parse(argv)

    def action() -> None:
        fit = fit_table(
            args.losses,
            law=args.law,
            share=args.share,
            bootstrap=args.bootstrap,
            seed=args.seed,
            min_tokens_per_param=args.min_tokens_per_param,
        )
        fit.save(args.out)
        print(fit.summary())

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
