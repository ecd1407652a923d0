"""Compare runs that `next_runs` chooses with runs chosen at random, on the reference table.

python perf/sequential_design.py [--starts 10] [--first 0] [--out rounds.csv]

The pool is the branches of the first seed of the three smallest sizes. Each start fits a law to 24
runs chosen at random, 4 of each domain. Rounds of two runs for each domain follow, chosen by
`next_runs` or at random, with a new fit and plan after each, for the third size and 5.24 million
tokens. A start ends where the expected regret is at most 0.02% of the loss. The true regret is that
of the general fraction on the measured frontier; `along_fraction` is the expected regret of the
fraction alone, with the best shares of the domains at every fraction.
"""

from __future__ import annotations

import argparse
import itertools
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
from splitlaw.laws.result import FitResult
from splitlaw.planner import next_runs, plan
from splitlaw.planner.allocate import share
from splitlaw.planner.pool import RUN, Costs
from splitlaw.planner.problem import GRID, Problem
from splitlaw.planner.task import make_task
from splitlaw.stages.regret import Curve, fit_curve, mean_losses

ROOT = Path(__file__).resolve().parent.parent
SIZES = ("w16", "w24", "w40")
TOKENS = 5_242_880
START, OF_EACH = 24, 4
LEVELS = (1e-3, 5e-4, 2e-4)
"""Expected regrets, relative to the loss, at which the cost of both policies is compared."""
ROUND = 2
"""Runs of each domain in a round."""
DRAWS = 300


def read_pool() -> pd.DataFrame:
    """The rows of the pool; `domain` is the one evaluated."""
    table = pd.read_csv(ROOT / "reference" / "grid" / "losses.csv")
    kept = (table["seed"] == 0) & table["size"].isin(SIZES) & (table["train_domain"] != GENERAL)
    return table[kept].reset_index(drop=True)


def runs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, with the domain it was trained on."""
    runs = rows.drop_duplicates("run")
    return runs.assign(domain=runs["train_domain"])[["run", "size", *RUN]].reset_index(drop=True)


def valley() -> Curve:
    """The measured mean loss at the target as a function of the general fraction."""
    table = pd.read_csv(ROOT / "reference" / "grid" / "frontier" / "frontier.csv")
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


def along_fraction(fit: FitResult, planned: float, *, flops: float, params: float) -> float:
    """Expected regret of a plan's D, the domains' shares being the best of each draw at every D."""
    task = make_task(fit)
    problem = Problem(task.surface(params), task.constraint(flops, params))
    pretrain = np.append(np.linspace(0.02, 0.6, 59) * problem.constraint.tokens, planned)
    least, nodes = problem.least(pretrain), problem.nodes(pretrain, GRID[1])
    losses = problem.table(pretrain, least[..., None] + nodes.grid(GRID[1]), drawn=True)
    total = np.broadcast_to(problem.room(pretrain, least)[0], losses.shape[:2])
    means = share(losses, nodes, total).value
    return float((means[:, -1] - means.min(axis=1)).mean() / means[:, -1].mean())


def rounds(rows: pd.DataFrame, policy: str, start: int, curve: Curve) -> Iterator[dict[str, Any]]:
    """The state after each round of one start under one policy."""
    rng = np.random.default_rng(start)
    runs = runs_of(rows)
    per_token = rows.groupby("params")["flops_per_token"].first().to_dict()
    names = sorted(set(runs["domain"]))
    count = ROUND * len(names)
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
        state = {
            "policy": policy,
            "start": start,
            "runs": len(chosen),
            "cost": cost_of(chosen, per_token) / cost_of(runs, per_token),
            "fraction_general": made.fraction_general,
            "low": low,
            "high": high,
            "expected_regret": made.expected_regret_relative,
            "along_fraction": along_fraction(fit, made.pretrain_tokens, **target),
            "true_regret": (float(curve(made.fraction_general)) - best[1]) / best[1],
            "contains_best": low <= best[0] <= high,
        }
        yield state
        if state["expected_regret"] <= LEVELS[-1]:
            return
        left = runs[~runs["run"].isin(chosen["run"])]
        if policy == "next_runs":
            found = next_runs(fit, **target, pool=left, trained=chosen, runs=count)
            more = left.merge(found[list(RUN)], on=list(RUN))
        else:
            more = left.sample(min(count, len(left)), random_state=rng)
        if more.empty:
            return
        chosen = pd.concat([chosen, more[runs.columns]])


def main() -> None:
    """Run every start under both policies and print each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=10, help="number of starts (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--out", type=Path, help="table of the rounds, CSV")
    args = parser.parse_args()
    rows, curve, states = read_pool(), valley(), []
    print(f"measured best {curve.minimum[0]:.1%}; {len(runs_of(rows))} runs in the pool")
    for start in range(args.first, args.first + args.starts):
        for policy in ("next_runs", "random"):
            for state in rounds(rows, policy, start, curve):
                states.append(state)
                print(
                    f"start {start} {policy:<9} {state['runs']:>4} runs {state['cost']:>6.1%} of "
                    f"the cost: {state['fraction_general']:.1%} ({state['low']:.1%} to "
                    f"{state['high']:.1%}), expected regret {state['expected_regret']:.3%}, of the "
                    f"fraction {state['along_fraction']:.3%}, true {state['true_regret']:.3%}",
                    flush=True,
                )
            if args.out:
                pd.DataFrame(states).to_csv(args.out, index=False)
    print(reached(pd.DataFrame(states)).to_string(index=False))


def reached(states: pd.DataFrame) -> pd.DataFrame:
    """The state in which each policy first has an expected regret of at most each level.

    Means over the starts that reach it; the true regret is the largest.
    """
    rows = []
    for column, level in itertools.product(("expected_regret", "along_fraction"), LEVELS):
        below = states[states[column] <= level]
        first = below.groupby(["start", "policy"], as_index=False).first()
        for policy, part in first.groupby("policy"):
            means = part[["runs", "cost", "contains_best"]].mean().to_dict()
            worst = part["true_regret"].max()
            rows.append({"of": column, "level": level, "policy": policy, "starts": len(part)})
            rows[-1] |= {**means, "largest_true_regret": worst}
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
