"""Checks, before the first job, of what only the last stages of a workflow use."""

from __future__ import annotations

import difflib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import ExperimentConfig

LOCAL = "local_"
"""Beginning of the names of tasks that are files of the project."""
TASKS = Path(__file__).parents[3] / "tasks"
"""Folder of these files."""


def check_named(config: ExperimentConfig) -> None:
    """Refuse local tasks that do not exist, and trackers that are not installed."""
    known = sorted(file.stem for file in TASKS.glob(f"{LOCAL}*.yaml"))
    for name in config.benchmarks.tasks:
        if name.startswith(LOCAL) and name not in known:
            close = difflib.get_close_matches(name, known, n=2) or known
            raise UserError(
                f"benchmarks.tasks: there is no task {name}; did you mean {' or '.join(close)}?"
            )
    executions = [config.execution_of(size) for size in config.sizes]
    for tracker in {name for execution in executions for name in execution.trackers}:
        if importlib.util.find_spec(tracker) is None:
            raise UserError(
                f"execution.trackers names {tracker}, which is not installed; "
                f"run pip install {tracker}, or remove it from the list"
            )


def check_targets(config: ExperimentConfig, rules: Collection[str]) -> None:
    """Refuse the choice of further runs, if it is among `rules`, with a base."""
    if config.base is not None and "next_runs" in rules:
        raise UserError(
            "next_runs: does not plan with a base; make it with a configuration without one"
        )


def check_foreign_tasks(tasks: Sequence[str], rules: Collection[str]) -> None:
    """Open the tasks of lm-eval and their data sets if the rule `benchmark` is one of `rules`.

    This takes some seconds. Nothing is checked where lm-eval is not installed in this environment,
    as with `--sdm conda`.
    """
    foreign = [name for name in tasks if not name.startswith(LOCAL)]
    if not foreign or "benchmark" not in rules or importlib.util.find_spec("lm_eval") is None:
        return
    print(f"checking {', '.join(foreign)}, before anything is trained", file=sys.stderr, flush=True)
    package = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "splitlaw.zero_shot.check", str(TASKS), *foreign],
        env={**os.environ, "PYTHONPATH": package},
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a message"]
        raise UserError(lines[-1].removeprefix("error: "))
