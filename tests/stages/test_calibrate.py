"""Throughput is measured with the real trainer, in processes like those of a job."""

import subprocess
import sys

import pytest

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.identity import forecast_json
from splitlaw.scheduling.throughput import read_calibration, throughput_of

pytestmark = pytest.mark.slow


def test_every_size_is_measured_as_it_will_be_trained(config, root, tmp_path):
    shape = {"layers": 1, "heads": 2, "intermediate": 12}
    config["sizes"] = {"s8": {"width": 8, **shape}, "s16": {"width": 16, **shape}}
    config["holdout_sizes"] = []
    config["tokenizer"], config["model"] = {"vocabulary": 300}, {"context": 8}
    config["training"]["batch_tokens"] = 64
    by_size = {"s16": {"processes": 2}}
    config["execution"] = {"compile": False, "device": "cpu", "by_size": by_size}
    config["final"]["size"] = "s8"
    del config["compare"], config["tune_learning_rate"], config["grid"]["unique_tokens"]
    experiment = ExperimentConfig.read(config)
    out = tmp_path / "calibration.json"
    script = str(root / "workflow_scripts/calibrate.py")
    words = ["--config", forecast_json(experiment), "--seconds", "0.2", "--out", str(out)]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tokens/s, starts in") == 2

    measured = read_calibration(out, experiment)
    for size in config["sizes"]:
        throughput = throughput_of(experiment, size, measured, gpu=False)
        assert throughput.tokens_per_second > 1000
        assert throughput.evaluated_tokens_per_second > throughput.tokens_per_second
        assert 1 < throughput.start_seconds < 120
    memory = {size: measured["sizes"][size]["memory_mb"] for size in config["sizes"]}
    assert memory["s8"] > 200 and memory["s16"] > 1.5 * memory["s8"], "of two processes"
    config["training"]["batch_tokens"] = 128
    assert read_calibration(out, ExperimentConfig.read(config)) is None, "of another configuration"
