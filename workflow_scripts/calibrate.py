"""Measure how fast this machine trains each size, for the target cost and for the time limits."""

import sys
import time
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.config import load_config


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and measure."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the experiment: inline JSON, or a file")
    parser.add_argument("--seconds", type=float, default=5.0, help="of training for each size")
    parser.add_argument("--out", type=Path, required=True, help="calibration.json to write")
    parser.add_argument("--size", help="measure this size alone, in this process")
    parser.add_argument("--began", type=float, default=time.time(), help="when it was started")
    arguments = parser.parse_args(argv)
    status = 0

    def action() -> None:
        nonlocal status
        from splitlaw.stages import calibrate

        config = load_config(arguments.config)
        seconds, out = arguments.seconds, arguments.out
        if arguments.size:
            status = calibrate.measure(
                config, arguments.size, seconds=seconds, began=arguments.began, out=out
            )
            return
        command = [sys.executable, __file__, "--config", arguments.config]
        command += ["--seconds", str(seconds)]
        calibrate.calibrate(config, out=out, command=command)

    return exit_status(action) or status


if __name__ == "__main__":
    sys.exit(main())
