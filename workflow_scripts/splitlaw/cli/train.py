"""Commands that train models, each in one process or several."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitlaw.cli.outputs import output_file

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.job import Job

SHARED = "trunk"
"""Value of `--strategy` that trains the general text which all strategies share."""


def add_pretrain(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_job(parser)


def run_pretrain(args: Namespace) -> None:
    """Train the general trunk of one size and seed, and store the states where runs branch off."""

    def train(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.grid import pretrain

        pretrain(job, execution=execution, out=args.out)

    _run_job(args, train)


def add_specialize(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_job(parser)
    parser.add_argument("--domain", required=True, help="a domain, or general for unsplit runs")
    parser.add_argument("--domains", required=True, help="all domains, separated by commas")


def run_specialize(args: Namespace) -> None:
    """Train one domain's branches of a trunk, or cool down the unsplit runs, and evaluate them."""

    def train(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.grid import specialize

        specialize(job, args.domain, args.domains.split(","), execution=execution, out=args.out)

    _run_job(args, train)


def add_sweep_learning_rate(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_job(parser)
    parser.add_argument("--rates", type=float, nargs="+", required=True, help="peak learning rates")
    parser.add_argument("--tokens", type=int, required=True, help="general tokens of each run")


def run_sweep_learning_rate(args: Namespace) -> None:
    """Train one size at several learning rates on general text, and write a table of the losses."""

    def train(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages.learning_rates import sweep

        sweep(job, args.rates, args.tokens, execution=execution, out=args.out)

    _run_job(args, train)


def add_train_final(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_job(parser)
    _add_plan(parser)
    parser.add_argument(
        "--strategy",
        required=True,
        help=f"a strategy, or {SHARED} for the general run that all strategies share",
    )
    parser.add_argument(
        "--domain", help=f"with --strategy {SHARED}: the domain whose independent trunk to train"
    )


def run_train_final(args: Namespace) -> None:
    """Train the final models of one strategy, or the general run that all strategies share."""

    def train(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.stages import final

        if args.strategy == SHARED:
            final.train_trunk(job, args.plan, domain=args.domain, execution=execution, out=args.out)
            return
        final.train_strategy(
            job, args.strategy, args.plan, budget=args.budget, execution=execution, out=args.out
        )

    _run_job(args, train)


def add_train_frontier(parser: ArgumentParser) -> None:
    """Declare the options."""
    _add_job(parser)
    parser.add_argument("--law", required=True, help="fit.json, which divides the domain tokens")
    _add_plan(parser)
    parser.add_argument(
        "--fractions", type=float, nargs="+", required=True, help="general fractions to train"
    )
    parser.add_argument(
        "--even",
        action="store_true",
        help="give every domain the same tokens and spend the whole budget; without the plan's own",
    )


def run_train_frontier(args: Namespace) -> None:
    """Train the best split at several general fractions of one budget, for one seed."""

    def train(job: Job, execution: ExecutionConfig) -> None:
        from splitlaw.laws import FitResult
        from splitlaw.stages import frontier

        frontier.measure(
            job,
            FitResult.load(args.law),
            args.plan,
            args.fractions,
            budget=args.budget,
            even=args.even,
            execution=execution,
            out=args.out,
        )

    _run_job(args, train)


def add_choose_domains(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", required=True, help="the experiment: inline JSON, or a YAML or JSON file"
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )
    parser.add_argument("--execution", default="{}", help="device and so on: JSON or a file")
    parser.add_argument(
        "--out", type=output_file, required=True, help="choose_domains.csv to write"
    )


def run_choose_domains(args: Namespace) -> None:
    """Predict the loss for several numbers of domains, and for the merger of two, from branches."""
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.choose_domains import choose_domains, read_config

    execution = ExecutionConfig.load(args.execution, option="--execution")
    config = read_config(args.config)
    print(choose_domains(config, results=args.results, execution=execution, out=args.out))


def _add_job(parser: ArgumentParser) -> None:
    """Declare the options that describe a job: its runs, folder and device."""
    parser.add_argument("--config", required=True, help="the job: inline JSON, or a JSON file")
    parser.add_argument("--size", required=True, help="name of the size")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of initialisation and data order (%(default)s)"
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="results folder of the experiment"
    )
    parser.add_argument(
        "--execution", default="{}", help="device, processes, microbatch and so on: JSON or a file"
    )
    parser.add_argument("--out", type=output_file, required=True, help="file to write at the end")


def _add_plan(parser: ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of choose_split")
    parser.add_argument("--budget", required=True, help="name of the budget in the results")


def _run_job(args: Namespace, train: Callable[[Job, ExecutionConfig], object]) -> None:
    """Call `train` with the job, in as many processes as `execution.processes`.

    The first process starts the others with its own command line, waits for them, and ends with the
    exit status of the first that fails.
    """
    from splitlaw.common.status_file import current
    from splitlaw.experiment.section import load_config
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.training import gpus, launcher

    config = load_config(args.config)
    execution = ExecutionConfig.load(args.execution, option="--execution")
    several = execution.processes > 1 and not launcher.is_launched()
    if several:
        launcher.batch_slice(_windows_of_batch(config), execution.processes)
    if execution.device != "cpu":
        gpus.claim(execution.processes)
    if several:
        if (status := current()) is not None:
            status.hand_over()
        sys.exit(launcher.launch(execution.processes))
    # Imports torch and transformers, which takes seconds that a launcher need not spend.
    from splitlaw.stages.job import Job

    job = Job.from_config(config, size=args.size, seed=args.seed, results=args.results)
    train(job, execution)


def _windows_of_batch(config: Mapping[str, Any]) -> int:
    """Windows in a batch of a job."""
    from splitlaw.experiment.settings import TrainingConfig
    from splitlaw.experiment.shape import shape_from
    from splitlaw.training.stream import windows_of_batch

    training = TrainingConfig.read(config["training"], where="--config", section="training")
    return windows_of_batch(training, shape_from(config["shape"]))
