"""Results recorded with version 0.1 are reproduced, and its states and folders still open.

`snakemake --cores 2 --configfile config.yaml tests/smoke.yaml -- choose_split`, then
`python tests/test_golden.py results/smoke` records the numbers again. Do that only in a change
that is meant to alter results, and say so in its message.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from planted_tokens import JOB, write_tokens

ROOT = Path(__file__).parent.parent
SMOKE = Path(__file__).parent / "golden" / "smoke"
BEFORE = Path(__file__).parent / "golden" / "version_0_1"
LOSS_TOLERANCE = 0.02
"""Relative. Other processors round differently; runs this short amplify it to a per cent."""


def processor() -> dict[str, str]:
    """The properties of a machine that determine how floating-point sums are rounded."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "")
    vector = " ".join(sorted(flag for flag in flags.split() if flag.startswith(("avx", "amx"))))
    return {
        "machine": platform.machine(),
        "vector": vector,
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "kernels": os.environ.get("OPENBLAS_CORETYPE", ""),
    }


def states(results: Path) -> dict[str, str]:
    """SHA-256 of every stored state, by its path below `checkpoints`."""
    folder = results / "checkpoints"
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.safetensors"))
    }


def summary(results: Path) -> dict:
    """The numbers of the law and of the plan that are compared."""
    fit = json.loads((results / "law/fit.json").read_text())
    plan = json.loads((results / "split/plan.json").read_text())
    return {"objective": fit["objective"], "fraction_general": plan["fraction_general"]}


def record(results: Path) -> None:
    """Copy the smoke experiment's numbers to the golden folder."""
    shutil.copy(results / "losses.csv", SMOKE / "losses.csv")
    lines = [f"{digest} {file}\n" for file, digest in states(results).items()]
    (SMOKE / "states.txt").write_text("".join(lines))
    content = {**summary(results), "processor": processor()}
    (SMOKE / "numbers.json").write_text(json.dumps(content, indent=1) + "\n")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """Results of the smoke experiment up to its plan, made in a copy of the project."""
    folder = tmp_path_factory.mktemp("smoke")
    for name in ("Snakefile", "config.yaml", "envs", "rules", "tasks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "workflow_scripts", folder / "workflow_scripts", ignore=ignored)
    files = [str(ROOT / "config.yaml"), str(ROOT / "tests/smoke.yaml")]
    done = subprocess.run(
        ["snakemake", "--cores", "2", "--configfile", *files, "--", "choose_split"],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "results/smoke"


@pytest.fixture(scope="module")
def recorded() -> dict:
    return json.loads((SMOKE / "numbers.json").read_text())


@pytest.mark.slow
def test_losses_of_the_smoke_experiment_are_those_recorded(smoke, recorded):
    if recorded["processor"] == processor():
        assert (smoke / "losses.csv").read_bytes() == (SMOKE / "losses.csv").read_bytes()
    new, old = pd.read_csv(smoke / "losses.csv"), pd.read_csv(SMOKE / "losses.csv")
    numbers = ["loss", "loss_stderr", "bits_per_byte"]
    pd.testing.assert_frame_equal(new.drop(columns=numbers), old.drop(columns=numbers))
    np.testing.assert_allclose(new["loss"], old["loss"], rtol=LOSS_TOLERANCE)


@pytest.mark.slow
def test_states_of_the_smoke_experiment_are_those_recorded(smoke, recorded):
    lines = (SMOKE / "states.txt").read_text().splitlines()
    old = {file: digest for digest, file in (line.split(" ", 1) for line in lines)}
    new = states(smoke)
    assert set(new) == set(old)
    if recorded["processor"] == processor():
        assert new == old


@pytest.mark.slow
def test_law_and_plan_of_the_smoke_experiment_are_those_recorded(smoke, recorded):
    new = summary(smoke)
    if recorded["processor"] == processor():
        assert new["objective"] == pytest.approx(recorded["objective"], abs=1e-9)
        assert new["fraction_general"] == pytest.approx(recorded["fraction_general"], abs=1e-3)
    assert new["objective"] == pytest.approx(recorded["objective"], rel=0.1)
    assert new["fraction_general"] == pytest.approx(recorded["fraction_general"], abs=0.05)


@pytest.mark.parametrize("domain", ["general", "law", "medicine"])
def test_states_and_results_of_version_0_1_are_used_as_they_are(tmp_path, domain):
    results = tmp_path / "results"
    shutil.copytree(BEFORE, results)
    for number, name in enumerate(["general", "law", "medicine"]):
        documents = [9, 40, 17, 70, 2]
        write_tokens(results / "tokens" / name, train=6000, documents=documents, seed=number)
    table = results / "runs/tiny/seed0" / domain / "losses.csv"
    before = table.read_text()
    table.unlink()
    for run in results.glob(f"runs/tiny/seed0/{domain}/*/run.json"):
        run.unlink()  # so that the stored state is opened and evaluated again
    stored = states(results)
    script = ROOT / "workflow_scripts" / "specialize.py"
    words = ["--config", json.dumps(JOB), "--size", "tiny", "--results", str(results)]
    words += ["--execution", '{"compile": false, "device": "cpu"}', "--out", str(table)]
    words += ["--domain", domain, "--domains", "law,medicine"]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert states(results) == stored
    run = next(results.glob(f"runs/tiny/seed0/{domain}/*/run.json"))
    assert json.loads(run.read_text())["trained_tokens_of_this_process"] == 0
    pd.testing.assert_frame_equal(pd.read_csv(table), pd.read_csv(io.StringIO(before)), rtol=1e-5)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
