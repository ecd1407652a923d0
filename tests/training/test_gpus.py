"""Trainings on one machine lock a GPU each and wait while all are locked."""

import os
import select
import signal
import subprocess
import sys

import pytest
import torch

from splitlaw.common.errors import UserError
from splitlaw.training import gpus
from splitlaw.training.processes import check_gpu_count, resolve_device

UUIDS = [f"GPU-{number}f2a5b1c-3d4e-5f60-7182-93a4b5c6d7e8" for number in range(2)]
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
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA\nGPU UUID: \t {UUIDS[number]}\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in gpus.ALLOCATION_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gpus"


def start(driver, root, count=1, **variables):
    path = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts"), **variables}
    command = [sys.executable, "-c", CLAIM, str(driver), str(count)]
    return subprocess.Popen(
        command, env=path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


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


@pytest.mark.parametrize(
    "names",
    [["2", "5"], UUIDS, ["MIG-5c89852c-d268-c3f3-1b07-005d5ae1dc3f", f"MIG-{UUIDS[0]}/7/0"]],
    ids=["indices", "UUIDs", "MIG"],
)
def test_assigned_gpus_are_divided_among_local_trainings(driver, root, names):
    """As in `salloc --gres=gpu:2`: snakemake issue 281."""
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(names), "SLURM_JOB_ID": "7"}
    one, other = start(driver, root, **variables), start(driver, root, **variables)
    assert {one.stdout.readline().strip(), other.stdout.readline().strip()} == set(names)
    third = start(driver, root, **variables)
    assert third.stderr.readline().startswith("waiting for a free GPU among ")
    one.kill()
    other.kill()
    assert third.stdout.readline().strip() in names
    third.kill()


def test_an_index_and_a_uuid_of_one_gpu_have_one_lock(driver, root):
    first = start(driver, root, CUDA_VISIBLE_DEVICES="1")
    assert first.stdout.readline().strip() == "1"
    second = start(driver, root, CUDA_VISIBLE_DEVICES=",".join(reversed(UUIDS)))
    assert second.stdout.readline().strip() == UUIDS[0]
    for process in (first, second):
        process.kill()


def test_trainings_of_one_slurm_job_share_its_only_gpu(driver, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER", driver)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", UUIDS[1])
    assert gpus.claim() == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == UUIDS[1]


@pytest.mark.parametrize(
    ("text", "names"),
    [("", []), ("-1", []), ("NoDevFiles", []), ("0,-1,2", ["0"]), ("0, 1", ["0", "1"])],
)
def test_the_list_of_visible_gpus_ends_as_in_cuda(monkeypatch, text, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    assert gpus.visible_gpus() == names


@pytest.fixture
def without_gpu(driver, tmp_path, monkeypatch):
    """A machine whose GPUs torch cannot use: this one has none, or a build for CPUs."""
    if torch.cuda.is_available():
        pytest.skip("torch finds a GPU here")
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)


def test_a_requested_gpu_that_is_not_found_is_refused(without_gpu):
    """Verba issue 72: the job trained on the CPU for days."""
    with pytest.raises(UserError, match=r"^a GPU was requested, but torch \S+ finds none \(.+\);"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        ({"CUDA_VISIBLE_DEVICES": "MIG-5c89852c"}, "CUDA_VISIBLE_DEVICES is MIG-5c89852c"),
        ({"SLURM_JOB_GPUS": "0", "SLURM_JOB_ID": "7"}, "SLURM_JOB_GPUS is 0"),
    ],
)
def test_a_gpu_of_the_scheduler_that_is_not_found_is_refused(
    without_gpu, monkeypatch, variables, given
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"^{given}, but torch .* set execution.device to cpu"):
        resolve_device("auto")
    assert resolve_device("cpu").type == "cpu"


def test_a_gpu_of_the_machine_that_torch_cannot_use_is_refused(without_gpu, driver, tmp_path):
    gpus.DRIVER = driver
    assert resolve_device("auto").type == "cpu"  # a container without the device files
    (tmp_path / "nvidia0").touch()
    with pytest.raises(UserError, match=r"^this machine has an NVIDIA GPU, but torch"):
        resolve_device("auto")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_leave_the_cpu(without_gpu, driver, tmp_path, monkeypatch, hidden):
    gpus.DRIVER = driver
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert resolve_device("auto").type == "cpu"


def test_fewer_gpus_than_processes_are_refused():
    with pytest.raises(UserError, match=r"^execution\.processes is 4, but torch finds 2 GPU"):
        check_gpu_count(2, 4)


def test_nothing_is_locked_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    assert gpus.claim() == []
