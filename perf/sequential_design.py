"""Compare runs that `next_runs` chooses with runs chosen at random, on the reference table.

python perf/sequential_design.py [--starts 10] [--out rounds.csv]

The pool is the runs of the first seed of the three smallest sizes. Each start fits a law to 24 runs
chosen at random, 4 of each domain. Rounds of one run for each domain follow, chosen by `next_runs`
or at random, with a new fit after each, until the expected regret of the plan for the third size
and 5.24 million tokens is at most 0.02% of its loss. The true regret is that on the measured
frontier.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd

from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.api import fit_table
from splitlaw.planner import next_runs, plan
from splitlaw.planner.pool import RUN, Costs
from splitlaw.stages.regret import Curve, fit_curve, mean_losses

ROOT = Path(__file__).resolve().parent.parent
SIZES = ("w16", "w24", "w40")
TOKENS = 5_242_880
START, OF_EACH = 24, 4
STOP = 2e-4
"""Expected regret, relative to the loss, at which the rounds end."""
MOST_RUNS = 108
DRAWS = 300


def read_pool() -> pd.DataFrame:
    """The rows of the pool; `domain` is the one evaluated."""
    table = pd.read_csv(ROOT / "reference" / "losses.csv")
    return table[(table["seed"] == 0) & table["size"].isin(SIZES)].reset_index(drop=True)


def runs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, with the domain it was trained on."""
    runs = rows.drop_duplicates("run")
    return runs.assign(domain=runs["train_domain"])[["run", "size", *RUN]].reset_index(drop=True)


def valley() -> Curve:
    """The measured mean loss at the target as a function of the general fraction."""
    table = pd.read_csv(ROOT / "reference" / "frontier" / "frontier.csv")
    means = mean_losses(table[table["budget"] == TOKENS])
    return fit_curve(*(means[c].to_numpy() for c in ("fraction_general", "loss", "seed")))


def cost_of(runs: pd.DataFrame, per_token: dict[float, float]) -> float:
    """FLOPs of runs that share trunks."""
    costs, total = Costs(per_token), 0.0
    for run in runs.itertuples():
        about = run.params, run.seed, run.pretrain_tokens, run.specialize_tokens
        total += costs.flops(*about)
        costs.add(*about)
    return total


def rounds(rows: pd.DataFrame, policy: str, start: int, curve: Curve) -> Iterator[dict[str, Any]]:
    """The state after each round of one start under one policy."""
    rng = np.random.default_rng(start)
    runs = runs_of(rows)
    per_token = rows.groupby("params")["flops_per_token"].first().to_dict()
    names = sorted(set(runs["domain"]) - {GENERAL})
    params = rows.loc[rows["size"] == SIZES[-1], "params"].iloc[0]
    target = {"flops": per_token[params] * TOKENS, "params": params}
    parts = [runs[runs["domain"] == name].sample(OF_EACH, random_state=rng) for name in names]
    chosen = pd.concat(parts)
    best = curve.minimum
    while True:
        trained = rows[rows["run"].isin(chosen["run"])]
        fit = fit_table(trained, draws=DRAWS, seed=start)
        made = plan(fit, **target)
        low, high = made.interval["fraction_general"]
        yield {
            "policy": policy,
            "start": start,
            "runs": len(chosen),
            "cost": cost_of(chosen, per_token) / cost_of(runs, per_token),
            "fraction_general": made.fraction_general,
            "low": low,
            "high": high,
            "expected_regret": made.expected_regret_relative,
            "true_regret": (float(curve(made.fraction_general)) - best[1]) / best[1],
            "contains_best": low <= best[0] <= high,
        }
        if made.expected_regret_relative <= STOP or len(chosen) >= MOST_RUNS:
            return
        left = runs[~runs["run"].isin(chosen["run"])]
        if policy == "next_runs":
            found = next_runs(fit, **target, pool=left, trained=chosen, runs=len(names))
            more = left.merge(found[list(RUN)], on=list(RUN))
        else:
            more = left.sample(len(names), random_state=rng)
        if more.empty:
            return
        chosen = pd.concat([chosen, more[runs.columns]])


def main() -> None:
    """Run every start under both policies and print each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=10, help="number of starts (%(default)s)")
    parser.add_argument("--out", type=Path, help="table of the rounds, CSV")
    args = parser.parse_args()
    rows, curve, states = read_pool(), valley(), []
    print(f"measured best {curve.minimum[0]:.1%}; {len(runs_of(rows))} runs in the pool")
    for start in range(args.starts):
        for policy in ("next_runs", "random"):
            for state in rounds(rows, policy, start, curve):
                states.append(state)
                print(
                    f"start {start} {policy:<9} {state['runs']:>4} runs {state['cost']:>6.1%} of "
                    f"the cost: {state['fraction_general']:.1%} ({state['low']:.1%} to "
                    f"{state['high']:.1%}), expected regret {state['expected_regret']:.3%}, true "
                    f"{state['true_regret']:.3%}",
                    flush=True,
                )
            if args.out:
                pd.DataFrame(states).to_csv(args.out, index=False)
    last = pd.DataFrame(states).groupby(["start", "policy"]).tail(1)
    columns = ["runs", "cost", "expected_regret", "true_regret", "contains_best"]
    print(last.groupby("policy")[columns].agg(["mean", "max"]).to_string())


if __name__ == "__main__":
    main()
