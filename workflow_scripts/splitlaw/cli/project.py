"""Commands for an experiment: its configuration, its cost, its files."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from splitlaw.cli.outputs import output_file

EXPERIMENT = "the experiment: inline JSON, or a JSON or YAML file"


def add_new_experiment(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--text", required=True, help="folder of text files, or of one folder per domain"
    )
    parser.add_argument("--out", type=output_file, help="file to write (FOLDER.yaml)")
    parser.add_argument("--name", help="name of the experiment (that of the file)")
    parser.add_argument(
        "--base", help="model to continue from: a folder, or a name on the Hugging Face Hub"
    )


def run_new_experiment(args: Namespace) -> None:
    """Write a starting configuration for a folder of text files, or of one folder per domain."""
    from splitlaw.cli.checkout import find_checkout
    from splitlaw.common.errors import UserError
    from splitlaw.stages.new_experiment import write_new_experiment
    from splitlaw.stages.text_folder import plain

    if not args.text:
        raise UserError("no folder is given; run splitlaw new_experiment --text FOLDER")
    root, text = find_checkout(), Path(args.text)
    out, base = args.out or Path(f"{plain(text.resolve().name)}.yaml"), args.base
    if Path.cwd() != root:  # the workflow runs in `root`, so paths are relative to it
        text = text.resolve()
        base = str(Path(base).resolve()) if base and Path(base).is_dir() else base
    defaults = root / "config.yaml"
    print(write_new_experiment(text, out, defaults=defaults, name=args.name, base=base))


def add_cost(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, help=EXPERIMENT)
    parser.add_argument(
        "--calibration", type=Path, nargs="?", help="calibration.json of the command calibrate"
    )
    parser.add_argument("--plan", type=Path, help="plan.json, if it exists already")
    parser.add_argument("--gpu", action="store_true", help="models are trained on GPUs")
    parser.add_argument("--out", type=output_file, required=True, help="table to write, CSV")


def run_cost(args: Namespace) -> None:
    """Forecast the tokens, FLOPs and time of an experiment before anything is submitted."""
    from splitlaw.common.files import read_json
    from splitlaw.common.result_table import write_result_table
    from splitlaw.experiment.config import load_runs
    from splitlaw.scheduling import forecast
    from splitlaw.scheduling.throughput import read_calibration

    config = load_runs(args.config)
    measured = read_calibration(args.calibration, config) if args.calibration else None
    throughputs, source = forecast.throughputs_of(config, measured, gpu=args.gpu)
    plan = read_json(args.plan) if args.plan and args.plan.exists() else None
    table = forecast.forecast(config, throughputs, plan)
    write_result_table(args.out, table)
    print(forecast.describe(table, config, source=source, gpu=args.gpu, planned=bool(plan)))


def add_calibrate(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", required=True, help=EXPERIMENT)
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="training time to measure for each size (%(default)s)",
    )
    parser.add_argument("--gpu", action="store_true", help="refuse to measure a CPU instead")
    parser.add_argument("--out", type=output_file, required=True, help="calibration.json to write")
    parser.add_argument("--size", help="measure only this size, in this process")
    parser.add_argument(
        "--began",
        type=float,
        default=time.time(),
        help="time at which the process of --size was started, seconds since the epoch (now)",
    )


def run_calibrate(args: Namespace) -> None:
    """Measure how fast this machine trains each size, for `cost` and for time limits."""
    from splitlaw.experiment.config import load_runs
    from splitlaw.stages import calibrate

    config = load_runs(args.config)
    if args.size:
        status = calibrate.measure(
            config, args.size, seconds=args.seconds, began=args.began, gpu=args.gpu, out=args.out
        )
        if status:
            sys.exit(status)
        return
    package = Path(__file__).parent.parent
    command = [sys.executable, str(package / "__main__.py"), "calibrate", "--config", args.config]
    command += ["--seconds", str(args.seconds), *(["--gpu"] if args.gpu else [])]
    calibrate.calibrate(config, out=args.out, command=command)


def add_check_provenance(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )


def run_check_provenance(args: Namespace) -> None:
    """Check every file of an experiment against its recorded hash."""
    from splitlaw.common.errors import UserError
    from splitlaw.workflow import manifest

    wrong = manifest.check(args.results)
    for line in wrong[1:]:
        print(line, file=sys.stderr)
    if wrong:
        raise UserError(
            f"{wrong[0]}; {len(wrong)} in all: restore them, or delete them and run again"
        )
    states, files = manifest.states(args.results), manifest.artifacts(args.results)
    print(f"{len(list(files))} files and {len(states)} states are unchanged")
