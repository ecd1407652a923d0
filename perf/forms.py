"""Print the errors of every form on one table: on the fitted rows, and on held-out rows.

python perf/forms.py --losses table.csv --min-tokens-per-param 5
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from dataclasses import replace

import numpy as np
import planted_laws
from splitlaw.laws.fit import fit_form
from splitlaw.laws.repeat import repetition_constant

from splitlaw.laws import FORMS
from splitlaw.laws.holdout import KINDS, held_out_rows, hold_out, measure
from splitlaw.laws.table import read_table


def format_errors(relative: np.ndarray) -> str:
    return f"{np.abs(relative).mean():.2%} ({relative.mean():+.2%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", help="table of losses, CSV (default: a planted one)")
    parser.add_argument("--min-tokens-per-param", type=float, default=0.0)
    parser.add_argument("--share", default="none")
    args = parser.parse_args()
    losses = args.losses
    if losses is None:
        rng = np.random.default_rng(0)
        truth = planted_laws.plant("two_skills", rng, 4)
        losses = planted_laws.noisy(truth, rng, trunk="size")
    table = read_table(losses, min_tokens_per_param=args.min_tokens_per_param).fit
    table = replace(table, repetitions=repetition_constant(table, None))
    kinds = held_out_rows(table)
    print(f"{len(table)} rows; repetition constant {table.repetitions:.3g}")
    print(f"held out: { {kind: int(rows.sum()) for kind, rows in kinds.items()} }")
    print("mean relative error (signed), each form on the rows where it is finite")
    print("| form | rows | in-sample | " + " | ".join(KINDS) + " |")
    for form in FORMS.values():
        rows = form.usable(table.pretrain, table.specialize)
        if form.stages > (1 if table.one_stage else 2):
            continue
        estimate = fit_form(form, table, sharing=args.share)
        cells = [format_errors(measure(estimate, table.take(rows), "in-sample").relative)]
        errors = hold_out(form, table, [args.share], kinds, rows)[args.share]
        by_kind = {part.kind: format_errors(part.relative) for part in errors}
        cells += [by_kind.get(kind, "-") for kind in KINDS]
        print(f"| {form.name} | {int(rows.sum())} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
