"""A small experiment with artificial words, and items of zero-shot tasks for it."""

import json
import shutil
from pathlib import Path

import pytest
from planted_final import CONTEXT, ITEMS, plant

from splitlaw.zero_shot.items import Item, write_items

ENDINGS = [
    Item(
        id=str(number),
        query=f"The {thing} did not fit the box as _ was large.",
        choices=(f"The {thing} did not fit the box as it", f"The {thing} fitted as the box"),
        gold=number % 2,
        ending="was large.",
    )
    for number, thing in enumerate(["hat", "coat", "shoe"])
]


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder; tests that modify it use `changed`."""
    results = tmp_path_factory.mktemp("results")
    plant(results)
    write_items(results / "items/local_arc_easy.jsonl", ITEMS)
    write_items(results / "items/local_winogrande.jsonl", ENDINGS)
    return results


@pytest.fixture
def changed(experiment: Path, tmp_path: Path) -> Path:
    """A copy of the experiment that a test may modify."""
    return Path(shutil.copytree(experiment, tmp_path / "results"))


@pytest.fixture(scope="session")
def config() -> str:
    return json.dumps(
        {
            "tasks": ["local_arc_easy", "local_winogrande"],
            "context": CONTEXT,
            "test_tokens": 10**6,
            "characters": None,
        }
    )
