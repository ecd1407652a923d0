"""Train cells of a finished grid again, each alone from scratch, and compare the bits.

python perf/sharing.py --results results/default --cells 10

Needs the results of the configuration in config.yaml on this very machine, whose arithmetic decides
the bits.
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
from splitlaw.stages.grid import Job

ROOT = Path(__file__).resolve().parent.parent


def job_of(config: ExperimentConfig, size: str, results: Path) -> Job:
    """The grid of a size, as the workflow describes it to a training job."""
    content = json.loads(grid_json(config, size, seed=0))
    return Job.from_config(content, size=size, seed=0, results=results)


def train_alone(job: Job, run: Run, folder: Path) -> Path:
    """Train one cell from scratch in a folder of its own; the file of its last state."""
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
    parser.add_argument(
        "--sizes", nargs="+", help="sizes to draw from; without it, the fitted ones"
    )
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
            f"{'the same bytes' if equal else 'other bytes, or none'} "
            f"({time.monotonic() - began:.0f} s alone)",
            flush=True,
        )
    print(f"{same} of {arguments.cells} cells end in the bytes of the shared training")
    sys.exit(same != arguments.cells)


if __name__ == "__main__":
    main()
