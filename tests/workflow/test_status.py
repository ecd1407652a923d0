"""The command `splitlaw status`: a table of jobs from their status files."""

import io
import json
import socket
import subprocess
import sys
import time

import pytest
from planted_tokens import JOB
from rich.console import Console

from splitlaw.common.files import write_json
from splitlaw.common.status import StatusReader
from splitlaw.workflow.status import show_status


def report(results, name, **fields):
    now = time.time()
    about = {"started": now - 60, "written": now, "host": "c1", "pid": 7, "state": "running"}
    stage, _, item = name.partition(" ")
    content = {"stage": stage, "item": item, **about, **fields}
    write_json(results / f"status/{name.replace(' ', '-')}.json", content)


def shown(*arguments, width=100, **options):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show_status(*arguments, console=console, **options)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_without_jobs_there_is_one_line(tmp_path):
    (line,) = shown(root=tmp_path, width=300)
    assert line == f"No job has written a status below {tmp_path / 'results'}."
    (tmp_path / "results/smoke/status").mkdir(parents=True)
    assert len(shown(root=tmp_path, width=300)) == 1


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/smoke"
    speed = {"tokens_per_second": 9012.0, "seconds_left": 125.0}
    amount = {"done": 1_200_000, "total": 4_000_000, "unit": "tokens", "message": "w16 trunk"}
    report(folder, "specialize w16 seed0 law", **speed, **amount)
    report(folder, "prepare_corpus", done=5_000_000, unit="B", message="reading")
    report(folder, "fit_law")
    report(folder, "pretrain w16 seed0", state="done", **amount)
    report(folder, "pretrain w24 seed0", state="failed", message="error: too few; add text")
    report(folder, "pretrain w32 seed0", state="stopped")
    report(folder, "pretrain w40 seed0", written=time.time() - 185, slurm_job_id="12")
    return folder


def test_jobs_are_listed_by_stage_in_the_order_of_the_data(results, tmp_path):
    lines = shown(results, root=tmp_path, width=140)
    bar = str.maketrans("", "", "━╸╺")
    assert [" ".join(line.translate(bar).split()) for line in lines] == [
        "results/smoke: 3 running, 1 done, 1 failed, 1 stopped, 1 lost",
        "prepare_corpus 1 running",
        "prepare_corpus running reading 5.00MB",
        "pretrain 1 done, 1 failed, 1 stopped, 1 lost",
        "w24 seed0 failed error: too few; add text, 0 s ago",
        "w32 seed0 stopped 0 s ago",
        "w40 seed0 lost last report 3:05 min ago, c1, process 7, Slurm job 12",
        "specialize 1 running",
        "w16 seed0 law 1.20M of 4.00M tokens, 9,012 tokens/s, 2:05 min left",
        "fit_law 1 running",
        "fit_law running for 1:00 min",
    ]


def test_a_narrow_terminal_wraps_the_details(results, tmp_path):
    lines = shown(results, root=tmp_path, width=60)
    assert max(map(len, lines)) <= 60
    assert "process 7, Slurm job 12" in " ".join(" ".join(lines).split())


def test_all_experiments_of_a_checkout_are_shown(results, tmp_path):
    report(tmp_path / "results/other", "fit_law", state="done")
    lines = shown(root=tmp_path, width=300)
    assert "results/other: 1 done" in lines
    assert any(line.startswith("results/smoke: 3 running") for line in lines)


def test_a_job_that_was_killed_on_this_machine_is_lost(results):
    job = subprocess.Popen(["sleep", "60"])
    report(results, "report", host=socket.gethostname(), pid=job.pid)
    assert not any("lost" in line for line in shown(results)[-2:])
    job.kill()
    job.wait()
    lines = shown(results)
    assert "lost" in lines[-1] and f"process {job.pid}" in lines[-1]


def test_watching_ends_with_ctrl_c(results, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("splitlaw.workflow.status.time.sleep", interrupt)
    assert any("specialize" in line for line in shown(results, watch=True))


def command(root, results, **execution):
    """A training of a second, as the workflow starts it."""
    execution = {"compile": False, "device": "cpu", **execution}
    words = ["--config", json.dumps(JOB), "--size", "s", "--results", str(results)]
    words += ["--execution", json.dumps(execution), "--out", str(results / "runs/law/losses.csv")]
    script = str(root / "workflow_scripts/specialize.py")
    return [sys.executable, script, *words, "--domain", "general", "--domains", "law"]


def test_a_training_in_two_processes_is_one_job(root, tokens):
    def train():
        return subprocess.run(command(root, tokens, processes=2), capture_output=True, text=True)

    for before in (False, True):
        done = train()
        assert done.returncode == 0, done.stderr
        (status,) = StatusReader(tokens).read()
        assert (status.state, status.item) == ("done", "s seed0 general")
        assert status.nothing_to_do is before
    (tokens / "tokens/law/tokens.json").unlink()
    refused = train()
    assert refused.returncode == 2
    (status,) = StatusReader(tokens).read()
    assert (status.state, status.message) == ("failed", refused.stderr.splitlines()[-1])


def test_a_training_that_is_killed_is_lost(root, tokens):
    job = subprocess.Popen(command(root, tokens), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (running := StatusReader(tokens).read()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert running[0].state == "running"
    job.kill()
    job.wait()
    assert shown(tokens, root=tokens.parent)[0] == f"{tokens.name}: 1 lost"
