"""Choose the compute-optimal split of a budget: fit.json in, plan.json out."""

import argparse
import sys
from collections.abc import Sequence

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.planner.command import choose_split


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments."""
    parser = CommandParser(prog="choose_split.py", description=__doc__)
    add = parser.add_argument
    add("--law", required=True, help="the fit, JSON")
    add("--flops", type=float, metavar="C", help="training FLOPs of the whole recipe")
    add("--out", required=True, help="the plan, JSON")
    add("--params", metavar="N", help="model size, or several by commas; any if left out")
    add("--flops-per-token", type=float, metavar="F", help="instead of the table's")
    add("--domains", metavar="a,b,c", help="plan for these only")
    add("--pretrain-tokens", type=float, metavar="D", help="a base that exists: buy D' alone")
    add("--trunk", choices=["shared", "independent"], default="shared")
    add("--unique-tokens", nargs="+", action="extend", default=[], metavar="domain=TOKENS")
    add("--weights", nargs="+", action="extend", default=[], metavar="domain=W")
    add("--min-tokens-per-model", type=float, default=0.0, metavar="X", help="least D + D'")
    add("--target-loss", type=float, metavar="L", help="instead of --flops: the least compute")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Plan and write; the exit status."""
    args = parse(argv)
    return exit_status(lambda: choose_split(args))


if __name__ == "__main__":
    sys.exit(main())
