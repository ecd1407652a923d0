"""Locks of other workflows are reported; those of killed ones are removed."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from splitlaw.common.errors import UserError
from splitlaw.scheduling.slurm import QueuedJob
from splitlaw.workflow import session


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")  # no squeue
    return tmp_path


def leave_lock(folder):
    (folder / ".snakemake/locks").mkdir(parents=True, exist_ok=True)
    (folder / ".snakemake/locks/0.output.lock").write_text("results/x\n")


def leave_record(host, pid, command="snakemake"):
    session.RECORDS.mkdir(parents=True, exist_ok=True)
    about = {"host": host, "pid": pid, "command": command, "began": time.time()}
    (session.RECORDS / f"{host}-{pid}.json").write_text(json.dumps(about))


def squeue_without_a_cluster(folder, monkeypatch):
    """As installed by `apt-get install slurm-wlm`."""
    file = folder / "bin" / "squeue"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\necho squeue: error: no configuration >&2\nexit 1\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}{os.pathsep}/bin")


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_without_a_lock_nothing_is_reported(folder):
    session.check_lock(["--profile", "slurm"])


def test_the_lock_of_a_killed_workflow_is_reported_with_the_command_that_resumes(folder):
    leave_lock(folder)
    leave_record(socket.gethostname(), dead_process())
    wanted = (
        r"was killed here .* resume it with: python workflow_scripts/resume.py --profile slurm$"
    )
    with pytest.raises(UserError, match=wanted):
        session.check_lock(["--profile", "slurm"])
    session.check_lock(["--profile", "slurm", "-n"])
    session.check_lock(["--unlock"])
    assert session.resume(ignore_provenance=False) == ["the lock is removed"]
    session.check_lock(["--profile", "slurm"])


def test_a_squeue_without_a_cluster_is_ignored_unless_the_workflow_used_slurm(folder, monkeypatch):
    leave_lock(folder)
    squeue_without_a_cluster(folder, monkeypatch)
    with pytest.raises(UserError, match="was killed here"):
        session.check_lock([])
    assert session.resume(ignore_provenance=False) == ["the lock is removed"]
    leave_lock(folder)
    leave_record(socket.gethostname(), dead_process(), command="snakemake --profile slurm")
    with pytest.raises(UserError, match=r"squeue failed .*no configuration"):
        session.resume(ignore_provenance=False)


def test_a_workflow_on_another_machine_may_still_run(folder):
    leave_lock(folder)
    leave_record("login-of-another-machine", 5)
    with pytest.raises(
        UserError, match=r"a workflow on login-of-another-machine .* --ignore-provenance"
    ):
        session.check_lock([])
    with pytest.raises(UserError, match="a workflow is running here on login-of-another-machine"):
        session.resume(ignore_provenance=False)
    assert session.resume(ignore_provenance=True) == ["the lock is removed"]


def test_a_session_is_recorded_while_it_lasts(folder):
    file = session.begin(["snakemake", "report"])
    assert [found.pid for found in session.sessions()] == [os.getpid()]
    assert session.began() <= time.time()
    session.end()
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "dry"),
    [
        ("-n", True),
        ("--profile slurm -np evaluate", True),
        ("--dry-run=1", True),
        ("--lint", True),
        ("--cores 2 evaluate", False),
        ("--configfile new.yaml --until train_final", False),
    ],
)
def test_commands_without_jobs_are_recognised(arguments, dry):
    assert session.is_dry_run(arguments.split()) is dry


def test_a_message_names_the_first_few_jobs():
    jobs = [QueuedJob(identifier=str(n), state="PENDING", name=f"rule_{n}") for n in range(6)]
    assert session.describe(jobs[:1]) == "0 rule_0 pending"
    assert session.describe(jobs).endswith("3 rule_3 pending and 2 more")
