"""Trackers receive the numbers of a training, and never end it."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from splitlaw.common.errors import UserError
from splitlaw.training import trackers
from splitlaw.training.trackers import open_trackers


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """No login or setting of the user who runs the tests."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setattr(trackers.WeightsAndBiases, "offline", False)
    monkeypatch.setattr(trackers, "START_SECONDS", 2)


def test_tensorboard_receives_the_numbers_of_the_log(tmp_path):
    (tracker,) = open_trackers(["tensorboard"], tmp_path, name="w16/seed0", before=0, say=print)
    tracker.add(1024, {"loss": 3.5, "learning_rate": 1e-3})
    tracker.add(2048, {"loss": 3.25, "learning_rate": 1e-3})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1024, 3.5),
        (2048, 3.25),
    ]


def test_weights_and_biases_receives_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tracker,) = open_trackers(["wandb"], tmp_path, name="w16/seed0", before=0, say=print)
    tracker.add(1024, {"loss": 3.5})
    tracker.close()
    (record,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert record.stat().st_size > 0


def test_a_tracker_that_is_not_installed_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"execution\.trackers names wandb, which is not installed"):
        open_trackers(["wandb"], tmp_path, name="a", before=0, say=print)


@pytest.mark.parametrize("network", [False, True])
def test_without_a_login_or_a_network_runs_are_recorded_offline(tmp_path, monkeypatch, network):
    """unsloth issue 1914: the training ended, or waited for an answer on the terminal."""
    if network:
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nothing answers
    said = []
    for segment in ("one", "two"):
        (tmp_path / segment).mkdir()
        (tracker,) = open_trackers(
            ["wandb"], tmp_path / segment, name=segment, before=0, say=said.append
        )
        tracker.add(1024, {"loss": 3.5})
        tracker.close()
        assert len(list(tmp_path.glob(f"{segment}/wandb/offline-run-*/*.wandb"))) == 1
    (line,) = said
    assert line.startswith("wandb: ") and f"recorded offline in {tmp_path}/one/wandb" in line
    assert ("no login" in line) is not network


class Broken:
    """A tracker whose server answers every call with an error."""

    def __init__(self, folder, **options):
        if options["name"] == "at the start":
            raise RuntimeError("the server answered 500.")

    def add(self, tokens, numbers):
        raise RuntimeError("the server\nanswered 500.")

    def close(self):
        raise RuntimeError("not called")


@pytest.mark.parametrize("name", ["at the start", "later"])
def test_an_error_of_a_tracker_is_one_line(tmp_path, monkeypatch, name):
    monkeypatch.setitem(trackers.TRACKERS, "wandb", Broken)
    said = []
    for tracker in open_trackers(["wandb"], tmp_path, name=name, before=0, say=said.append):
        tracker.add(1024, {"loss": 3.5})
        tracker.add(2048, {"loss": 3.5})
        tracker.close()
    assert said == ["wandb: the server answered 500; the training continues without this tracker"]
