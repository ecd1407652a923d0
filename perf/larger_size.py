"""Train the recipes at a size far outside of the fitted range, by a plan that is made before.

    splitlaw choose_split --law results/mixture/law/fit.json --flops 34505517957120 \\
        --params 997576 --flops-per-token 6685872 --out results/larger/split/plan.json
    python perf/larger_size.py --mixture results/mixture --results results/larger \\
        --execution '{"precision": "float32"}'

The size has about a million parameters, 15 times the largest one that the law of
`configs/mixture.yaml` is fitted to, and the budget is five tokens for each of them. The tokens are
those of the mixture. All recipes are trained, or those of `--strategies`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.identity import planned_json
from splitlaw.experiment.shape import Shape

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "mixture.yaml"
SIZE = "w152"
SHAPE = Shape(vocabulary=1024, width=152, layers=3, heads=2, intermediate=412, context=128)
"""The layers and heads of the sizes of the mixture, and the proportions of its largest size."""
BUDGET = 5_160_960
"""Tokens of a recipe: 5.2 for each of the 997,576 parameters, in whole batches."""


def train(mixture: Path, results: Path, strategies: list[str], execution: str) -> None:
    """Train the recipes of the plan in `results`, which receives the models in `final/`."""
    from splitlaw.experiment.settings import ExecutionConfig
    from splitlaw.stages import final
    from splitlaw.stages.job import Job

    config = ExperimentConfig.load(str(CONFIG))
    runs = json.loads(planned_json(config, config.final.size, "final"))
    runs["shape"] = vars(SHAPE)
    job = Job.from_config(runs, size=SIZE, seed=0, results=mixture)
    plan, models = results / "split" / "plan.json", results / "final" / SIZE / str(BUDGET) / "seed0"
    for strategy in strategies or final.recipes_of(job, plan):
        final.train_strategy(
            job,
            strategy,
            plan,
            budget=str(BUDGET),
            execution=ExecutionConfig(repeat=True, **json.loads(execution)),
            out=models / strategy / "losses.csv",
        )


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--mixture", type=Path, required=True, help="results with the tokens")
    parser.add_argument("--results", type=Path, required=True, help="results with the plan")
    parser.add_argument("--strategies", nargs="*", default=[])
    parser.add_argument("--execution", default="{}", help="keys of the section execution, as JSON")
    given = parser.parse_args()
    train(given.mixture, given.results, given.strategies, given.execution)


if __name__ == "__main__":
    main()
