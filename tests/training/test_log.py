"""The record of a training, and the detection of divergence."""

import math

import numpy as np
import pytest

from splitlaw.experiment.columns import TRAIN_LOG
from splitlaw.training.log import DivergenceMonitor, TrainLog, logged_losses


def add(log, *steps):
    for step in steps:
        numbers = {"learning_rate": 1e-3, "loss": 3.0 + step, "gradient_norm": 1.0}
        log.add(step, step * 10, "law", numbers)


def test_a_log_is_on_disk_at_once_and_continues_after_the_last_state(tmp_path):
    file = tmp_path / "train_log.csv"
    log = TrainLog(file, before=0)
    add(log, 9, 19, 29)
    assert logged_losses(file, before=100) == [12.0, 22.0, 32.0]
    log.stream.write("39,390,la")  # a killed run's incomplete row
    log.close()
    again = TrainLog(file, before=20)
    add(again, 29)
    again.close()
    assert file.read_text().splitlines() == [
        ",".join(TRAIN_LOG),
        "9,90,law,0.001,12,1",
        "19,190,law,0.001,22,1",
        "29,290,law,0.001,32,1",
    ]


def noisy(mean, count, generator):
    return list(mean + 0.3 * generator.normal(size=count))


def test_a_falling_loss_and_a_spike_that_recovers_have_not_diverged():
    generator = np.random.default_rng(0)
    for _ in range(50):
        falling = 7 - 4 * np.linspace(0, 1, 300) + 0.3 * generator.normal(size=300)
        falling[100:125] += 4
        monitor = DivergenceMonitor()
        assert not any(monitor.diverged(loss) for loss in falling)


def test_a_spike_that_does_not_recover_has_diverged_in_a_resumed_run_too():
    generator = np.random.default_rng(0)
    losses = noisy(3.0, 100, generator) + noisy(4.5, 60, generator)
    diverged = [DivergenceMonitor(losses[:at]).diverged(losses[at]) for at in range(len(losses))]
    assert diverged.index(True) == 129
    monitor = DivergenceMonitor(losses[:115])
    assert [monitor.diverged(loss) for loss in losses[115:]].index(True) == 129 - 115


def test_the_rise_is_a_doubled_perplexity():
    assert math.exp(DivergenceMonitor.RISE) == pytest.approx(2.0)
