"""Kill training runs at random times; compare their final states with those of undisturbed runs.

python perf/kills.py --tokens results/default/tokens --kills 40

Trunks and branches with one and two processes are killed by SIGKILL and SIGTERM. A signal is sent
to the whole process group, as by a scheduler, or to the first process alone, as by the kernel when
memory runs out. Each run is killed several times before it may finish; then the states are compared
byte by byte.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = {
    "split": "fit",
    "shape": {
        "vocabulary": 1024,
        "width": 16,
        "layers": 3,
        "heads": 2,
        "intermediate": 40,
        "context": 32,
    },
    "training": {
        "batch_tokens": 256,
        "warmup_tokens": 8192,
        "cooldown_fraction": 0.2,
        "learning_rate": 0.008,
        "reference_params": 70_000,
        "learning_rate_exponent": -0.5,
        "weight_decay": 0.1,
        "betas": [0.9, 0.95],
        "clip": 1.0,
    },
    "cells": [[0, 400], [400, 200], [800, 100]],
    "unsplit": [600, 1000],
    "test_tokens": 2000,
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training command and the folder of its results."""

    stage: str
    processes: int
    results: Path
    device: str = "cpu"
    config: Mapping[str, object] = field(default_factory=lambda: CONFIG, hash=False)
    compile: bool = False
    checkpoint_seconds: float = 0.5

    @property
    def command(self) -> list[str]:
        execution = {
            "compile": self.compile,
            "device": self.device,
            "processes": self.processes,
            "checkpoint_seconds": self.checkpoint_seconds,
        }
        script = {"trunk": "pretrain.py", "branch": "specialize.py"}[self.stage]
        words = [sys.executable, str(ROOT / "workflow_scripts" / script)]
        words += ["--config", json.dumps(self.config), "--size", "small"]
        words += ["--results", str(self.results), "--execution", json.dumps(execution)]
        words += ["--out", str(self.results / "runs" / self.stage)]
        return words + (["--domain", "law", "--domains", "law"] if self.stage == "branch" else [])

    def start(self) -> subprocess.Popen:
        """Start it in its own process group."""
        log = self.results / "log"
        with log.open("a") as stream:
            return subprocess.Popen(self.command, stderr=stream, start_new_session=True)

    def finish(self) -> float:
        """Run it to its end; returns the seconds."""
        began = time.monotonic()
        status = self.start().wait()
        assert status == 0, (self.results / "log").read_text()
        return time.monotonic() - began

    def states(self) -> dict[str, str]:
        """Return a digest of every stored state, and of the table of losses of a branch."""
        files = [*self.results.glob("checkpoints/**/*.safetensors")]
        files += self.results.glob("runs/branch")
        return {
            str(file.relative_to(self.results)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }


def prepare(folder: Path, tokens: Path, training: tuple[str, int], name: str) -> Training:
    """Make a folder of results with the tokens."""
    stage, processes = training
    results = folder / f"{stage}{processes}-{name}"
    results.mkdir()
    (results / "tokens").symlink_to(tokens.resolve())
    return Training(stage=stage, processes=processes, results=results)


def send(run: subprocess.Popen, number: int, alone: bool) -> None:
    """Send a signal to a training, or to its first process alone."""
    os.kill(run.pid, number) if alone else os.killpg(run.pid, number)


def disturb(folder: Path, tokens: Path, training: tuple[str, int], kills: Kills) -> list[Training]:
    """Kill a training repeatedly, and start another one when it has ended.

    A signal that comes after the end is not counted. Returns the trainings that were killed; all of
    them have finished.
    """
    killed: set[Training] = set()
    begun: list[Training] = []
    while kills.left:
        name = f"{signal.Signals(kills.number).name}-{len(begun)}"
        begun.append(prepare(folder, tokens, training, name))
        ended = False
        while kills.left and not ended:
            delay, alone = kills.draw()
            run = begun[-1].start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(timeout=delay)
            ended = run.poll() is not None
            if not ended:
                send(run, kills.number, alone)
                kills.left -= 1
                killed.add(begun[-1])
            status = run.wait()
            print(f"    {name} after {delay:4.1f} s: status {status}", flush=True)
    interrupted = [run for run in begun if run in killed]
    for run_to_end in interrupted:
        run_to_end.finish()
    return interrupted


@dataclass(kw_only=True)
class Kills:
    """Signals at random times."""

    number: int
    """The signal."""
    left: int
    """Number of signals still to send to a running training."""
    seconds: float
    """Duration of the undisturbed training."""
    chance: random.Random

    def draw(self) -> tuple[float, bool]:
        """Return the seconds to wait, and whether only the first process gets the signal.

        The first seconds are spent on imports, so signals are sent between 20% and 80% of the time.
        """
        return self.chance.uniform(0.2, 0.8) * self.seconds, self.chance.random() < 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=Path, required=True, help="token files, by domain")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    trainings = list(itertools.product(("trunk", "branch"), (1, 2)))
    ended = same = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted, lasts = {}, {}
        for training in trainings:
            undisturbed = prepare(folder, arguments.tokens, training, "undisturbed")
            lasts[training] = undisturbed.finish()
            wanted[training] = undisturbed.states()
        killed = list(itertools.product(trainings, (signal.SIGKILL, signal.SIGTERM)))
        for place, (training, number) in enumerate(killed):
            count = arguments.kills // len(killed) + (place < arguments.kills % len(killed))
            kills = Kills(number=number, left=count, seconds=lasts[training], chance=chance)
            print(f"{training[0]}, {training[1]} processes, {count} kills:", flush=True)
            finished = disturb(folder, arguments.tokens, training, kills)
            ended += len(finished)
            same += sum(run.states() == wanted[training] for run in finished)
    print(f"{arguments.kills} signals were sent to running trainings")
    print(f"{same} of {ended} killed trainings have the same final bytes as the undisturbed one")
    sys.exit(same != ended)


if __name__ == "__main__":
    main()
