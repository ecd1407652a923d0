"""Compare the seconds that `snakemake cost` predicts with those that a run took.

    snakemake --cores 1 calibrate && snakemake --cores 1 train_final
    python perf/forecast.py --results results/default

The run must have begun without stored states, since jobs that find states train less. The measured
seconds are those that Snakemake recorded for every job (`logs/**/*.tsv`), one job at a time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import pandas as pd

from splitlaw.common.files import read_json
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.scheduling import forecast, resources


def seconds(file: Path) -> float:
    """Wall time of a job, from its benchmark file."""
    return float(pd.read_csv(file, sep="\t")["s"].iloc[0])


def compare(config: ExperimentConfig, results: Path) -> pd.DataFrame:
    """Predicted and measured seconds by stage and size."""
    batch = config.training.batch_tokens
    calibration = resources.read_calibration(results / "calibration.json", config)
    assert calibration, "no calibration of this configuration: snakemake calibrate"
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
        took = sum(map(seconds, files))
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
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    arguments = parser.parse_args()
    table = compare(ExperimentConfig.load(arguments.config), arguments.results)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
