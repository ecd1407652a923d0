"""Train cells of a finished grid again, each alone from scratch, and compare the bits.

python perf/sharing.py --results results/default --cells 10

The results must be those of config.yaml on the same machine, because the bits depend on the
hardware.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.identity import grid_json
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.stages.job import Job

ROOT = Path(__file__).resolve().parent.parent


def job_of(config: ExperimentConfig, size: str, results: Path) -> Job:
    """Return the grid of a size, as the workflow passes it to a training job."""
    content = json.loads(grid_json(config, size, seed=0))
    return Job.from_config(content, size=size, seed=0, results=results)


def train_alone(job: Job, run: Run, folder: Path) -> Path:
    """Train one cell from scratch in its own folder; returns the file of its last state."""
    (folder / "tokens").symlink_to((job.results / "tokens").resolve())
    lineage = run.lineage(job.training.cooldown_fraction)
    alone = Job(**{**vars(job), "results": folder})
    trainer = alone.trainer(sorted({GENERAL, run.domain}), ExecutionConfig(), "alone")
    trainer.expect([lineage])
    trainer.reach(lineage)
    trainer.progress.close()
    return trainer.store.file(lineage)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    parser.add_argument("--sizes", nargs="+", help="sizes to draw from (default: the fitted ones)")
    parser.add_argument("--cells", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = ExperimentConfig.load(str(ROOT / "config.yaml"))
    sizes = arguments.sizes or [s for s in config.sizes if s not in config.holdout_sizes]
    jobs = [job_of(config, size, arguments.results.resolve()) for size in sizes]
    domains = [GENERAL, *config.domain_names]
    everything = [(job, run) for job in jobs for name in domains for run in job.grid.runs(name)]
    same = 0
    for job, run in random.Random(arguments.seed).sample(everything, arguments.cells):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            alone = train_alone(job, run, Path(folder))
            shared = job.results / alone.relative_to(folder)
            equal = shared.exists() and alone.read_bytes() == shared.read_bytes()
        same += equal
        batch = job.training.batch_tokens
        print(
            f"{job.size} {run.domain}: D {run.pretrain_steps * batch:,}, "
            f"D' {run.specialize_steps * batch:,}: "
            f"{'the same bytes' if equal else 'different or missing bytes'} "
            f"({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    print(f"{same} of {arguments.cells} cells have the same final bytes as the shared training")
    sys.exit(same != arguments.cells)


if __name__ == "__main__":
    main()
