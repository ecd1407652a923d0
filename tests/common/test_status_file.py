"""The status file of a job: how often it is written, its state at the end, and lost jobs."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from planted_tokens import job_of

from splitlaw.common import status, status_file
from splitlaw.common.errors import UserError, exit_status
from splitlaw.common.progress import Progress
from splitlaw.common.status import LOST_AFTER, Status, StatusReader, item_of, read_status
from splitlaw.common.status_file import StatusFile, current, job_status, results_folder


@pytest.fixture
def file(tmp_path):
    return tmp_path / "status/pretrain-w16-seed0.json"


@pytest.fixture
def often(monkeypatch):
    """Statuses are written every hundredth of a second."""
    monkeypatch.setattr(status_file, "INTERVAL", 0.01)
    monkeypatch.setattr(status_file, "HEARTBEAT", 0.1)


def written(**changes):
    about = {
        "stage": "pretrain",
        "state": "running",
        "started": 0.0,
        "written": time.time(),
        "host": "elsewhere",
        "pid": 1,
    }
    return Status(**{**about, **changes})


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_job_writes_its_progress(file, often):
    with StatusFile(file, stage="pretrain", item="w16 seed0", out="trunk.json"):
        begun = read_status(file)
        progress = Progress("w16 trunk", quiet=True)
        progress.expect(3000)
        progress.add(1000)
        time.sleep(0.01)
        progress.add(1000)
        wait_for(lambda: read_status(file).done == 2000)
        half = read_status(file)
    assert (begun.state, begun.done, begun.host) == ("running", None, socket.gethostname())
    assert (begun.stage, begun.item, begun.out) == ("pretrain", "w16 seed0", "trunk.json")
    assert begun.pid == os.getpid()
    assert (half.state, half.total, half.unit) == ("running", 3000, "tokens")
    assert half.message == "w16 trunk"
    assert half.fraction == pytest.approx(2 / 3)
    assert half.tokens_per_second > 0
    assert half.seconds_left > 0
    ended = read_status(file)
    assert (ended.state, ended.done, ended.nothing_to_do) == ("done", 2000, False)
    assert json.loads(file.read_text())["schema_version"] == 1
    assert current() is None


def test_an_activity_that_ended_is_no_longer_shown(file, often):
    with StatusFile(file, stage="prepare_corpus"):
        with Progress("reading", unit="B", stream=io.StringIO()) as progress:
            progress.add(5)
            wait_for(lambda: read_status(file).message == "reading")
        wait_for(lambda: read_status(file).message == "")
        assert read_status(file).done is None


def test_a_status_is_written_at_most_once_a_second(file, monkeypatch):
    times = []
    monkeypatch.setattr(
        status_file, "write_json", lambda path, content: times.append(time.monotonic())
    )
    with StatusFile(file, stage="pretrain"):
        progress = Progress("w16 trunk", quiet=True)
        progress.expect(10**9)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            progress.add(1)
            time.sleep(0.001)
    assert len(times) == 4  # the beginning, two seconds, the end
    assert min(after - before for before, after in pairwise(times[:-1])) >= 0.99


def test_a_status_that_does_not_change_is_written_as_a_heartbeat(file, often):
    with StatusFile(file, stage="fit_law"):
        first = read_status(file).written
        wait_for(lambda: read_status(file).written > first)
        assert read_status(file).written - first >= 0.1


def test_a_reader_never_sees_half_a_file(file, often):
    seen, ended = [], threading.Event()

    def read():
        while not ended.is_set():
            if file.exists():
                seen.append(json.loads(file.read_text())["state"])

    reader = threading.Thread(target=read)
    reader.start()
    with StatusFile(file, stage="pretrain"):
        progress = Progress("w16 trunk", quiet=True)
        progress.expect(10**9)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            progress.add(1)
            time.sleep(0.001)
    ended.set()
    reader.join()
    assert set(seen) <= {"running", "done"}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (UserError("a.csv: no rows;\nadd some"), "failed", "error: a.csv: no rows; add some"),
        (KeyError("a"), "failed", "KeyError: 'a'"),
        (KeyboardInterrupt(), "stopped", ""),
        (SystemExit(143), "stopped", ""),
        (SystemExit(1), "failed", ""),
        (SystemExit(0), "done", ""),
    ],
)
def test_the_end_of_a_job_is_written(error, state, message, file):
    def action():
        raise error

    with suppress(KeyError, SystemExit):
        exit_status(action, StatusFile(file, stage="pretrain"))
    ended = read_status(file)
    assert (ended.state, ended.message) == (state, message)


def test_a_status_that_cannot_be_written_does_not_end_the_job(file):
    file.parent.write_text("in the way of the folder")
    with StatusFile(file, stage="pretrain"):
        pass


def test_a_job_that_found_all_its_models_had_nothing_to_do(file):
    with StatusFile(file, stage="specialize"):
        for total in (0, 0):
            Progress("w16 law", quiet=True).expect(total)
    assert read_status(file).nothing_to_do
    with StatusFile(file, stage="specialize"):
        for total in (100, 0):
            Progress("w16 law", quiet=True).expect(total)
    assert not read_status(file).nothing_to_do
    with StatusFile(file, stage="fit_law"):
        pass
    assert not read_status(file).nothing_to_do


@pytest.mark.parametrize(
    ("first", "code", "state", "message"),
    [
        (UserError("too few"), 2, "failed", "error: too few"),
        (SystemExit(143), 1, "failed", ""),  # another process failed, and ended the first one
        (None, 0, "done", ""),
    ],
)
def test_of_several_processes_the_first_writes_and_their_parent_the_end(
    first, code, state, message, file
):
    def rank0():
        Progress("w16 trunk", quiet=True).expect(3000)
        if first is not None:
            raise first

    with pytest.raises(SystemExit), StatusFile(file, stage="pretrain"):
        current().hand_over()
        with suppress(SystemExit):
            exit_status(rank0, StatusFile(file, stage="pretrain"))
        sys.exit(code)
    ended = read_status(file)
    assert (ended.state, ended.message, ended.total) == (state, message, 3000)


def test_jobs_are_named_by_their_arguments_or_the_folder_of_their_output(tmp_path):
    (tmp_path / "experiment.json").write_text("{}")
    training = {"results": tmp_path, "size": "w16", "seed": 0}

    def name(command, **arguments):
        given = job_status(command, arguments)
        return given.file.name, given._job.stage, given._job.item

    assert name("specialize", **training, domain="law", out=tmp_path / "runs/losses.csv") == (
        "specialize-w16-seed0-law.json",
        "specialize",
        "w16 seed0 law",
    )
    assert name("choose_split", out=str(tmp_path / "split/w16/14336/plan.json")) == (
        "choose_split-w16-14336.json",
        "choose_split",
        "w16 14336",
    )
    assert name("tokenize", domain="law", out=tmp_path / "tokens/law")[0] == "tokenize-law.json"
    assert name("fit_law", seed=0, out=tmp_path / "law/fit.json")[0] == "fit_law.json"
    assert name("train_frontier", **training, budget="9", out=tmp_path / "f/l.csv") == (
        "train_frontier-w16-9-seed0.json",
        "frontier",
        "w16 9 seed0",
    )
    assert item_of({"seed": "1", "size": "w16", "strategy": "half"}) == "w16 seed1 half"


def test_commands_outside_of_an_experiment_write_none(tmp_path, monkeypatch):
    assert isinstance(job_status("fit_law", {"out": tmp_path / "fit.json"}), nullcontext)
    assert isinstance(job_status("report", {"results": tmp_path, "out": None}), nullcontext)
    (tmp_path / "experiment.json").write_text("{}")
    assert results_folder({"out": tmp_path / "law/fit.json"}) == tmp_path
    monkeypatch.setenv("RANK", "1")
    assert isinstance(job_status("fit_law", {"out": tmp_path / "fit.json"}), nullcontext)


def test_a_running_job_whose_status_is_old_is_lost():
    now = time.time()
    assert not written(written=now - 0.9 * LOST_AFTER).is_lost(now)
    assert written(written=now - 1.1 * LOST_AFTER).is_lost(now)
    assert not written(written=now - 1.1 * LOST_AFTER, state="done").is_lost(now)
    assert not written(host=socket.gethostname(), pid=os.getpid()).is_lost(now)


def test_a_job_that_is_killed_on_this_machine_is_lost_at_once(file):
    program = """
