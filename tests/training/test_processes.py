"""Several real processes over gloo: the losses of one process, and reproducible bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from planted_tokens import JOB, write_tokens

ROOT = Path(__file__).parents[2]


def command(results: Path, **execution) -> list[str]:
    execution = {"compile": False, "device": "cpu", **execution}
    options = ["--config", json.dumps(JOB), "--size", "s", "--results", str(results)]
    options += ["--execution", json.dumps(execution), "--out", str(results / "runs/law/losses.csv")]
    script = str(ROOT / "workflow_scripts/specialize.py")
    return [sys.executable, script, *options, "--domain", "general", "--domains", "law"]


def train(results: Path, **execution) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(results, **execution), capture_output=True, text=True, timeout=200
    )


def log(results: Path) -> pd.DataFrame:
    files = sorted(results.glob("checkpoints/**/train_log.csv"))
    return pd.concat([pd.read_csv(file) for file in files], ignore_index=True)


def final_state(results: Path) -> bytes:
    (file,) = results.glob("checkpoints/**/*-to-*/*.safetensors")
    return file.read_bytes()


def losses(results: Path) -> list[float]:
    return pd.read_csv(results / "runs/law/losses.csv")["loss"].to_list()


def folder(tokens: Path, name: str) -> Path:
    """A folder of results that reads the same tokens as the others."""
    (tokens / name).mkdir()
    (tokens / name / "tokens").symlink_to(tokens / "tokens")
    return tokens / name


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """Tokens, and the results of one and of two processes without interruption."""
    tokens = tmp_path_factory.mktemp("distributed")
    for number, domain in enumerate(["general", "law"]):
        write_tokens(tokens / "tokens" / domain, train=6000, documents=[9, 40, 17], seed=number)
    assert train(folder(tokens, "one")).returncode == 0
    done = train(folder(tokens, "two"), processes=2)
    assert done.returncode == 0
    assert done.stderr.count("done") == 1, "only one process prints"
    return tokens


def assert_as_one(planted: Path, results: Path) -> None:
    """Assert that the logged and the final losses are those of one process."""
    one, several = (log(part).drop(columns="gradient_norm") for part in (planted / "one", results))
    pd.testing.assert_frame_equal(one, several, rtol=1e-5, atol=0)
    assert losses(results) == pytest.approx(losses(planted / "one"), rel=1e-5)


def test_two_processes_train_as_one_does(planted):
    assert_as_one(planted, planted / "two")


def test_two_processes_with_a_sharded_model_train_as_one_does(planted):
    results = folder(planted, "sharded")
    done = train(results, processes=2, shard=True, microbatch=1)
    assert done.returncode == 0, done.stderr
    assert_as_one(planted, results)


def stop(results: Path, number: int, **execution) -> subprocess.Popen:
    """Start a training and send it a signal in the middle."""
    run = subprocess.Popen(command(results, **execution), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not any(len(pd.read_csv(f)) > 2 for f in results.glob("checkpoints/**/train_log.csv")):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(run.pid, number)
    run.wait(timeout=100)
    return run


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGTERM, 2), (signal.SIGUSR1, 1)])
def test_a_stopped_run_continues_with_any_number_of_processes(planted, number, processes):
    results = folder(planted, f"stopped{processes}")
    run = stop(results, number, processes=2)
    assert run.returncode == 128 + number
    assert "the same command resumes" in run.stderr.read()
    assert list(results.glob("checkpoints/**/*.resume.safetensors"))
    assert train(results, processes=processes).returncode == 0
    assert_as_one(planted, results)
    if processes == 2:
        assert final_state(results) == final_state(planted / "two")
        assert losses(results) == losses(planted / "two")


PLAN = {
    "trunk": "shared",
    "law": "additive",
    "candidates": [],
    "pretrain_tokens": 320,
    "specialize_tokens": {"law": 960},
    "predicted_loss": {"law": [None] * 3},
    "baselines": [
        {
            "strategy": "joint",
            "law": None,
            "pretrain_tokens": 320,
            "specialize_tokens": {"law": 960},
            "predicted_loss": {"law": [None] * 3},
        }
    ],
}


def joint(tokens: Path, results: Path) -> list[str]:
    """The command that trains one model on general text and law, in two processes."""
    (tokens / "plan.json").write_text(json.dumps(PLAN))
    (results / "tokenizer").mkdir(exist_ok=True)
    words = command(results, processes=2, checkpoint_seconds=0.001)
    words = words[: words.index("--domain")]
    words[1] = str(ROOT / "workflow_scripts/train_final.py")
    words[words.index("--out") + 1] = str(results / "final/joint/losses.csv")
    return [*words, "--strategy", "joint", "--budget", "1280", "--plan", str(tokens / "plan.json")]


def test_a_stopped_mixture_ends_in_the_bits_of_an_undisturbed_one(planted):
    whole, stopped = (folder(planted, f"joint-{name}") for name in ("whole", "stopped"))
    done = subprocess.run(joint(planted, whole), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = subprocess.Popen(joint(planted, stopped), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not list(stopped.glob("checkpoints/**/*.resume.safetensors")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=100) == 128 + signal.SIGTERM
    done = subprocess.run(joint(planted, stopped), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert final_state(stopped) == final_state(whole)


def test_more_processes_than_a_batch_has_windows_are_refused_in_a_line(planted):
    done = train(planted, processes=8)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "execution.processes is 8, which does not divide the 4 windows" in done.stderr


def test_an_error_of_several_processes_is_reported_once(planted):
    results = folder(planted, "damaged")
    shutil.copytree(planted / "two" / "checkpoints", results / "checkpoints")
    for file in results.glob("checkpoints/**/*.safetensors"):
        content = bytearray(file.read_bytes())
        first = content.index(b"identity") + len(r"identity\":\"")
        content[first] = ord("1" if content[first] == ord("0") else "0")
        file.write_bytes(content)
    done = train(results, processes=2)
    assert done.returncode == 2
    assert "another configuration" in done.stderr
    assert done.stderr.count("\n") == 1
