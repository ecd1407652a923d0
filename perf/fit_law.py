"""Compare the time and objective of fitting a one-stage law with those of other methods.

python perf/fit_law.py --losses table.csv

Without a table, 240 rows are planted. `chinchilla` 0.2.0 from PyPI is included if it is installed;
its fit starts from every point of a grid, which is that of its documentation, or with `--grid
hoffmann` that of Hoffmann et al. (2022).
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

from splitlaw.laws import FORMS
from splitlaw.laws.classical import DELTA, fit_classical
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows

SCRIPT = Path(__file__).resolve().parent.parent / "workflow_scripts" / "fit_law.py"
STARTS = 500
GRIDS = {
    "documentation": {
        "E": np.linspace(1, 2, 5),
        "a": np.linspace(1, 10, 5),
        "b": np.linspace(1, 10, 5),
        "alpha": np.linspace(0.1, 0.7, 5),
        "beta": np.linspace(0.1, 0.7, 5),
    },
    "hoffmann": {
        "e": np.linspace(-1, 1, 5),
        "a": np.linspace(0, 25, 6),
        "b": np.linspace(0, 25, 6),
        "alpha": np.linspace(0, 2, 5),
        "beta": np.linspace(0, 2, 5),
    },
}


def planted() -> pd.DataFrame:
    """Return 240 rows of a law like Chinchilla's, with heavy-tailed noise."""
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7.6, 10.2, 240), 10 ** rng.uniform(8.9, 11.6, 240)
    noise = np.exp(0.004 * rng.standard_t(2, 240))
    loss = (1.82 + 480 / n**0.35 + 2100 / d**0.37) * noise
    return pd.DataFrame(
        {"params": n, "pretrain_tokens": d, "specialize_tokens": 0, "domain": "web", "loss": loss}
    )


def value_and_gradient(p: np.ndarray, n: np.ndarray, d: np.ndarray, y: np.ndarray) -> tuple:
    """Return the summed Huber loss of log losses; e, a and b are logarithms of E, A and B."""
    e, a, b, alpha, beta = p
    parts = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
    total = logsumexp(parts, axis=0)
    r = total - y
    size = np.minimum(np.abs(r), DELTA)
    share = np.exp(parts - total) * np.clip(r, -DELTA, DELTA)
    gradient = [share[0], share[1], share[2], -n * share[1], -d * share[2]]
    return (size * (np.abs(r) - size / 2)).sum(), np.sum(gradient, axis=1)


def many_starts(n: np.ndarray, d: np.ndarray, y: np.ndarray) -> float:
    """Return the best objective of 500 random starts of L-BFGS."""
    rng = np.random.default_rng(0)
    low, high = np.array([-1, 0, 0, 0, 0]), np.array([1, 25, 25, 2, 2])
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-9}
    return min(
        minimize(
            value_and_gradient,
            rng.uniform(low, high),
            args=(n, d, y),
            jac=True,
            method="L-BFGS-B",
            options=options,
        ).fun
        for _ in range(STARTS)
    )


def package(table: pd.DataFrame, n: np.ndarray, d: np.ndarray, y: np.ndarray, grid: str) -> float:
    """Return the objective at the parameters that the package `chinchilla` finds."""
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    with tempfile.TemporaryDirectory() as folder:
        law = Chinchilla(
            project_dir=folder,
            param_grid=GRIDS[grid],
            loss_fn=lambda true, predicted: log_huber(true, predicted, DELTA),
            log_level=50,
        )
        law.database.df = pd.DataFrame(
            {
                "C": 6.0 * table["params"] * table["pretrain_tokens"],
                "N": table["params"],
                "D": table["pretrain_tokens"],
                "loss": table["loss"],
            }
        )
        law.visualizer.optim = lambda *args, **kwargs: None
        law.fit()
    p = [float(np.log(v)) for v in (law.E, law.A, law.B)] + [float(law.alpha), float(law.beta)]
    return float(value_and_gradient(np.array(p), n, d, y)[0])


def command(path: Path) -> float:
    """Return the seconds of the whole command, with start-up and draws."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        out = ["--losses", str(path), "--out", str(Path(folder, "fit.json"))]
        out += ["--law", "chinchilla", "--discrepancy", "none"]
        subprocess.run([sys.executable, str(SCRIPT), *out], check=True)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", help="one-stage table, CSV")
    parser.add_argument("--grid", choices=sorted(GRIDS), default="documentation")
    args = parser.parse_args()
    table = pd.read_csv(args.losses) if args.losses else planted()
    fit = read_table(table).fit
    n, d, y = np.log(fit.params), np.log(fit.pretrain + fit.specialize), np.log(fit.loss)

    def timed(label: str, action: object) -> None:
        start = time.perf_counter()
        objective = action()
        print(f"{label:<44}{time.perf_counter() - start:>9.3f} s   {objective:.12f}")

    rows, rng = make_rows(fit, make_frame(fit)), np.random.default_rng(0)
    for label in ("splitlaw, first call", "splitlaw, again"):
        timed(label, lambda: fit_classical(FORMS["chinchilla"], rows, rng).objective)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "losses.csv")
        table.to_csv(path, index=False)
        print(f"{'splitlaw, the command with start-up':<44}{command(path):>9.3f} s")
    timed(f"scipy L-BFGS-B, {STARTS} random starts", lambda: many_starts(n, d, y))
    with contextlib.suppress(ImportError):
        import chinchilla  # noqa: F401

        starts = int(np.prod([len(v) for v in GRIDS[args.grid].values()]))
        timed(f"chinchilla, {starts} starts", lambda: package(table, n, d, y, args.grid))


if __name__ == "__main__":
    main()
