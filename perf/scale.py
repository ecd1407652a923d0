"""Time planning, adaptive rounds, the DAG and the forecast at a lab's scale, by simulation.

    python perf/scale.py --config configs/paper.yaml --jobs 5000

No model is trained: the losses are those of a planted law with the sizes, domains and tokens of
the configuration, with noise of 0.2% on every row and 0.2% on every trunk. For the forecast and the
DAG, the grid has as many seeds as the jobs require; the law is fitted to the seeds of the
configuration, because no lab would pay for all runs of that many.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd
import yaml

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.rounds import GridRun, pool, run_of, start_runs, trained_tokens
from splitlaw.laws import FitResult, fit_table
from splitlaw.planner import next_runs, plan
from splitlaw.scheduling import forecast
from splitlaw.stages.rounds import plan_target, pool_table

ROOT = Path(__file__).resolve().parent.parent
NOISE = 2e-3
PARAMETERS = {
    "E": 1.7, "A": 480.0, "alpha": 0.35, "F": 40.0, "phi": 0.3, "B": 110.0, "beta": 0.3,
    "kappa": 0.35, "gamma": 0.9,
}  # fmt: skip
"""Near those of Hoffmann et al. 2022, with the general text taking a third of the data's part."""


def plant(domains: tuple[str, ...], rng: np.random.Generator) -> FitResult:
    """A two-skill law whose parameters differ by 10% between domains."""
    drawn = {
        name: {key: value * math.exp(rng.normal(0, 0.1)) for key, value in PARAMETERS.items()}
        for name in domains
    }
    for parameters in drawn.values():  # exponents differ by less than amounts do
        for key in ("alpha", "phi", "beta", "gamma"):
            parameters[key] = PARAMETERS[key] * math.exp(rng.normal(0, 0.02))
    return FitResult.of_parameters("two_skills", drawn)


def losses(
    config: ExperimentConfig, runs: list[GridRun], law: FitResult, rng: np.random.Generator
) -> pd.DataFrame:
    """The rows of losses.csv that the runs would give."""
    batch, names = config.training.batch_tokens, config.domain_names
    trunk: dict[tuple[str, int], float] = {}
    rows = []
    for entry in runs:
        shape, run = config.shape_of(entry.size), entry.run
        shared = trunk.setdefault((entry.size, entry.seed), rng.normal(0, NOISE))
        for name in names if run.domain == GENERAL else [run.domain]:
            d, s = run.pretrain_steps * batch, run.specialize_steps * batch
            expected = law.losses(float(shape.params), float(d), float(s), names.index(name))
            rows.append(
                {
                    "run": f"{entry.size}-{entry.seed}-{run}",
                    "split": config.split_of(entry.size),
                    "params": shape.params,
                    "flops_per_token": shape.flops_per_token,
                    "train_domain": run.domain,
                    "domain": name,
                    "pretrain_tokens": d,
                    "specialize_tokens": s,
                    "trunk": f"{entry.size}-{entry.seed}",
                    "seed": entry.seed,
                    "loss": float(expected) * math.exp(shared + rng.normal(0, NOISE)),
                }
            )
    return pd.DataFrame(rows)


@contextmanager
def timed(what: str) -> Iterator[Callable[[str], None]]:
    """Print the processor time of a block and its processes, with what it says about itself.

    Other work on the machine hardly changes the processor time.
    """
    about: list[str] = []
    began, clock = sum(os.times()[:4]), time.perf_counter()
    yield about.append
    seconds, elapsed = sum(os.times()[:4]) - began, time.perf_counter() - clock
    print(f"{what:<24} {seconds:8.1f} s ({elapsed:.0f} s elapsed)   {'; '.join(about)}", flush=True)


def fit_and_plan(config: ExperimentConfig, draws: int, rng: np.random.Generator) -> None:
    """Fit the law to the whole grid and plan the final models."""
    law, target = plant(config.domain_names, rng), plan_target(config)
    table = losses(config, pool(config), law, rng)
    with timed("fit_law") as say:
        fit = fit_table(table, draws=draws)
        say(f"{len(table):,} rows, {len(config.domain_names)} domains, {draws} draws")
    with timed("choose_split") as say:
        made = plan(fit, **target)
        truth = plan(law, **target)
        low, high = made.interval["fraction_general"]
        say(
            f"general fraction {made.fraction_general:.1%} ({low:.1%} to {high:.1%}), "
            f"planted {truth.fraction_general:.1%}"
        )


