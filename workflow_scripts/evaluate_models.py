"""Gather the grid's losses into losses.csv and what they cost into cost.csv."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and gather."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--losses", type=Path, nargs="+", required=True, help="tables of the runs")
    parser.add_argument("--out", type=Path, required=True, help="losses.csv to write")
    parser.add_argument("--cost", type=Path, required=True, help="cost.csv to write")
    parser.add_argument("--cooldown-fraction", type=float, required=True, help="of the schedule")
    parser.add_argument("--batch-tokens", type=int, required=True, help="tokens a step")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.stages.gather import gather

        gather(
            arguments.losses,
            losses_out=arguments.out,
            cost_out=arguments.cost,
            cooldown_fraction=arguments.cooldown_fraction,
            batch_tokens=arguments.batch_tokens,
        )

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
