"""The log of a training, its trackers, and the end of a run whose loss stays too high."""

import math

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from splitlaw.common.errors import UserError
from splitlaw.training.log import COLUMNS, TrainLog, Watch, logged_losses, open_trackers


def add(log, *steps):
    for step in steps:
        numbers = {"learning_rate": 1e-3, "loss": 3.0 + step, "gradient_norm": 1.0}
        log.add(step, step * 10, "law", numbers)


def test_a_log_is_on_disk_at_once_and_goes_on_behind_the_last_state(tmp_path):
    file = tmp_path / "train_log.csv"
    log = TrainLog(file, before=0)
    add(log, 9, 19, 29)
    assert logged_losses(file, before=100) == [12.0, 22.0, 32.0]
    log.stream.write("39,390,la")  # a killed run's last words
    log.close()
    again = TrainLog(file, before=20)
    add(again, 29)
    again.close()
    assert file.read_text().splitlines() == [
        ",".join(COLUMNS),
        "9,90,law,0.001,12,1",
        "19,190,law,0.001,22,1",
        "29,290,law,0.001,32,1",
    ]


def noisy(mean, count, generator):
    return list(mean + 0.3 * generator.normal(size=count))


def test_a_loss_that_falls_and_a_spike_that_comes_back_are_let_be():
    generator = np.random.default_rng(0)
    for _ in range(50):
        falling = 7 - 4 * np.linspace(0, 1, 300) + 0.3 * generator.normal(size=300)
        falling[100:125] += 4
        watch = Watch()
        assert not any(watch.diverged(loss) for loss in falling)


def test_a_spike_that_does_not_come_back_is_told_also_by_a_resumed_run():
    generator = np.random.default_rng(0)
    losses = noisy(3.0, 100, generator) + noisy(4.5, 60, generator)
    told = [Watch(losses[:at]).diverged(losses[at]) for at in range(len(losses))]
    assert told.index(True) == 129
    watch = Watch(losses[:115])
    assert [watch.diverged(loss) for loss in losses[115:]].index(True) == 129 - 115


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path):
    (tracker,) = open_trackers(["tensorboard"], tmp_path, name="w16/seed0", before=0)
    tracker.add(1024, {"loss": 3.5, "learning_rate": 1e-3})
    tracker.add(2048, {"loss": 3.25, "learning_rate": 1e-3})
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1024, 3.5),
        (2048, 3.25),
    ]


def test_weights_and_biases_gets_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tracker,) = open_trackers(["wandb"], tmp_path, name="w16/seed0", before=0)
    tracker.add(1024, {"loss": 3.5})
    tracker.close()
    (record,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert record.stat().st_size > 0


def test_a_tracker_that_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match=r"execution\.trackers names wandb, which is not installed"):
        open_trackers(["wandb"], tmp_path, name="a", before=0)


def test_the_rise_is_a_doubled_perplexity():
    assert math.exp(Watch.RISE) == pytest.approx(2.0)