import sys, time
from pathlib import Path
from splitlaw.common.status_file import StatusFile
with StatusFile(Path(sys.argv[1]), stage="pretrain"):
    time.sleep(60)
"""
    package = str(Path(status.__file__).parents[2])
    job = subprocess.Popen(
        [sys.executable, "-c", program, str(file)], env={**os.environ, "PYTHONPATH": package}
    )
    wait_for(file.exists)
    assert not read_status(file).is_lost(time.time())
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert read_status(file).state == "running"
    assert read_status(file).is_lost(time.time())


def test_a_reader_skips_what_is_no_status_and_reads_ended_jobs_once(file, monkeypatch):
    with StatusFile(file, stage="pretrain"):
        pass
    (file.parent / "damaged.json").write_text("{")
    (file.parent / "other.json").write_text("{}")
    reader = StatusReader(file.parent.parent)
    assert [found.state for found in reader.read()] == ["done"]
    read = []
    monkeypatch.setattr(status, "read_status", read.append)
    assert [found.state for found in reader.read()] == ["done"]
    assert file not in read
    assert StatusReader(file.parent).read() == []


def test_the_status_of_a_real_training(tokens):
    from splitlaw.experiment.lineage import Run
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages import grid

    job = job_of(tokens, "fit")
    out = tokens / "runs/tiny/seed0/trunk.json"
    runs = [Run(domain="law", pretrain_steps=20, specialize_steps=10)]
    arguments = {"results": tokens, "size": "tiny", "seed": 0, "out": out}
    execution = ExecutionConfig(device="cpu", compile=False)
    for nothing_to_do in (False, True):
        with job_status("pretrain", arguments):
            grid.train_trunk(job, runs, "trunk", execution=execution, out=out)
        (found,) = StatusReader(tokens).read()
        assert (found.stage, found.item, found.state) == ("pretrain", "tiny seed0", "done")
        assert found.unit == "tokens"
        assert found.done == found.total
        assert found.nothing_to_do is nothing_to_do
