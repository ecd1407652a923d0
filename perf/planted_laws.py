"""Recover planted laws: errors of prediction, regret of plans, coverage, and choice of the form.

python perf/planted_laws.py --laws 200
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd
from splitlaw.laws.repetition import REPETITIONS

from splitlaw.laws import FORMS, FitResult, Member, fit_table
from splitlaw.laws.points import Units
from splitlaw.planner import plan

SIZES = (1e7, 2e7, 4e7, 8e7)
GENERAL = (2.5e8, 5e8, 1e9, 2e9, 4e9)
SPECIAL = (0.0, 6.25e7, 2.5e8, 5e8, 1e9)
MIDDLE = Units(params=3e7, tokens=1e9)
TOTAL = 6e9
"""Tokens of the plan, for 4 domains, at 3 times the largest size."""

LEADING = ("two_skills", "effective_tokens")
NOISE = 2e-3


def plant(form: str, rng: np.random.Generator, domains: int) -> FitResult:
    """Draw a law at random: the size of each term at the middle of the grid, and the exponents."""
    centre = {"alpha": rng.uniform(0.2, 0.5), "phi": rng.uniform(0.2, 0.5)}
    centre["beta"] = rng.uniform(0.2, 0.5)
    values = []
    for _ in range(domains):
        jitter = {name: value * rng.uniform(0.8, 1.2) for name, value in centre.items()}
        law = {
            "E": rng.uniform(1.2, 2.2),
            "A": rng.uniform(0.3, 0.8),
            "F": rng.uniform(0.2, 0.7),
            "B": rng.uniform(0.3, 0.8) * (1.0 if form == "two_skills" else 2.0),
            **jitter,
            "kappa": np.log(rng.uniform(0.15, 0.6)),
            "gamma": rng.uniform(0.5, 0.98),
            "delta": rng.uniform(-0.2, 0.2),
        }
        law = FORMS[form].rescale({n: np.array(law[n]) for n in FORMS[form].names}, MIDDLE)
        law["kappa"] = np.log(law["kappa"])
        values.append([float(law[name]) for name in FORMS[form].names])
    names = tuple(f"domain{k}" for k in range(domains))
    truth = np.array(values)
    member = Member(law=form, sharing="none", weight=1.0, values=truth, draws=truth[None][:0])
    return FitResult(
        domains=names,
        members=(member,),
        others=(),
        stand_ins=(),
        reference={},
        counts=(0,) * domains,
        objective=0.0,
        converged=True,
        warnings=(),
        holdout=(),
        candidates=(),
        flops_per_token={},
        range=dict.fromkeys(("params", "pretrain_tokens", "specialize_tokens"), (1.0, 1e12)),
        repetitions=REPETITIONS,
        seed=0,
    )


def cells(sizes: tuple[float, ...], domains: tuple[str, ...]) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [domains, sizes, GENERAL, SPECIAL],
        names=["domain", "params", "pretrain_tokens", "specialize_tokens"],
    )
    return index.to_frame(index=False)


def noisy(truth: FitResult, rng: np.random.Generator, *, trunk: str) -> pd.DataFrame:
    """Return the losses of the grid with noise: 0.2% on every row, and 0.2% shared by a trunk."""
    table = truth.predict(cells(SIZES, truth.domains))[
        ["domain", "params", "pretrain_tokens", "specialize_tokens", "loss"]
    ]
    keys = ["params"] if trunk == "size" else ["params", "pretrain_tokens"]
    shared = table.groupby(keys).ngroup().to_numpy()
    common = rng.normal(0, NOISE, shared.max() + 1)[shared]
    return table.assign(loss=table["loss"] * np.exp(common + rng.normal(0, NOISE, len(table))))


def true_mean(truth: FitResult, made: object, params: float) -> float:
    points = pd.DataFrame(
        {
            "params": params,
            "pretrain_tokens": made.pretrain_tokens,
            "specialize_tokens": list(made.specialize_tokens.values()),
            "domain": list(made.specialize_tokens),
        }
    )
    return float(truth.predict(points)["loss"].mean())


def trial(form: str, seed: int, args: argparse.Namespace) -> dict[str, object]:
    rng = np.random.default_rng([seed, LEADING.index(form)])
    truth = plant(form, rng, args.domains)
    table = noisy(truth, rng, trunk=args.trunk)
    law = LEADING if args.law == "leading" else (form if args.law == "planted" else args.law)
    start = time.perf_counter()
    fit = fit_table(table, law=law, share=args.share, bootstrap=args.draws, seed=seed)
    elapsed = time.perf_counter() - start
    far = truth.predict(cells((3 * SIZES[-1],), truth.domains))
    found = fit.predict(far[["domain", "params", "pretrain_tokens", "specialize_tokens"]])
    error = np.abs(found["loss"] / far["loss"] - 1)
    inside = (found["loss_low"] <= far["loss"]) & (far["loss"] <= found["loss_high"])
    params = 3 * SIZES[-1]
    budget = {"flops": TOTAL * 6 * params, "params": params}
    ours, best = plan(fit, **budget), plan(truth, **budget)
    low, high = ours.interval["fraction_general"]
    first = fit.members[0]
    return {
        "planted": form,
        "chosen": fit.law,
        "sharing": first.sharing,
        "members": len(fit.members),
        "has_planted": any(m.law == form for m in fit.members),
        "error": float(error.mean()),
        "coverage_loss": float(inside.mean()),
        "regret": true_mean(truth, ours, params) / true_mean(truth, best, params) - 1,
        "covered": low - 5e-4 <= best.fraction_general <= high + 5e-4,
        "width": high - low,
        "fraction": best.fraction_general,
        "planned": ours.fraction_general,
        "mre": {c["law"]: c["holdout_mre"] for c in fit.candidates},
        "seconds": elapsed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", type=int, default=200, help="planted laws of each form")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--domains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--law", default="leading", help="leading, planted, auto or a name")
    parser.add_argument("--share", default="auto")
    parser.add_argument("--trunk", choices=["size", "checkpoint"], default="size")
    parser.add_argument("--out", help="write every finished trial to this CSV file")
    args = parser.parse_args()
    trials: list[dict[str, object]] = []
    for seed in range(args.first, args.first + args.laws):
        for form in LEADING:
            trials.append(trial(form, seed, args))
            if args.out:
                pd.DataFrame(trials).to_csv(args.out, index=False)
    summarise(pd.DataFrame(trials))


def summarise(table: pd.DataFrame) -> None:
    for form, part in table.groupby("planted", sort=False):
        print(
            f"{form}: {len(part)} laws; error at 3 times the largest size: median "
            f"{part.error.median():.3%}, 95th percentile {part.error.quantile(0.95):.3%}; "
            f"true losses within their interval {part.coverage_loss.mean():.1%}; "
            f"regret under 0.1% in {(part.regret < 1e-3).mean():.1%} "
            f"(95th percentile {part.regret.quantile(0.95):.4%}); "
            f"interval of the general fraction covers {part.covered.mean():.1%}, median width "
            f"{part.width.median():.3f}; chosen as planted {(part.chosen == form).mean():.1%}, "
            f"among members {part.has_planted.mean():.1%}; sharing "
            f"{part.sharing.value_counts().to_dict()}; {part.seconds.median():.1f} s a fit"
        )


if __name__ == "__main__":
    main()
