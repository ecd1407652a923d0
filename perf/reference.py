"""Analyse a grid of losses: the law, the optimal split, and the number of runs they require.

python perf/reference.py forms --losses reference/grid/losses.csv
python perf/reference.py subsets --losses reference/grid/losses.csv
python perf/reference.py optimum --losses reference/grid/losses.csv
python perf/reference.py surface --losses reference/grid/losses.csv

`forms` fits every form without the largest sizes, D, D' or their corner, and prints its errors
there. `--out` also writes them as a table, with which a test compares the current fitter, and as a
figure. `subsets` prints how many runs a plan requires. `optimum` prints how the optimal split
varies. `surface` does the same without a law, from a smooth surface fitted to each size.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from splitlaw.common.errors import UserError
from splitlaw.laws import FORMS, FitResult
from splitlaw.laws.api import fit_table
from splitlaw.planner import plan, splits_at
from splitlaw.report import style

DRAWS = 1000
"""Draws of trunks for the interval of an error."""

FIT_DRAWS = 300
"""Draws of a law: the usual number."""

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


def forms(table: pd.DataFrame, out: Path | None) -> None:
    """Print error, its 90% interval, bias, coverage, width and score by form and question."""
    questions = hold_outs(table)
    counts = {name: (int(a.sum()), int(b.sum())) for name, (a, b) in questions.items()}
    print(f"rows fitted and predicted: {counts}\n")
    print("| form | " + " | ".join(questions) + " |")
    print("|---" * (len(questions) + 1) + "|")
    found = []
    for law in ["auto", *(form.name for form in FORMS.values() if form.stages == 2)]:
        cells = [measured(table, law, *rows) for rows in questions.values()]
        print(f"| {law} | " + " | ".join(map(format_cell, cells)) + " |", flush=True)
        found += [
            {"form": law, "question": name, **cell}
            for name, cell in zip(questions, cells, strict=True)
        ]
    if out:
        pd.DataFrame(found).to_csv(out, index=False, float_format="%.6f")
        figure = errors_figure(pd.DataFrame(found))
        figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})


def errors_figure(found: pd.DataFrame) -> Figure:
    """Plot mean relative errors with 90% intervals: one panel per question, one row per form."""
    style.set_theme()
    laws, questions = list(found["form"].unique()), list(found["question"].unique())
    figure = Figure(figsize=(1.7 * style.WIDTH, 2.6))
    axes = figure.subplots(1, len(questions), sharey=True)
    for axis, question in zip(axes, questions, strict=True):
        part = found[found["question"] == question].set_index("form").loc[laws]
        around = 100 * np.stack([part["mre"] - part["low"], part["high"] - part["mre"]])
        axis.errorbar(100 * part["mre"], laws, xerr=around, fmt="o", ms=4, color=style.INK, lw=1)
        axis.set(title=question, xlim=(0, None))
        axis.grid(visible=False, axis="x")
    axes[0].invert_yaxis()
    figure.supxlabel("mean relative error (%) and its 90% interval", fontsize=9)
    return figure


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


def format_cell(cell: dict[str, Any]) -> str:
    """Return the text of a cell of the table."""
    error = f"{cell['mre']:.2%} ({cell['low']:.2%} to {cell['high']:.2%}; {cell['bias']:+.2%})"
    return f"{error}, {cell['coverage']:.0%} of {cell['width']:.1%}, {cell['score']:.1%}"


# ---- how few runs are enough ----------------------------------------------------------------


def subsets(table: pd.DataFrame, *, size: float, budget: float, seeds: int) -> None:
    """Print the regret of plans made from a part of the runs, under the law of all runs."""
    whole = fit_table(table, draws=0)
    per_token = per_token_at(table, size)
    about = {"flops": budget * per_token, "params": size, "flops_per_token": per_token}
    print(
        f"{table['run'].nunique()} runs; regret at {size:,.0f} parameters, {budget:,.0f} tokens\n"
    )
    print("| runs kept | regret, median | largest | general fraction |\n|---|---|---|---|")
    cases = itertools.chain(
        ((name, [part]) for name, part in by_rule(table)), at_random(table, seeds)
    )
    for name, parts in cases:
        found = [regret_of(part, whole, about) for part in parts]
        regrets, fractions = np.array([one for one in found if one]).T if any(found) else ([], [])
        failed = sum(one is None for one in found)
        lost = f"{np.median(regrets):.3%} | {np.max(regrets):.3%}" if len(regrets) else "- | -"
        spread = f"{np.min(fractions):.0%} to {np.max(fractions):.0%}" if len(fractions) else "-"
        note = f"; {failed} of {len(found)} could not be fitted" if failed else ""
        runs = parts[0]["run"].nunique()
        print(f"| {name} ({runs}{note}) | {lost} | {spread} |", flush=True)


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


def by_rule(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield parts of a grid that a user might choose."""
    sizes = np.sort(table["params"].unique())
    pretrain = np.sort(table["pretrain_tokens"][table["specialize_tokens"] > 0].unique())
    specialize = np.sort(table["specialize_tokens"].unique())[1:]
    yield "all runs", table
    if "seed" in table and table["seed"].nunique() > 1:
        yield "one seed", table[table["seed"] == table["seed"].min()]
    yield "without unsplit runs", table[table["specialize_tokens"] > 0]
    yield "without D = 0", table[table["pretrain_tokens"] > 0]
    for count in range(2, len(sizes)):
        yield f"the {count} smallest sizes", table[table["params"].isin(sizes[:count])]
    for left in pretrain[1:]:
        yield f"without D = {left:,.0f}", table[table["pretrain_tokens"] != left]
    for left in specialize:
        yield f"without D' = {left:,.0f}", table[table["specialize_tokens"] != left]
    ends = table["pretrain_tokens"].isin(pretrain[[0, -1]]) | (table["specialize_tokens"] == 0)
    yield "the first and last D", table[ends]
    ends = table["specialize_tokens"].isin([0, specialize[0], specialize[-1]])
    yield "the first and last D'", table[ends]


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


