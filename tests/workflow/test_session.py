"""Locks and results folders of other workflows are told; what a killed one left is cleared."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from splitlaw.common.errors import UserError
from splitlaw.workflow import session

IDENTITY = {"sizes": {"w16": {"width": 16}}, "training": {"clip": 1.0}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")  # no squeue
    return tmp_path


def leave_lock(folder):
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").write_text("results/x\n")


def leave_record(host, pid):
    session.RECORDS.mkdir(parents=True, exist_ok=True)
    about = {"host": host, "pid": pid, "command": "snakemake", "began": time.time()}
    (session.RECORDS / f"{host}-{pid}.json").write_text(json.dumps(about))


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_no_lock_no_word(folder):
    session.check_lock(["--profile", "slurm"])


def test_a_lock_left_behind_is_told_with_the_command_that_goes_on(folder):
    leave_lock(folder)
    leave_record(socket.gethostname(), dead_process())
    wanted = r"was killed here .* go on with: python workflow_scripts/resume.py --profile slurm$"
    with pytest.raises(UserError, match=wanted):
        session.check_lock(["--profile", "slurm"])
    session.check_lock(["--profile", "slurm", "-n"])
    session.check_lock(["--unlock"])
    assert session.resume(ignore_provenance=False) == ["the lock is removed"]
    session.check_lock(["--profile", "slurm"])


def test_a_lock_of_another_machine_is_not_taken_for_dead(folder):
    leave_lock(folder)
    leave_record("login-of-another-machine", 5)
    with pytest.raises(
        UserError, match=r"a workflow on login-of-another-machine .* --ignore-provenance"
    ):
        session.check_lock([])
    with pytest.raises(UserError, match="a workflow runs here on login-of-another-machine"):
        session.resume(ignore_provenance=False)
    assert session.resume(ignore_provenance=True) == ["the lock is removed"]


def test_a_session_is_on_record_while_it_lasts(folder):
    file = session.begin(["snakemake", "report"])
    assert [found.pid for found in session.sessions()] == [os.getpid()]
    assert session.since() <= time.time()
    session.end()
    assert not file.exists()


def test_a_results_folder_of_another_configuration_is_refused(tmp_path):
    session.check_results(tmp_path / "r", IDENTITY)
    session.check_results(tmp_path / "r", IDENTITY)
    added = {**IDENTITY, "sizes": {**IDENTITY["sizes"], "w24": {"width": 24}}}
    session.check_results(tmp_path / "r", added)
    (tmp_path / "r/runs").mkdir()
    with pytest.raises(UserError, match=r"training.clip was 1.0, is 2.0\); give `experiment`"):
        session.check_results(tmp_path / "r", {**added, "training": {"clip": 2.0}})


def test_a_sweep_may_change_the_rates_until_a_grid_is_trained(tmp_path):
    def at(rate, clip=1.0):
        return {**IDENTITY, "training": {"clip": clip, "learning_rate": rate}}

    session.check_results(tmp_path / "r", at(1e-3))
    session.check_results(tmp_path / "r", at(2e-3))
    with pytest.raises(UserError, match=r"training\.clip was 1\.0, is 2\.0"):
        session.check_results(tmp_path / "r", at(2e-3, clip=2.0))
    (tmp_path / "r/runs").mkdir()
    with pytest.raises(UserError, match=r"training\.learning_rate was 0\.002, is 0\.003"):
        session.check_results(tmp_path / "r", at(3e-3))


def test_a_results_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"results/x: cannot be written \(Not a directory\)"):
        session.check_results(tmp_path / "results/x", IDENTITY)
