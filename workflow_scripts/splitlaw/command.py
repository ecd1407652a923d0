"""The arguments that every training command takes, and the job they describe."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from splitlaw.errors import CommandParser
from splitlaw.experiment import load_config

if TYPE_CHECKING:
    from splitlaw.runs import Job
    from splitlaw.training import Execution


def job_parser(description: str | None) -> CommandParser:
    """A parser with the arguments that name a job: what is trained, where and how."""
    parser = CommandParser(description=description)
    parser.add_argument("--config", required=True, help="the job: inline JSON, or a file of it")
    parser.add_argument("--size", required=True, help="name of the size")
    parser.add_argument("--seed", type=int, default=0, help="of initialisation and data order")
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument(
        "--execution", default="{}", help="device, compile, microbatch, checkpoint_seconds: JSON"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write when all is done")
    return parser


def read_job(arguments: Namespace) -> tuple[Job, Execution]:
    """The job and how to execute it; torch is imported here and not for `--help`."""
    from splitlaw.runs import Job
    from splitlaw.training import Execution

    job = Job.from_config(
        load_config(arguments.config),
        size=arguments.size,
        seed=arguments.seed,
        results=arguments.results,
    )
    return job, Execution(**load_config(arguments.execution))
