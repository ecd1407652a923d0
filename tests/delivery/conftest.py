"""The folders that `splitlaw export` writes of a small experiment with artificial words."""

from pathlib import Path

import pytest
from planted_final import FINALS, plant

from splitlaw.delivery.export import export_routed
from splitlaw.delivery.final_folder import FinalFolder, read_final
from splitlaw.delivery.routed import RoutedModel


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder, which no test changes."""
    results = tmp_path_factory.mktemp("results")
    plant(results)
    return results


@pytest.fixture(scope="session")
def final(planted: Path) -> FinalFolder:
    return read_final(planted / FINALS / "optimal")


@pytest.fixture(scope="session")
def routed_folder(final: FinalFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "routed"
    export_routed(final, folder)
    return folder


@pytest.fixture(scope="session")
def routed(routed_folder: Path) -> RoutedModel:
    return RoutedModel.from_pretrained(routed_folder)
