"""Analyse a grid of losses: the law, the optimal split, and the number of runs they require.

python perf/reference.py forms --losses reference/grid/losses.csv --out reference/grid/forms.csv
python perf/reference.py subsets --losses reference/grid/losses.csv --out reference/grid/subsets.csv
python perf/reference.py optimum --losses reference/grid/losses.csv --out reference/grid/optimum.csv
python perf/reference.py surface --losses reference/grid/losses.csv --out reference/grid/surface.csv

`forms` fits every form without the largest sizes, D, D' or their corner, and measures its errors
there. `subsets` measures how many runs a plan requires. `optimum` computes how the optimal split
varies. `surface` does the same without a law, from a smooth surface fitted to each size. Each
prints a table and writes it to `--out`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.laws import FORMS, FitResult
from splitlaw.laws.api import fit_table
from splitlaw.planner import plan, splits_at

DRAWS = 1000
"""Draws of trunks for the interval of an error."""

FIT_DRAWS = 300
"""Draws of a law: the usual number."""

UNIQUE_TOKENS = (1e5, 3e5, 1e6, 3e6)
"""Unique tokens of each domain at which `optimum` plans."""

FRACTIONS = np.arange(0.02, 0.9, 0.001)
"""General fractions at which a surface is searched for its lowest point."""


def read(file: Path) -> pd.DataFrame:
    """Read the rows of each domain's own and unsplit runs, without the column of held-out rows."""
    table = pd.read_csv(file).drop(columns="split", errors="ignore")
    own = (table["train_domain"] == table["domain"]) | (table["specialize_tokens"] == 0)
    return table[own & (table["domain"] != "general")].reset_index(drop=True)


# ---- which form predicts best ---------------------------------------------------------------


def hold_outs(table: pd.DataFrame) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Return the rows to fit and to predict by question; all forms are finite on the latter."""
    sizes = np.sort(table["params"].unique())
    deep = np.sort(table.loc[table["specialize_tokens"] > 0, "specialize_tokens"].unique())
    split = table["specialize_tokens"] > 0
    wide = np.sort(table.loc[split, "pretrain_tokens"].unique())
    large = table["params"] > sizes[min(2, len(sizes) - 2)]
    top = table["pretrain_tokens"] >= wide[-1]
    four = table["specialize_tokens"] >= min(4 * deep[-3], deep[-1])
    short = table["specialize_tokens"] <= deep[-3] if len(deep) > 3 else ~four
    corner = split & (table["pretrain_tokens"] >= wide[-2])
    corner &= table["specialize_tokens"] >= deep[-2]
    everything = pd.Series(True, index=table.index)
    questions = {
        "in-sample": (everything, everything),
        "largest sizes": (~large, large),
        "largest D": (~top, top),
        "D' four times beyond": (short, four),
        "corner": (~corner, corner),
    }
    both = split & (table["pretrain_tokens"] > 0)
    return {name: (seen, asked & both) for name, (seen, asked) in questions.items()}


def forms(table: pd.DataFrame) -> pd.DataFrame:
    """Return error, its 90% interval, bias, coverage, width and score by form and question."""
    questions = hold_outs(table)
    laws = ["auto", *(form.name for form in FORMS.values() if form.stages == 2)]
    rows = [
        {"form": law, "question": name, **measured(table, law, *parts)}
        for law in laws
        for name, parts in questions.items()
    ]
    return pd.DataFrame(rows)


def measured(table: pd.DataFrame, law: str, seen: pd.Series, asked: pd.Series) -> dict[str, Any]:
    """Fit a law to the rows `seen` and measure its errors on those `asked`, relative to the loss.

    Returns the mean relative error, its 90% interval over trunks, and the bias; the coverage of the
    90% intervals of new runs, the 95th percentile of the coverage over trunks (below 90% if it is
    too low at the 5% level), their mean width and their mean interval score (Gneiting and Raftery
    2007), both relative to the loss. Rows of a trunk share its noise, so trunks are resampled.
    """
    fit = fit_table(table[seen], law=law, draws=FIT_DRAWS)
    loss = table.loc[asked, "loss"]
    predicted = fit.predict(table[asked].drop(columns="loss"))
    error = predicted["loss"] / loss - 1
    below, above = predicted["loss_low"], predicted["loss_high"]
    inside = loss.between(below, above)
    trunks = table.loc[asked, ["trunk"]].assign(error=error.abs(), inside=inside, rows=1)
    sums = trunks.groupby("trunk").sum().to_numpy(dtype=float)
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(len(sums), size=(DRAWS, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 2], [0.05, 0.95])
    width = (above - below) / loss
    missed = ((below - loss).clip(lower=0) + (loss - above).clip(lower=0)) / loss
    return {
        "rows": len(error),
        "mre": error.abs().mean(),
        "low": low,
        "high": high,
        "bias": error.mean(),
        "trunks": len(sums),
        "coverage": inside.mean(),
        "coverage_high": np.quantile(drawn[:, 1] / drawn[:, 2], 0.95),
        "width": width.mean(),
        "score": (width + 2 / 0.1 * missed).mean(),
        "law": fit.law,
        "objective": fit.objective,
    }


# ---- how few runs are enough ----------------------------------------------------------------


def subsets(table: pd.DataFrame, *, size: float, budget: float, seeds: int) -> pd.DataFrame:
    """Return the regret of plans made from a part of the runs, under the law of all runs.

    One row per kind of part: `runs` are those that it keeps, `parts` its random choices and
    `failed` how many of them could not be fitted. The budget is in tokens.
    """
    whole = fit_table(table, draws=0)
    per_token = per_token_at(table, size)
    about = {"flops": budget * per_token, "params": size, "flops_per_token": per_token}
    rows = []
    for name, parts in itertools.chain(by_rule(table), at_random(table, seeds)):
        found = [regret_of(part, whole, about) for part in parts]
        made = np.array([one for one in found if one]).reshape(-1, 2)
        regrets, fractions = made.T if len(made) else np.full((2, 1), np.nan)
        rows.append(
            {
                "kept": name,
                "runs": parts[0]["run"].nunique(),
                "parts": len(parts),
                "failed": len(parts) - len(made),
                "regret_median": np.median(regrets),
                "regret_largest": np.max(regrets),
                "fraction_low": np.min(fractions),
                "fraction_high": np.max(fractions),
                "params": size,
                "budget": budget,
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def per_token_at(table: pd.DataFrame, size: float) -> float:
    """Return the training FLOPs per token of a measured size."""
    return float(table.loc[table["params"] == size, "flops_per_token"].iloc[0])


def regret_of(
    part: pd.DataFrame, whole: FitResult, about: dict[str, float]
) -> tuple[float, float] | None:
    """Return the relative regret of a part's plan under the law of the whole, and its fraction."""
    try:
        made = plan(fit_table(part, draws=0), **about)
    except UserError:
        return None
    best = plan(whole, **about)
    points = pd.DataFrame(
        {
            "domain": list(made.specialize_tokens),
            "params": about["params"],
            "pretrain_tokens": made.pretrain_tokens,
            "specialize_tokens": list(made.specialize_tokens.values()),
        }
    )
    loss = whole.predict(points)["loss"].mean()
    lost = max(0.0, loss / best.predicted_mean_loss[0] - 1)
    return lost, made.fraction_general


