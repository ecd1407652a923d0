"""Measure how well a few branches of a new domain join the law of a finished experiment.

python perf/new_domain.py --losses reference/grid/losses.csv

Every domain in turn keeps one, two or three branches of one size, beside all rows of the others.
Printed are, by domain and number of branches: errors of the losses that were left out and the
coverage of their 90% intervals, the domain's tokens in the plan of all domains and in that of the
full table, and the regret of the plan under the law of the full table.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd

from splitlaw.laws import FitResult
from splitlaw.laws.api import fit_table
from splitlaw.planner import Plan, plan

DRAWS = 100
"""Draws of a law: enough for the coverage of some hundred rows."""


def read(file: Path) -> pd.DataFrame:
    """Read the rows of each domain's own and unsplit runs, without the column of held-out rows."""
    table = pd.read_csv(file).drop(columns="split", errors="ignore")
    own = (table["train_domain"] == table["domain"]) | (table["specialize_tokens"] == 0)
    return table[own & (table["domain"] != "general")].reset_index(drop=True)


def few_branches(table: pd.DataFrame, domain: str, count: int) -> pd.Series:
    """Choose branches of a domain at the middle size and its first seed.

    The first has the middle D and the largest D'; the second the largest D and a small D'; the
    third the smallest D and a middle D'.
    """
    sizes = np.sort(table["params"].unique())
    own = (table["domain"] == domain) & (table["params"] == sizes[len(sizes) // 2])
    own &= (table["specialize_tokens"] > 0) & (table["pretrain_tokens"] > 0)
    own &= table["seed"] == table.loc[own, "seed"].min()
    part = table[own]
    wide = np.sort(part["pretrain_tokens"].unique())
    cells = [(wide[len(wide) // 2], -1), (wide[-1], 0), (wide[0], None)][:count]
    keep = pd.Series(False, index=table.index)
    for pretrain, place in cells:
        row = part[part["pretrain_tokens"] == pretrain].sort_values("specialize_tokens")
        keep[row.index[len(row) // 2 if place is None else place]] = True
    return keep


def tokens_of(made: Plan, domain: str) -> float:
    """Share of the domain in the domain tokens of a plan."""
    return made.specialize_tokens[domain] / sum(made.specialize_tokens.values())


def mean_loss(whole: FitResult, made: Plan) -> float:
    """Mean loss of a plan under a law."""
    tokens = np.array([float(made.specialize_tokens[d]) for d in whole.domains])
    numbers = np.arange(len(whole.domains))
    return float(whole.losses(made.params, float(made.pretrain_tokens), tokens, numbers).mean())


def measure(
    table: pd.DataFrame, whole: FitResult, best: Plan, domain: str, count: int
) -> dict[str, float]:
    """Errors, split and regret with `count` branches of a domain."""
    keep = few_branches(table, domain, count)
    left = (table["domain"] == domain) & ~keep
    law = fit_table(table[~left], draws=DRAWS)
    asked = table[left & (table["specialize_tokens"] > 0) & (table["pretrain_tokens"] > 0)]
    predicted = law.predict(asked.drop(columns="loss"))
    error = predicted["loss"] / asked["loss"] - 1
    inside = asked["loss"].between(predicted["loss_low"], predicted["loss_high"])
    made = plan(law, flops=best.flops, params=best.params, flops_per_token=best.flops_per_token)
    lowest = mean_loss(whole, best)
    return {
        "mre": error.abs().mean(),
        "bias": error.mean(),
        "inside": inside.mean(),
        "width": ((predicted["loss_high"] - predicted["loss_low"]) / asked["loss"]).mean(),
        "share": tokens_of(made, domain),
        "share_full": tokens_of(best, domain),
        "fraction": made.fraction_general,
        "regret": mean_loss(whole, made) / lowest - 1,
    }


def main() -> None:
    """Print a row for each domain and number of branches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", type=Path, default=Path("reference/grid/losses.csv"))
    parser.add_argument("--params", type=float, help="size of the plan (the second largest)")
    parser.add_argument("--tokens", type=float, default=5_242_880, help="tokens of the plan")
    parser.add_argument("--branches", type=int, nargs="+", default=[3, 1])
    args = parser.parse_args()
    table = read(args.losses)
    size = args.params or float(np.sort(table["params"].unique())[-2])
    per_token = float(table.loc[table["params"] == size, "flops_per_token"].iloc[0])
    whole = fit_table(table, draws=0)
    best = plan(whole, flops=args.tokens * per_token, params=size, flops_per_token=per_token)
    print(f"{size:,.0f} parameters, {args.tokens:,.0f} tokens: {best.fraction_general:.1%} general")
    print(
        "| domain | branches | error (bias) | inside 90% (width) | share of D' (full) | general "
        "| regret |\n|---|---|---|---|---|---|---|"
    )
    for count in args.branches:
        for domain in whole.domains:
            found = measure(table, whole, best, domain, count)
            print(
                f"| {domain} | {count} | {found['mre']:.2%} ({found['bias']:+.2%}) "
                f"| {found['inside']:.0%} ({found['width']:.1%}) "
                f"| {found['share']:.1%} ({found['share_full']:.1%}) "
                f"| {found['fraction']:.1%} | {found['regret']:.3%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
