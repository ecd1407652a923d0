"""Trainings on one machine take a GPU each and wait when all are taken."""

import os
import select
import subprocess
import sys

import pytest

from splitlaw.training import gpus as devices

CLAIM = """
import sys, time
from pathlib import Path
from splitlaw.training import gpus as devices
devices.DRIVER = Path(sys.argv[1])
print(*devices.claim(int(sys.argv[2]), seconds=0.05), flush=True)
time.sleep(60)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A machine of two GPUs, with locks of its own."""
    for number in range(2):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in devices.GIVEN:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gpus"


def start(driver, root, count=1):
    path = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts")}
    words = [sys.executable, "-c", CLAIM, str(driver), str(count)]
    return subprocess.Popen(words, env=path, stdout=subprocess.PIPE, text=True)


def test_each_takes_its_own_and_the_third_waits(driver, root):
    first, second = start(driver, root), start(driver, root)
    assert {first.stdout.readline().strip(), second.stdout.readline().strip()} == {"0", "1"}
    third = start(driver, root, count=2)
    assert select.select([third.stdout], [], [], 1.0)[0] == []
    first.kill()
    second.kill()
    assert third.stdout.readline().strip() == "0 1"
    third.kill()


def test_where_a_scheduler_shares_them_out_nothing_is_claimed(driver, monkeypatch):
    monkeypatch.setattr(devices, "DRIVER", driver)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert devices.claim() == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_where_there_is_no_gpu_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "none")
    assert devices.claim() == []
