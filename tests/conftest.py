"""Fixtures that tests share: the repository, its configurations, and small planted token files."""

import copy
import os
from pathlib import Path

# Models of a few thousand parameters lose more to threads than they gain.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import yaml
from planted_tokens import write_tokens

from splitlaw.experiment.config import ExperimentConfig

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


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
