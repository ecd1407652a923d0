"""Time a training command of a few steps with a worker and without one, in turn.

python perf/start_up.py --tokens results/default/tokens --rounds 5

Both train the same trunk of the smallest default size, four steps long, with a warm compilation
cache, so that nearly all of the time is that of starting. The first command of each kind is not
counted: the worker compiles the step for it. Seconds are those of the command, and processor
seconds those of the command and of the process that works for it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from splitlaw.cli import worker
from splitlaw.experiment import identity
from splitlaw.experiment.config import ExperimentConfig

ROOT = Path(__file__).resolve().parent.parent
SIZE = "w16"


def words(tokens: Path, results: Path) -> list[str]:
    """The command, in a new results folder."""
    results.mkdir()
    (results / "tokens").symlink_to(tokens.resolve())
    config = json.loads(
        identity.grid_json(ExperimentConfig.load(str(ROOT / "config.yaml")), SIZE, 0)
    )
    config |= {"cells": [[4, 2]], "unsplit": [], "repeated": []}
    return [
        *(sys.executable, str(ROOT / "workflow_scripts/pretrain.py")),
        *("--config", json.dumps(config), "--size", SIZE),
        *("--execution", '{"device": "cpu"}'),
        *("--results", str(results), "--out", str(results / "trunk.json")),
    ]


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and processor seconds of a command."""

    def used() -> float:
        own = os.times()
        working = psutil.Process(worker._started[0].pid)
        times = [process.cpu_times() for process in (working, *working.children(recursive=True))]
        of_worker = sum(t.user + t.system + t.children_user + t.children_system for t in times)
        return own.children_user + own.children_system + of_worker

    began, before = time.perf_counter(), used()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, used() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token files")
    parser.add_argument("--rounds", type=int, default=5, help="commands of each kind")
    args = parser.parse_args()
    os.environ |= dict.fromkeys(worker.THREADS, "1")
    worker.start()
    with_worker = dict(os.environ)
    alone = {name: value for name, value in with_worker.items() if name != worker.ADDRESS}
    while not worker.is_ready(with_worker[worker.ADDRESS]):
        time.sleep(0.1)
    kinds = {"alone": alone, "worker": with_worker}
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds + 1):
            for kind, environment in kinds.items():
                command = words(args.tokens, Path(folder) / f"{kind}{number}")
                figures[kind].append(measure(command, environment))
    for index, name in enumerate(("seconds", "processor seconds")):
        # The first round has compiled the model.
        medians = {
            kind: statistics.median(row[index] for row in rows[1:])
            for kind, rows in figures.items()
        }
        print(f"{name}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in medians.items()))
        print(f"  with a worker {medians['worker'] / medians['alone']:.2f} of the time")


if __name__ == "__main__":
    main()
