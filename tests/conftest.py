"""Fixtures that tests share: the repository, its configurations, and small planted token files."""

import copy
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Models of a few thousand parameters lose more to threads than they gain.
os.environ["OMP_NUM_THREADS"] = "1"
# The jobs of a workflow are processes, which would otherwise compile the package one after another.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
import yaml
from filelock import FileLock
from planted_tokens import write_tokens
from tiny_project import Project

from splitlaw.experiment.config import ExperimentConfig

ROOT = Path(__file__).parent.parent

LONGEST_FIRST = [
    "test_workflow.py",
    "slurm/test_workflow_on_slurm.py",
    "test_golden.py",
    "test_paper.py",
    "laws/test_reference.py",
    "training/test_processes.py",
    "workflow/test_status.py",
    "training/test_loop.py",
    "cli/test_wheel.py",
]
"""Files that take a minute or more, by their time. Files are divided among the workers in this
order, so that no worker begins one of these when the others have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of `LONGEST_FIRST` first; the others keep their order."""
    place = {ROOT / "tests" / file: number for number, file in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def evaluated(root, tmp_path_factory) -> Path:
    """The folder of a project after the target `evaluate`, which all workers share.

    Tests must not change it: they copy `results` and `.snakemake` into a project of their own.
    """
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = base / "evaluated"
    with FileLock(base / "evaluated.lock"):
        if not (folder / "results/tiny/losses.csv").exists():
            folder.mkdir(exist_ok=True)
            done = Project(root, folder).run("evaluate")
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def config() -> dict:
    """A copy of the default configuration that a test may change."""
    return copy.deepcopy(yaml.safe_load((ROOT / "config.yaml").read_text()))


@pytest.fixture
def experiment(config) -> ExperimentConfig:
    """The default configuration, checked."""
    return ExperimentConfig.read(config)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """An experiment's folder with tokens of general text and of two domains."""
    for number, domain in enumerate(["general", "law", "medicine"]):
        write_tokens(
            tmp_path / "tokens" / domain, train=6000, documents=[9, 40, 17, 70, 2], seed=number
        )
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
