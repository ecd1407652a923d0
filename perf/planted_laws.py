"""Coverage of intervals on planted tables, with and without a smooth error of the form.

python perf/planted_laws.py --laws 200 --forms two_skills coupled effective_tokens

Each table has 4 sizes, 5 D and 5 D' with noise of 0.2% on every row and 0.2% shared by the rows of
a size. Printed: the share of true losses (inside the grid and at 3 times the largest size), best
general fractions and gains over half that are in their 90% intervals, and the width of intervals
inside the grid against those of the planted form without a discrepancy.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd

from splitlaw.laws import FORMS, FitResult, fit_table
from splitlaw.laws.draw import draw_member
from splitlaw.laws.points import Points, Units
from splitlaw.laws.posterior import fit_posterior
from splitlaw.laws.read import read_table
from splitlaw.laws.result import interval
from splitlaw.laws.rows import make_frame, make_rows
from splitlaw.planner import plan

SIZES = (1e7, 2e7, 4e7, 8e7)
GENERAL = (2.5e8, 5e8, 1e9, 2e9, 4e9)
SPECIAL = (0.0, 6.25e7, 2.5e8, 5e8, 1e9)
COLUMNS = ["domain", "params", "pretrain_tokens", "specialize_tokens"]
MIDDLE = Units(params=3e7, pretrain=1e9, specialize=1e9, tokens=1e9)
PER_DOMAIN = 1.5e9
"""Tokens of the plan for each domain, at 3 times the largest size."""

NOISE = 2e-3
NOTHING = 1e-6
"""Amplitude of a discrepancy that changes no loss."""

FRACTIONS = np.linspace(0.02, 0.9, 177)


def plant(form: str, rng: np.random.Generator, domains: int) -> FitResult:
    """Draw a law at random: the size of each term at the middle of the grid, and the exponents."""
    ranges = {"alpha": (0.2, 0.5), "phi": (0.2, 0.5), "beta": (0.2, 0.5)}
    centre = {name: rng.uniform(*ends) for name, ends in ranges.items()}
    parameters = {}
    for k in range(domains):
        law = {
            "E": rng.uniform(1.2, 2.2),
            "A": rng.uniform(0.3, 0.8),
            "F": rng.uniform(0.2, 0.7),
            "B": rng.uniform(0.3, 0.8) * (1.0 if form == "two_skills" else 2.0),
            **{name: value * rng.uniform(0.8, 1.2) for name, value in centre.items()},
            "G": rng.uniform(0.1, 0.5),
            "kappa": rng.uniform(0.15, 0.6),
            "gamma": rng.uniform(0.5, 0.98),
            "delta": rng.uniform(-0.2, 0.2),
            "rho": rng.uniform(0.3, 0.8),
            "d0": rng.uniform(0.03, 0.2),
            "s0": rng.uniform(0.03, 0.2),
        }
        known = FORMS[form]
        values = known.user_values(known.coordinates(law), MIDDLE)
        parameters[f"domain{k}"] = {name: float(value) for name, value in values.items()}
    return FitResult.of_parameters(form, parameters)


class Truth:
    """Expected losses of a planted law times a smooth function of log N, log D and log D'."""

    def __init__(self, law: FitResult, error: float, rng: np.random.Generator) -> None:
        self.law, self.error = law, error
        self.waves = rng.standard_normal((16, 3)) / 1.2
        self.phases = rng.uniform(0, 2 * np.pi, (len(law.domains), 16))

    def losses(self, n: np.ndarray, d: np.ndarray, s: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Losses at points of the broadcast shape."""
        n, d, s, k = np.broadcast_arrays(n, d, s, k)
        x = np.stack([np.log(n), np.log(d + 1.25e8), np.log(s + 3e7)], axis=-1)
        smooth = np.cos(x @ self.waves.T + self.phases[k]).sum(axis=-1) * np.sqrt(2 / 16)
        return self.law.losses(n, d, s, k) * np.exp(self.error * smooth)


def trial(form: str, seed: int, args: argparse.Namespace) -> dict[str, object]:
    """Fit one planted table and compare intervals with the truth."""
    rng = np.random.default_rng([seed, list(FORMS).index(form)])
    truth = Truth(plant(form, rng, args.domains), args.error, rng)
    index = pd.MultiIndex.from_product([range(args.domains), SIZES, GENERAL, SPECIAL])
    k, n, d, s = (index.get_level_values(i).to_numpy() for i in range(4))
    shared = rng.normal(0, NOISE, len(SIZES))[np.searchsorted(SIZES, n)]
    loss = truth.losses(n, d, s, k) * np.exp(shared + rng.normal(0, NOISE, len(n)))
    names = np.array(truth.law.domains)[k]
    table = pd.DataFrame(dict(zip(COLUMNS, (names, n, d, s), strict=True))).assign(loss=loss)
    began = time.process_time()
    fit = fit_table(table, draws=args.draws)
    seconds = time.process_time() - began
    inside = (n, d * 0.8, s * 0.8, k)
    far = (np.full(len(n), 3 * SIZES[-1]), d, s, k)
    best, gain, at_best = valley(truth, args.domains)
    params = 3 * SIZES[-1]
    made = plan(fit, flops=6 * params * PER_DOMAIN * args.domains, params=params)
    low, high = made.interval["fraction_general"]
    gains = drawn_gains(fit, at_best, args.domains)
    return {
        "form": form,
        "inside": covered(fit, truth, inside),
        "far": covered(fit, truth, far),
        "split": low - 5e-4 <= best <= high + 5e-4,
        "split_width": high - low,
        "gain": bool(interval(gains)[0] <= gain <= interval(gains)[1]),
        "width": width(fit, inside),
        "width_of_exact_form": exact_width(table, form, inside, args.draws),
        "error": float(np.abs(fit.losses(*far) / truth.losses(*far) - 1).mean()),
        "seconds": seconds,
    }


def covered(fit: FitResult, truth: Truth, points: tuple) -> float:
    low, high = interval(fit.drawn_losses(*points))
    exact = truth.losses(*points)
    return float(((low <= exact) & (exact <= high)).mean())


def width(fit: FitResult, points: tuple) -> float:
    low, high = interval(fit.drawn_losses(*points))
    return float(((high - low) / fit.losses(*points)).mean())


def exact_width(table: pd.DataFrame, form: str, points: tuple, draws: int) -> float:
    """Width of the intervals of the planted form where its discrepancy is known to be 0."""
    data = read_table(table).fit
    rows = make_rows(data, make_frame(data))
    posterior = fit_posterior(FORMS[form], rows)
    vector = posterior.hyper.vector.copy()
    for j, name in enumerate(posterior.hyper.names):
        if name in ("amplitude", "slope", "unsplit"):
            vector[j] = np.log(NOTHING)
    posterior = replace(posterior, hyper=posterior.hyper.at(vector))
    member = draw_member(posterior, 1.0, draws, np.random.default_rng(0))
    n, d, s, k = points
    x = Points.of(rows.frame.units, n, d, s)
    coordinates = rows.frame.coordinates(n, d, s, x)
    zero = rows.frame.unsplit_share(s)
    low, high = interval(member.log_losses(coordinates, zero, x, k, drawn=True))
    return float((np.exp(high - low) - 1).mean())


def at_fraction(fraction: np.ndarray, domains: int) -> tuple:
    """Points [fractions, domains] of a budget that domains share evenly."""
    budget = PER_DOMAIN * domains
    f, k = np.meshgrid(fraction, np.arange(domains), indexing="ij")
    return 3 * SIZES[-1], f * budget, (1 - f) * budget / domains, k


def valley(truth: Truth, domains: int) -> tuple[float, float, float]:
    """The best fraction, and its gain over half."""
    means = truth.losses(*at_fraction(FRACTIONS, domains)).mean(axis=1)
    half = truth.losses(*at_fraction(np.array([0.5]), domains)).mean()
    best = FRACTIONS[np.argmin(means)]
    return float(best), float(half - means.min()), float(best)


def drawn_gains(fit: FitResult, fraction: float, domains: int) -> np.ndarray:
    """The gain over half of a fraction under every draw."""
    drawn = fit.drawn_losses(*at_fraction(np.array([fraction, 0.5]), domains)).mean(axis=-1)
    return np.asarray(drawn[:, 1] - drawn[:, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--laws", type=int, default=200, help="planted tables of each form")
    parser.add_argument("--forms", nargs="+", default=["two_skills", "coupled", "effective_tokens"])
    parser.add_argument("--domains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--error", type=float, default=0.01, help="smooth error of the form")
    parser.add_argument("--out", help="write every finished trial to this CSV file")
    args = parser.parse_args()
    trials: list[dict[str, object]] = []
    for form in args.forms:
        for seed in range(args.laws):
            trials.append(trial(form, seed, args))
            if args.out:
                pd.DataFrame(trials).to_csv(args.out, index=False)
        part = pd.DataFrame([t for t in trials if t["form"] == form]).drop(columns="form")
        print(form, len(part), part.astype(float).mean().round(4).to_dict(), flush=True)


if __name__ == "__main__":
    main()
