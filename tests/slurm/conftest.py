"""The cluster of the tests marked slurm; without one they are skipped with the reason."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cluster as slurm


@pytest.fixture(scope="session")
def cluster():
    reason = slurm.missing()
    if reason:
        pytest.skip(f"no test cluster here: {reason}")
    with slurm.running() as started:
        yield started
