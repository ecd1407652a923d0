"""Tell what an experiment will cost before anything is submitted."""

import sys
from pathlib import Path

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.config import load_config


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, print the table and write it."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the experiment: inline JSON, or a file")
    parser.add_argument(
        "--calibration", type=Path, nargs="?", help="calibration.json of the target calibrate"
    )
    parser.add_argument("--plan", type=Path, help="plan.json, where there is one")
    parser.add_argument("--gpu", action="store_true", help="models are trained on GPUs")
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args(argv)

    def action() -> None:
        from splitlaw.common.files import read_json
        from splitlaw.scheduling import forecast, resources

        config = load_config(arguments.config)
        file = arguments.calibration
        measured = resources.read_calibration(file, config) if file else None
        throughputs, source = forecast.throughputs_of(config, measured, gpu=arguments.gpu)
        plan = read_json(arguments.plan) if arguments.plan and arguments.plan.exists() else None
        table = forecast.forecast(config, throughputs, plan)
        forecast.write(table, arguments.out)
        print(
            forecast.describe(table, config, source=source, gpu=arguments.gpu, planned=bool(plan))
        )

    return exit_status(action)


if __name__ == "__main__":
    sys.exit(main())
