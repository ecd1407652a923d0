"""Trainings on one machine lock a GPU each and wait while all are locked."""

import os
import select
import signal
import subprocess
import sys

import pytest

from splitlaw.training import gpus

CLAIM = """
import sys, time
from pathlib import Path
from splitlaw.training import gpus
gpus.DRIVER = Path(sys.argv[1])
print(*gpus.claim(int(sys.argv[2]), seconds=0.05), flush=True)
time.sleep(60)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """The driver's folder of a machine with two GPUs; locks are in a temporary folder."""
    for number in range(2):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in gpus.ALLOCATION_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gpus"


def start(driver, root, count=1):
    path = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts")}
    command = [sys.executable, "-c", CLAIM, str(driver), str(count)]
    return subprocess.Popen(command, env=path, stdout=subprocess.PIPE, text=True)


def test_each_training_locks_its_own_and_the_third_waits(driver, root):
    first, second = start(driver, root), start(driver, root)
    assert {first.stdout.readline().strip(), second.stdout.readline().strip()} == {"0", "1"}
    third = start(driver, root, count=2)
    assert select.select([third.stdout], [], [], 1.0)[0] == []
    first.kill()
    second.kill()
    assert third.stdout.readline().strip() == "0 1"
    third.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_is_released_when_its_process_dies(driver, root, number):
    first = start(driver, root, count=2)
    assert first.stdout.readline().strip() == "0 1"
    second = start(driver, root)
    assert select.select([second.stdout], [], [], 1.0)[0] == []
    first.send_signal(number)
    assert second.stdout.readline().strip() == "0"
    second.kill()


def test_nothing_is_locked_where_a_scheduler_allocates_gpus(driver, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER", driver)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert gpus.claim() == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_nothing_is_locked_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    assert gpus.claim() == []
