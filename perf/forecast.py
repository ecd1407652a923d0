"""Compare the seconds that `snakemake cost` predicts with those that a run took.

    snakemake --cores 1 calibrate && snakemake --cores 1 train_final
    python perf/forecast.py --results results/default

The run must have begun without stored states, since jobs that find states train less. The measured
seconds are those that Snakemake recorded for every job (`logs/**/*.tsv`), one job at a time. With
`--processor-time`, both are processor time, which other work on the machine hardly changes; the
throughput is then measured by this script, without the target `calibrate`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import pandas as pd

from splitlaw.common.files import read_json
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.scheduling import forecast
from splitlaw.scheduling.throughput import read_calibration

SECONDS = 1.5
"""Training time of a measurement of a size."""


def seconds(file: Path, column: str) -> float:
    """Time of a job, from a column of its benchmark file."""
    return float(pd.read_csv(file, sep="\t")[column].iloc[0])


def measure(config: ExperimentConfig, size: str, out: Path) -> None:
    """Measure the throughput of a size by processor time."""
    import torch
    import transformers  # noqa: F401  its import is part of the start

    from splitlaw.stages import calibrate
    from splitlaw.training import evaluation, loop  # noqa: F401  before the clocks are replaced

    torch.set_num_threads(1)
    for clock in ("time", "monotonic", "perf_counter"):
        setattr(time, clock, time.process_time)
    calibrate.measure(config, size, seconds=SECONDS, began=0.0, out=out)


def measure_all(path: str, config: ExperimentConfig) -> dict[str, Any]:
    """The content of a calibration by processor time, each size measured by its own process."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in config.sizes:
            out = Path(folder) / f"{size}.json"
            command = [sys.executable, __file__, "--config", path, "--measure", size, str(out)]
            subprocess.run(command, check=True)
            sizes[size] = read_json(out)["throughput"]
    return {"device": "cpu", "sizes": sizes}


def compare(
    config: ExperimentConfig, results: Path, calibration: dict[str, Any], column: str
) -> pd.DataFrame:
    """Predicted and measured seconds by stage and size."""
    batch = config.training.batch_tokens
    throughputs, _ = forecast.throughputs_of(config, calibration, gpu=False)
    plan = results / "split/plan.json"
    rows = []
    for item in forecast.items(config, read_json(plan) if plan.exists() else None):
        logs = {
            "pretrain": f"pretrain/{item.size}-seed*.tsv",
            "specialize": f"specialize/{item.size}-seed*.tsv",
            "train_final": f"final/{item.size}-*-seed*.tsv",
        }
        files = sorted((results / "logs").glob(logs[item.stage]))
        took = sum(seconds(file, column) for file in files)
        predicted = item.work.seconds(throughputs[item.size], batch)
        whole = len(files) == item.work.jobs
        rows.append([item.stage, item.size, len(files), predicted, took if whole else float("nan")])
    table = pd.DataFrame(rows, columns=["stage", "size", "jobs", "forecast_s", "took_s"]).dropna()
    assert len(table), f"{results}: no complete stage was run"
    whole = table[["jobs", "forecast_s", "took_s"]].sum().to_list()
    table.loc[len(table)] = ["all", "", *whole]
    table["ratio"] = table["forecast_s"] / table["took_s"]
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="config.yaml", help="the run's configuration")
    parser.add_argument("--results", type=Path, help="the experiment's folder")
    parser.add_argument("--processor-time", action="store_true", help="instead of elapsed time")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = ExperimentConfig.load(arguments.config)
    if arguments.measure:
        size, out = arguments.measure
        measure(config, size, Path(out))
        return
    if arguments.processor_time:
        calibration, column = measure_all(arguments.config, config), "cpu_time"
    else:
        found = read_calibration(arguments.results / "calibration.json", config)
        assert found, "no calibration of this configuration: snakemake calibrate"
        calibration, column = found, "s"
    table = compare(config, arguments.results, calibration, column)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