def by_rule(table: pd.DataFrame) -> Iterator[tuple[str, list[pd.DataFrame]]]:
    """Yield parts of a grid that a user might choose."""
    sizes = np.sort(table["params"].unique())
    pretrain = np.sort(table["pretrain_tokens"][table["specialize_tokens"] > 0].unique())
    specialize = np.sort(table["specialize_tokens"].unique())[1:]
    yield "all runs", [table]
    if "seed" in table and table["seed"].nunique() > 1:
        yield "one seed", [table[table["seed"] == table["seed"].min()]]
    yield "without unsplit runs", [table[table["specialize_tokens"] > 0]]
    yield "without D = 0", [table[table["pretrain_tokens"] > 0]]
    for count in range(2, len(sizes)):
        yield f"the {count} smallest sizes", [table[table["params"].isin(sizes[:count])]]
    for left in pretrain[1:]:
        yield f"without D = {left:,.0f}", [table[table["pretrain_tokens"] != left]]
    for left in specialize:
        yield f"without D' = {left:,.0f}", [table[table["specialize_tokens"] != left]]
    ends = table["pretrain_tokens"].isin(pretrain[[0, -1]]) | (table["specialize_tokens"] == 0)
    yield "the first and last D", [table[ends]]
    ends = table["specialize_tokens"].isin([0, specialize[0], specialize[-1]])
    yield "the first and last D'", [table[ends]]


def at_random(table: pd.DataFrame, seeds: int) -> Iterator[tuple[str, list[pd.DataFrame]]]:
    """Yield random parts of the runs, in decreasing size."""
    runs = table["run"].unique()
    for share in (0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.06):
        parts = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            kept = rng.choice(runs, size=round(share * len(runs)), replace=False)
            parts.append(table[table["run"].isin(kept)])
        yield f"{share:.0%} at random, {seeds} draws", parts


# ---- how the best split moves ---------------------------------------------------------------


