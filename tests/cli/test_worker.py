"""Commands that a worker runs: the same files, streams and exit status as without it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from splitlaw.cli import worker
from splitlaw.common.files import read_json
from splitlaw.training.gpus import count_gpus
from splitlaw.training.model import can_compile

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or count_gpus() > 0,
    reason="a worker is started on Linux without a GPU only",
)

PACKAGE = Path(worker.__file__).parents[2]
START = """
import os, sys, time
from splitlaw.cli import worker
worker.start()
while not worker.is_ready(os.environ[worker.ADDRESS]):
    time.sleep(0.05)
print(os.environ[worker.ADDRESS], worker._started[0].pid, flush=True)
sys.stdin.read()
"""
"""A process that starts a worker and ends when its standard input does, as a workflow would."""


@contextmanager
def working():
    """The environment of a command with a worker, the worker, and the process that started it."""
    own = Path(sys.executable).parent
    environment = {
        # Those of the compiler are set by the process of the tests, and not by a user.
        **{name: value for name, value in os.environ.items() if not name.startswith("TORCH")},
        "PYTHONPATH": str(PACKAGE),
        "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
        **dict.fromkeys(worker.THREADS, "1"),
    }
    program = [sys.executable, "-c", START]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, env=environment, **pipes) as parent:
        address, pid = parent.stdout.readline().split()
        yield {**environment, worker.ADDRESS: address}, psutil.Process(int(pid)), parent
        parent.stdin.close()


@pytest.fixture(scope="module")
def started():
    """A worker that several tests share."""
    with working() as made:
        yield made


@pytest.fixture
def own_worker():
    """A worker of one test."""
    with working() as made:
        yield made


def command(
    tokens: Path, *, steps: int = 12, compiled: bool = False, **changes: object
) -> list[str]:
    config = {
        "split": "fit",
        "shape": {
            "vocabulary": 32,
            "width": 8,
            "layers": 1,
            "heads": 2,
            "intermediate": 16,
            "context": 8,
        },
        "training": {
            "batch_tokens": 64,
            "warmup_tokens": 256,
            "cooldown_fraction": 0.2,
            "learning_rate": 0.01,
            "reference_params": 1000,
            "learning_rate_exponent": 0.0,
            "weight_decay": 0.1,
            "betas": [0.9, 0.95],
            "clip": 1.0,
            **changes,
        },
        "cells": [[steps, 4]],
        "unsplit": [],
        "test_tokens": 100,
    }
    execution = {"compile": compiled, "device": "cpu", "repeat": True, "checkpoint_seconds": 1000}
    words = ["pretrain", "--config", json.dumps(config), "--execution", json.dumps(execution)]
    return [*words, "--size", "small", "--results", str(tokens), "--out", str(tokens / "trunk")]


def start(words: list[str], environment: dict[str, str], **options: object) -> subprocess.Popen:
    program = [sys.executable, "-m", "splitlaw", *words]
    return subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True, **options)


def states(tokens: Path) -> dict[str, bytes]:
    files = sorted(tokens.glob("checkpoints/**/*.safetensors"))
    return {str(file.relative_to(tokens)): file.read_bytes() for file in files}


def last_line(log: str) -> str:
    """The last line without the figures of speed."""
    return log.splitlines()[-1].split(",")[0]


def wait_for(found: Callable[[], list], *, seconds: float = 60) -> list:
    """The value of `found` once it is not empty."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("nothing is found")


