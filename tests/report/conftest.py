import shutil
from pathlib import Path

import pytest
from planted_results import plant


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """Results of an experiment with everything but benchmarks; not to be changed."""
    return plant(tmp_path_factory.mktemp("planted") / "experiment", domains=("law", "code"))


@pytest.fixture
def results(planted, tmp_path):
    """A copy of the planted results, to be changed."""
    return Path(shutil.copytree(planted, tmp_path / "experiment"))
