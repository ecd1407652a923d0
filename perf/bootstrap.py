"""Measure the time of 1,000 bootstrap draws, and of plans for 4 and for 64 domains.

python perf/bootstrap.py
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import planted_laws
from splitlaw.laws.bootstrap import bootstrap
from splitlaw.laws.fit import Estimate, fit_form

from splitlaw.laws import FORMS, fit_table
from splitlaw.laws.table import Table, read_table
from splitlaw.planner import plan


def draws(estimate: Estimate, table: Table, count: int, seed: int) -> np.ndarray:
    return bootstrap(estimate, table, count, np.random.default_rng(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    args = parser.parse_args()
    planted_laws.SPECIAL = planted_laws.SPECIAL[1:]
    rng = np.random.default_rng(0)
    for form in planted_laws.LEADING:
        truth = planted_laws.plant(form, rng, 5)
        table = read_table(planted_laws.noisy(truth, rng, trunk="size")).fit
        estimate = fit_form(FORMS[form], table)
        start = time.perf_counter()
        draws(estimate, table, args.draws, 0)
        one = time.perf_counter() - start
        with ProcessPoolExecutor(2) as pool:
            start = time.perf_counter()
            halves = [pool.submit(draws, estimate, table, args.draws // 2, s) for s in (0, 1)]
            _ = [half.result() for half in halves]
            two = time.perf_counter() - start
        print(
            f"{form}: {args.draws} draws, {len(table)} rows of 4 sizes x 5 D x 4 D' x 5 domains: "
            f"{one:.1f} s on one core, {two:.1f} s on two"
        )
    for domains in (4, 64):
        truth = planted_laws.plant("two_skills", rng, domains)
        table = planted_laws.noisy(truth, rng, trunk="size")
        fit = fit_table(table, law=planted_laws.LEADING, share="none", bootstrap=300)
        start = time.perf_counter()
        params = planted_laws.SIZES[-1]
        plan(fit, flops=6 * params * 1.5e9 * domains, params=params)
        print(
            f"plan for {domains} domains, {fit.n_draws} draws: {time.perf_counter() - start:.2f} s"
        )


if __name__ == "__main__":
    main()
