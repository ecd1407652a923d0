"""Predict losses at points under a fitted law: fit.json and points.csv in, a CSV out."""

import argparse
import sys
from collections.abc import Sequence

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.laws.predict import predict_file


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments."""
    parser = CommandParser(prog="predict_loss.py", description=__doc__)
    parser.add_argument("--law", required=True, help="the fit, JSON")
    parser.add_argument("--points", required=True, help="table of points, CSV")
    parser.add_argument("--out", required=True, help="the table with losses and intervals, CSV")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Predict and write; the exit status."""
    args = parse(argv)
    return exit_status(lambda: predict_file(args.law, args.points, args.out))


if __name__ == "__main__":
    sys.exit(main())