def child_of(started_worker: psutil.Process, *, seconds: float = 60) -> psutil.Process:
    """The child that runs a command, once it trains."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in started_worker.children():
            if child.num_threads() > 2:  # itself, the one that follows the command, the status
                return child
        time.sleep(0.02)
    raise AssertionError("the worker has started no child")


def test_a_worker_gives_the_same_states_streams_and_status(started, tokens):
    environment, process, _ = started
    before = process.cpu_times().children_user
    without = {name: value for name, value in environment.items() if name != worker.ADDRESS}
    first = start(command(tokens), environment)
    log = first.communicate()[1]
    assert first.returncode == 0, log
    trained = states(tokens)
    assert trained
    assert process.cpu_times().children_user > before, "the worker's child did the work"
    for name in trained:
        (tokens / name).unlink()
    (tokens / "trunk").unlink()
    second = start(command(tokens), without)
    assert last_line(second.communicate()[1]) == last_line(log)
    assert second.returncode == 0
    assert states(tokens) == trained


@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="requires a C++ compiler")
def test_commands_of_a_shape_share_what_is_compiled(started, tokens):
    """The bits are those of a command that compiles the step itself."""
    environment, process, _ = started
    without = {name: value for name, value in environment.items() if name != worker.ADDRESS}
    runs = []
    for environ in (without, environment, environment):
        run = start(command(tokens, compiled=True), environ)
        log = run.communicate()[1]
        assert run.returncode == 0, log
        trunk = read_json(tokens / "trunk")
        assert trunk["compiled"]
        runs.append((states(tokens), trunk["compile_seconds"]))
        for name in runs[0][0]:
            (tokens / name).unlink()
        (tokens / "trunk").unlink()
    assert runs[0][0] and runs[0][0] == runs[1][0] == runs[2][0]
    assert max(runs[1][1], runs[2][1]) < runs[0][1] / 2
    assert len(process.children()) == 1, "the worker that has compiled the step"


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_standard_output_may_be_a_pipe_or_a_file(started, tokens, tmp_path, kind):
    environment, *_ = started
    with (tmp_path / "out").open("w") as file:
        out = {"pipe": subprocess.PIPE, "file": file}[kind]
        run = start(command(tokens), environment, stdout=out)
        log = run.communicate()[1]
    assert run.returncode == 0, log


def test_an_error_of_the_user_is_one_line_and_status_2(started, tokens):
    environment, *_ = started
    run = start(command(tokens, clip="high"), environment, cwd=tokens)
    assert "training.clip" in run.communicate()[1]
    assert run.returncode == 2


def test_sigterm_is_passed_on_and_a_state_is_stored(started, tokens):
    environment, process, _ = started
    words = command(tokens, steps=200_000)
    run = start(words, environment)
    child_of(process)
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    assert "stopped by signal 15" in run.communicate(timeout=60)[1]
    assert run.returncode == 143
    assert states(tokens), "the state is stored"


def test_ctrl_z_stops_the_child_too_and_both_continue(started, tokens):
    environment, process, _ = started
    run = start(command(tokens, steps=200_000), environment)
    child, shown = child_of(process), psutil.Process(run.pid)
    run.send_signal(signal.SIGTSTP)
    assert has_state({shown, child}, {psutil.STATUS_STOPPED})
    run.send_signal(signal.SIGCONT)
    assert has_state({shown, child}, {psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING})
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 143


def has_state(processes, states):
    """Whether all processes have one of the states within 20 s."""
    for _ in range(1000):
        if all(process.status() in states for process in processes):
            return True
        time.sleep(0.02)
    return False


def test_a_command_that_is_killed_ends_its_child(started, tokens):
    environment, process, _ = started
    run = start(command(tokens, steps=200_000), environment)
    child = child_of(process)
    run.kill()
    child.wait(timeout=20)
    assert process.is_running()


def test_a_command_whose_worker_is_killed_ends_at_once(own_worker, tokens):
    """At first that of a shape, which is not used again, and then the one that has forked it."""
    environment, process, _ = own_worker
    words = command(tokens, steps=200_000, compiled=True)
    run = start(words, environment)
    (compiled,) = wait_for(process.children)
    child = child_of(compiled)
    compiled.kill()
    assert run.wait(timeout=20) == 137
    child.wait(timeout=20)
    run = start(words, environment)
    child = child_of(process)
    process.kill()
    assert run.wait(timeout=20) == 137
    child.wait(timeout=20)


def test_the_worker_ends_with_the_process_that_has_started_it(started, tokens):
    environment, process, parent = started
    run = start(command(tokens, compiled=True), environment)
    assert run.wait(timeout=60) == 0
    (tokens / "trunk").unlink()
    others = process.children()
    parent.stdin.close()
    parent.wait(timeout=20)
    process.wait(timeout=20)
    psutil.wait_procs(others, timeout=20)
    assert not any(other.is_running() for other in others)
    run = start(command(tokens), environment)
    assert run.communicate()[1] and run.returncode == 0, "the command does the work itself"