def optimum(table: pd.DataFrame, *, budgets: list[float]) -> pd.DataFrame:
    """Return the optimal general fraction and its interval where one setting of a plan changes.

    `question` names it: `size` (with the budget), `domains` (the first K), `unique_tokens` (of each
    domain), or `borrowed`: the regret of the optimal fraction of the size `params` at the size
    `at_params`. Budgets are in tokens.
    """
    fit = fit_table(table, draws=100)
    sizes = np.sort(table["params"].unique())
    middle, largest = budgets[len(budgets) // 2], sizes[-1]
    rows = [
        {"question": "size", "params": size, "budget": budget, **at(fit, table, size, budget)}
        for size in sizes
        for budget in budgets
    ]
    about = {"params": largest, "budget": middle}
    for count in range(1, len(fit.domains) + 1):
        made = at(fit, table, largest, middle, domains=fit.domains[:count])
        rows.append({"question": "domains", **about, "domains": count, **made})
    for unique in UNIQUE_TOKENS:
        scarce = dict.fromkeys(fit.domains, unique)
        made = at(fit, table, largest, middle, unique_tokens=scarce)
        rows.append({"question": "unique_tokens", **about, "unique_tokens": unique, **made})
    same = [row for row in rows if row["question"] == "size" and row["budget"] == middle]
    best = {row["params"]: row for row in same}
    for ours, theirs in itertools.product(sizes, sizes):
        lost = borrowed(fit, table, best[ours], best[theirs], theirs, middle)
        row = {"params": ours, "at_params": theirs, "budget": middle, "regret_relative": lost}
        rows.append({"question": "borrowed", **row})
    return pd.DataFrame(rows)


def surface(table: pd.DataFrame, *, budgets: list[float]) -> pd.DataFrame:
    """Return the best general fraction on a quadratic surface for each size and domain.

    The surface is log loss as a function of log D and log D'; the budget, in tokens, is shared
    evenly. The fraction is NaN where the optimum is outside the measured D or D'. `residual` is the
    root mean square error of the surface in log loss.
    """
    both = table[(table["pretrain_tokens"] > 0) & (table["specialize_tokens"] > 0)]
    found = []
    for size, rows in both.groupby("params"):
        parts = [quadratic(part) for _, part in rows.groupby("domain")]
        residual = np.sqrt(np.mean(np.concatenate([left for _, left in parts]) ** 2))
        for budget in budgets:
            losses = valley([one for one, _ in parts], budget)
            best = FRACTIONS[np.argmin(losses)]
            inside = within(rows, best * budget, (1 - best) * budget / len(parts))
            row = {"params": size, "residual": residual, "budget": budget}
            found.append({**row, "fraction_general": best if inside else np.nan})
    return pd.DataFrame(found)


def valley(surfaces: list[np.ndarray], budget: float) -> np.ndarray:
    """Return the mean loss over domains at each of `FRACTIONS`; the budget is in tokens."""
    pretrain, specialize = FRACTIONS * budget, (1 - FRACTIONS) * budget / len(surfaces)
    losses: np.ndarray = np.exp(np.stack([design(pretrain, specialize) @ one for one in surfaces]))
    return losses.mean(axis=0)


def design(pretrain: np.ndarray, specialize: np.ndarray) -> np.ndarray:
    """Return the monomials of log D and log D' up to degree two, `[n, 6]`."""
    x, y = np.log(pretrain / 1e6), np.log(specialize / 1e6)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def quadratic(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the least-squares coefficients of log loss, `[6]`, and the residuals, `[rows]`."""
    columns = rows["pretrain_tokens"].to_numpy(float), rows["specialize_tokens"].to_numpy(float)
    terms, log_loss = design(*columns), np.log(rows["loss"].to_numpy())
    coefficients = np.linalg.lstsq(terms, log_loss, rcond=None)[0]
    return coefficients, log_loss - terms @ coefficients


def within(rows: pd.DataFrame, pretrain: float, specialize: float) -> bool:
    """Return whether D and D' are in the measured ranges."""
    return all(
        rows[name].min() <= value <= rows[name].max()
        for name, value in (("pretrain_tokens", pretrain), ("specialize_tokens", specialize))
    )


def at(
    fit: FitResult, table: pd.DataFrame, size: float, budget: float, **options: Any
) -> dict[str, float]:
    """Return the general fraction of the plan for a size and a budget in tokens, and its loss."""
    per_token = per_token_at(table, size)
    made = plan(fit, flops=budget * per_token, params=size, flops_per_token=per_token, **options)
    low, high = made.interval["fraction_general"]
    fraction = {"fraction_general": made.fraction_general, "low": low, "high": high}
    return {**fraction, "predicted_loss": made.predicted_mean_loss[0]}


def borrowed(
    fit: FitResult,
    table: pd.DataFrame,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    size: float,
    budget: float,
) -> float:
    """Return the relative regret of using another size's general fraction."""
    per_token = per_token_at(table, size)
    split = splits_at(
        fit,
        flops=budget * per_token,
        params=size,
        flops_per_token=per_token,
        fractions=np.array([ours["fraction_general"]]),
    )
    return max(0.0, split["predicted_loss"].mean() / theirs["predicted_loss"] - 1)


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("question", choices=["forms", "subsets", "optimum", "surface"])
    parser.add_argument("--losses", type=Path, required=True, help="losses.csv of a grid")
    parser.add_argument("--out", type=Path, help="CSV file to which the table is written")
    parser.add_argument("--draws", type=int, default=10, help="random subsets of each size")
    arguments = parser.parse_args()
    table = read(arguments.losses)
    largest = table["params"].max()
    budgets = [4.0 * largest * factor for factor in (2, 4, 8)]
    questions: dict[str, Callable[[], pd.DataFrame]] = {
        "forms": lambda: forms(table),
        "subsets": lambda: subsets(table, size=largest, budget=budgets[1], seeds=arguments.draws),
        "optimum": lambda: optimum(table, budgets=budgets),
        "surface": lambda: surface(table, budgets=budgets),
    }
    found = questions[arguments.question]()
    print(found.to_string())
    if arguments.out:
        found.to_csv(arguments.out, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
