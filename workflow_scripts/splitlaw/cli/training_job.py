"""The arguments that every training command takes, and the job they describe."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from splitlaw.common.errors import CommandParser, exit_status
from splitlaw.experiment.config import load_config

if TYPE_CHECKING:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job


def job_parser(description: str | None) -> CommandParser:
    """A parser with the arguments that name a job: what is trained, where and how."""
    parser = CommandParser(description=description)
    parser.add_argument("--config", required=True, help="the job: inline JSON, or a file of it")
    parser.add_argument("--size", required=True, help="name of the size")
    parser.add_argument("--seed", type=int, default=0, help="of initialisation and data order")
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument(
        "--execution", default="{}", help="device, processes, microbatch and the like, as JSON"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write when all is done")
    return parser


def run_job(arguments: Namespace, action: Callable[[Job, ExecutionConfig], object]) -> int:
    """Do `action` with the job, in as many processes as it asks for; give the exit status.

    torch is imported here and not for `--help`.
    """

    def work() -> None:
        from splitlaw.training import gpus, processes
        from splitlaw.training.stream import windows_of_batch

        job, execution = _read(arguments)
        if execution.device != "cpu":
            gpus.claim(execution.processes)
        if execution.processes > 1 and not processes.is_launched():
            processes.batch_slice(windows_of_batch(job.training, job.shape), execution.processes)
            sys.exit(processes.launch(execution.processes))
        action(job, execution)

    return exit_status(work)


def _read(arguments: Namespace) -> tuple[Job, ExecutionConfig]:
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages.grid import Job

    job = Job.from_config(
        load_config(arguments.config),
        size=arguments.size,
        seed=arguments.seed,
        results=arguments.results,
    )
    return job, ExecutionConfig(**load_config(arguments.execution))
