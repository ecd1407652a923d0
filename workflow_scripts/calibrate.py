"""Measure how fast this machine trains each size, for the target cost and for the time limits."""

import sys
from pathlib import Path

from splitlaw.errors import CommandParser, exit_status
from splitlaw.experiment import load_config


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and measure."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the experiment: inline JSON, or a file")
    parser.add_argument("--seconds", type=float, default=5.0, help="of training for each size")
    parser.add_argument("--out", type=Path, required=True, help="calibration.json to write")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.calibrate import calibrate

        config = load_config(arguments.config)
        calibrate(config, seconds=arguments.seconds, out=arguments.out)

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