def optimum(table: pd.DataFrame, *, budgets: list[float]) -> None:
    """Print the optimal general fraction by size, budget, number of domains and unique tokens."""
    fit = fit_table(table, draws=100)
    sizes = np.sort(table["params"].unique())
    print("Optimal general fraction (90% interval), by size and budget in tokens\n")
    print("| parameters | " + " | ".join(f"{b / 1e6:.3g}M" for b in budgets) + " |")
    print("|---" * (len(budgets) + 1) + "|")
    for size in sizes:
        cells = [fraction(at(fit, table, size, budget)) for budget in budgets]
        print(f"| {size:,.0f} | " + " | ".join(cells) + " |", flush=True)
    middle = budgets[len(budgets) // 2]
    print("\nWith fewer domains (the first K), and with scarce domain tokens\n")
    for count in range(1, len(fit.domains) + 1):
        made = at(fit, table, sizes[-1], middle, domains=fit.domains[:count])
        print(f"- K = {count}: {fraction(made)}")
    for unique in (1e5, 3e5, 1e6, 3e6):
        scarce = dict.fromkeys(fit.domains, unique)
        made = at(fit, table, sizes[-1], middle, unique_tokens=scarce)
        print(f"- {unique:,.0f} unique tokens per domain: {fraction(made)}")
    print("\nRegret of using the optimal fraction of one size (row) at another (column)\n")
    best = {size: at(fit, table, size, middle) for size in sizes}
    print("| | " + " | ".join(f"{size:,.0f}" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for ours in sizes:
        lost = [borrowed(fit, table, best[ours], best[theirs], theirs, middle) for theirs in sizes]
        print(f"| {ours:,.0f} | " + " | ".join(f"{one:.3%}" for one in lost) + " |")


def surface(table: pd.DataFrame, *, budgets: list[float]) -> None:
    """Print the best general fraction on a quadratic surface for each size and domain.

    The surface is log loss as a function of log D and log D'; the budget is shared evenly. A dash
    marks an optimum outside the measured D or D'.
    """
    both = table[(table["pretrain_tokens"] > 0) & (table["specialize_tokens"] > 0)]
    sizes = dict(iter(both.groupby("params")))
    fitted = {
        size: [quadratic(part) for _, part in rows.groupby("domain")]
        for size, rows in sizes.items()
    }
    valleys = {
        size: [valley([one for one, _ in parts], budget) for budget in budgets]
        for size, parts in fitted.items()
    }
    print("| parameters | residual | " + " | ".join(f"{b / 1e6:.3g}M" for b in budgets) + " |")
    print("|---" * (len(budgets) + 2) + "|")
    for size, parts in fitted.items():
        residual = np.sqrt(np.mean(np.concatenate([left for _, left in parts]) ** 2))
        cells = []
        for budget, losses in zip(budgets, valleys[size], strict=True):
            best = FRACTIONS[np.argmin(losses)]
            inside = within(sizes[size], best * budget, (1 - best) * budget / len(parts))
            cells.append(f"{best:.0%}" if inside else "-")
        print(f"| {size:,.0f} | {residual:.2%} | " + " | ".join(cells) + " |")
    print("\nLargest regret of using another size's fraction, over all sizes but the largest\n")
    for number, budget in enumerate(budgets):
        losses = np.stack([valleys[size][number] for size in sorted(sizes)[:-1]])
        taken = losses[:, losses.argmin(axis=1)] / losses.min(axis=1, keepdims=True) - 1
        print(f"- {budget / 1e6:.3g}M: {taken.max():.2%}")


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


def at(fit: FitResult, table: pd.DataFrame, size: float, budget: float, **options):
    """Return the plan for a size and a budget in tokens."""
    per_token = per_token_at(table, size)
    return plan(fit, flops=budget * per_token, params=size, flops_per_token=per_token, **options)


def fraction(made) -> str:
    """Return the text of a plan's general fraction and its interval."""
    low, high = made.interval["fraction_general"]
    return f"{made.fraction_general:.0%} ({low:.0%} to {high:.0%})"


def borrowed(fit, table, ours, theirs, size: float, budget: float) -> float:
    """Return the relative regret of using another size's general fraction."""
    per_token = per_token_at(table, size)
    split = splits_at(
        fit,
        flops=budget * per_token,
        params=size,
        flops_per_token=per_token,
        fractions=np.array([ours.fraction_general]),
    )
    return max(0.0, split["predicted_loss"].mean() / theirs.predicted_mean_loss[0] - 1)


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("question", choices=["forms", "subsets", "optimum", "surface"])
    parser.add_argument("--losses", type=Path, required=True, help="losses.csv of a grid")
    parser.add_argument("--out", type=Path, help="CSV file to which `forms` writes its table")
    parser.add_argument("--draws", type=int, default=10, help="random subsets of each size")
    arguments = parser.parse_args()
    if arguments.out and arguments.question != "forms":
        parser.error("--out is for `forms`; the others print")
    table = read(arguments.losses)
    largest = table["params"].max()
    budgets = [4.0 * largest * factor for factor in (2, 4, 8)]
    questions: dict[str, Callable[[], None]] = {
        "forms": lambda: forms(table, arguments.out),
        "subsets": lambda: subsets(table, size=largest, budget=budgets[1], seeds=arguments.draws),
        "optimum": lambda: optimum(table, budgets=budgets),
        "surface": lambda: surface(table, budgets=budgets),
    }
    questions[arguments.question]()


if __name__ == "__main__":
    main()
