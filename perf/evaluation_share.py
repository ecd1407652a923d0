"""Compare the time of evaluating a grid with that of training it, in one run on one core.

python perf/evaluation_share.py --results results/default

For every size, tokens per second of training and seconds of evaluating a model on each domain are
measured one after the other, and multiplied by the evaluations in `losses.csv` and the tokens in
`cost.csv`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.training.evaluation import cut_windows, evaluate
from splitlaw.training.loop import Trainer
from splitlaw.training.text import TrainingText


def seconds_of(action, times: int) -> float:
    """Return the shortest of several timings."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--config", default="config.yaml")
    parser.add_argument("--steps", type=int, default=200, help="steps to time (%(default)s)")
    options = parser.parse_args()
    config = ExperimentConfig.load(options.config)
    losses = pd.read_csv(options.results / "losses.csv")
    cost = pd.read_csv(options.results / "cost.csv").groupby("size")["tokens"].sum()
    sidecars = {
        domain: options.results / "tokens" / domain / "tokens.json"
        for domain in losses["domain"].unique()
    }
    windows = {
        domain: cut_windows(file, context=config.model.context, limit=config.evaluation.tokens)
        for domain, file in sidecars.items()
    }
    trained = evaluated = 0.0
    print("size  trained (tokens)  tokens/s  training (s)  evaluations  evaluating (s)  share")
    for size, models in losses.groupby("size", sort=False):
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                shape=config.shape_of(size),
                config=config.training,
                seed=0,
                text=TrainingText(sidecars={GENERAL: sidecars[GENERAL]}),
                checkpoints=Path(folder),
                execution=ExecutionConfig(device="cpu"),
            )
            run = Run(domain=GENERAL, pretrain_steps=options.steps, specialize_steps=0)
            trainer.reach(run.lineage(0.2))
        each = {
            domain: seconds_of(lambda w=part, m=trainer.model: evaluate(m, w), 3)
            for domain, part in windows.items()
        }
        speed = trainer.tokens_per_second
        train, test = cost[size] / speed, sum(each[domain] for domain in models["domain"])
        trained, evaluated = trained + train, evaluated + test
        print(
            f"{size:5} {cost[size]:16,} {speed:9,.0f} {train:13.1f} {len(models):12} "
            f"{test:15.1f} {test / train:6.1%}"
        )
    print(f"all {trained:46.1f} {evaluated:28.1f} {evaluated / trained:6.1%}")


if __name__ == "__main__":
    main()