def adaptive_rounds(
    config: ExperimentConfig, rounds: int, draws: int, rng: np.random.Generator
) -> None:
    """Fit the law to the start of the grid, then choose the runs of some rounds."""
    law, target = plant(config.domain_names, rng), plan_target(config)
    done = start_runs(config)
    everything = pool(config)
    for number in range(rounds):
        table = losses(config, done, law, rng)
        with timed(f"round {number}: fit_law") as say:
            fit = fit_table(table, draws=draws)
            say(f"{len(done)} runs, {len(table):,} rows")
        with timed(f"round {number}: end_round") as say:
            left = [entry for entry in everything if entry not in done]
            regret = plan(fit, **target).expected_regret_relative
            rows = next_runs(
                fit,
                pool=pool_table(config, left),
                trained=pool_table(config, done),
                runs=len(config.domain_names),
                **target,
            )
            tokens = trained_tokens(config, done)
            say(f"pool of {len(left)}; expected regret {regret:.3%}; {tokens / 1e9:.0f}B tokens")
        done += [run_of(row, config) for row in rows.to_dict("records")]


def dry_run(content: dict[str, Any], seeds: int, jobs: int) -> None:
    """Let Snakemake plan the grid; its sources are a folder with one small file."""
    content = copy.deepcopy(content) | {"experiment": "scale"}
    content["grid"] = {**content["grid"], "seeds": list(range(seeds))}
    content["grid"].pop("repeat", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        (folder / "data").mkdir()
        (folder / "data/train.jsonl").write_text('{"text": "x"}\n')
        corpus = content["corpus"]
        corpus["general"]["sources"] = [{"dataset": str(folder / "data")}]
        corpus["domains"]["embedding"] = str(folder / "model")
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
        command = ["snakemake", "--dry-run", "--quiet", "--profile", "none", "--cores", "1"]
        with timed("snakemake --dry-run") as say:
            subprocess.run(
                [*command, "--configfile", str(folder / "config.yaml")], cwd=ROOT, check=True
            )
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            say(f"{jobs:,} training jobs, {memory:.0f} MB")


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", default=str(ROOT / "configs/paper.yaml"))
    parser.add_argument("--jobs", type=int, default=5000, help="jobs of the DAG (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="adaptive rounds (%(default)s)")
    parser.add_argument("--draws", type=int, default=300, help="draws of the law (%(default)s)")
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["forecast", "dag", "plan", "rounds"],
        help="what to time: forecast, dag, plan, rounds (all)",
    )
    arguments = parser.parse_args()
    content = yaml.safe_load(Path(arguments.config).read_text())
    each = len(content["sizes"]) * (2 + content["corpus"]["domains"]["discover"])
    seeds = math.ceil(arguments.jobs / each)
    config = ExperimentConfig.read(content)
    rng = np.random.default_rng(0)
    if "forecast" in arguments.parts:
        many = copy.deepcopy(content)
        many["grid"] = {**content["grid"], "seeds": list(range(seeds))}
        many["grid"].pop("repeat", None)
        with timed("forecast") as say:
            big = ExperimentConfig.read(many)
            table = forecast.forecast(big, forecast.throughputs_of(big, None, gpu=True)[0])
            say(f"{seeds * each:,} jobs, {int(table['runs'].sum()):,} runs")
    if "dag" in arguments.parts:
        dry_run(content, seeds, seeds * each)
    if "plan" in arguments.parts:
        fit_and_plan(config, arguments.draws, rng)
    if "rounds" in arguments.parts:
        start = 12  # five would cover every size, D and D' of a domain
        content["grid"]["adaptive"] = {"start": start, "rounds": 9, "stop_regret": 0.0}
        adaptive_rounds(ExperimentConfig.read(content), arguments.rounds, arguments.draws, rng)


if __name__ == "__main__":
    main()
