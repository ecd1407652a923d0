"""The tables of a report: a heading for each column and cells as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from splitlaw.common.files import sha256_file
from splitlaw.experiment.strategies import NAMES, OPTIMAL
from splitlaw.report.inputs import FILES, Inputs
from splitlaw.report.number_format import (
    NBSP,
    bounds,
    count,
    error,
    listing,
    loss,
    percent,
    power,
    signed,
)
from splitlaw.report.sentences import KIND_NAMES, ranges
from splitlaw.stages.final_results import plan_weights, rows_of_plan
from splitlaw.stages.recipe_results import RecipeResult

SAME = 1e-6
"""Losses closer than this are equal, in nats per token."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a caption; the first column heads its row."""

    title: str
    """What the table holds."""
    head: Sequence[str]
    """Column headings, with units."""
    rows: Sequence[Sequence[str]]
    """Cells as text."""
    note: str = ""
    """What to know when reading it."""


def recipes_table(recipes: list[RecipeResult]) -> Table | None:
    """Every recipe with what was predicted and what was measured."""
    if not recipes:
        return None
    rows = []
    for recipe in recipes:
        few = " †" if recipe.too_few_tokens else ""
        rows.append(
            [
                recipe.name + few,
                percent(recipe.fraction_general, 0),
                _bounds(recipe.predicted),
                loss(recipe.measured),
                _bounds(recipe.predicted_gain, 4),
                _measured_gain(recipe),
                recipe.verdict,
            ]
        )
    head = ["RecipeResult", "General", "Predicted (90%)", "Measured"]
    head += ["Gain, predicted (90%)", "Gain, measured ± s.e.", "Verdict"]
    return Table(
        title="The recipes at equal compute",
        head=head,
        rows=rows,
        note=_recipes_note(recipes) + _judge_note(recipes),
    )


def _bounds(told: tuple[float, float, float] | None, digits: int = 3) -> str:
    return "–" if told is None else bounds(*told, digits=digits)


def _measured_gain(recipe: RecipeResult) -> str:
    if recipe.gain is None:
        return "–"
    spread = f" (over seeds ±{NBSP}{loss(recipe.seed_spread, 4)})" if recipe.seed_spread else ""
    return error(recipe.gain, recipe.gain_stderr) + spread


def _recipes_note(recipes: list[RecipeResult]) -> str:
    note = (
        "Mean loss over the domains in nats per token; a gain is the loss of the recipe minus "
        "that of the optimal split. "
    )
    compared = [recipe for recipe in recipes if recipe.gain is not None]
    if any(recipe.paired for recipe in compared):
        note += "Standard errors are paired by held-out document. "
    elif compared:
        note += "Losses by document are missing, so standard errors are unpaired and too wide. "
    if any(recipe.too_few_tokens for recipe in recipes):
        note += "† has models of fewer than 5 tokens per parameter. "
    return note


def _judge_note(recipes: list[RecipeResult]) -> str:
    """Why a gain may not be the difference of two losses in the table."""
    best = recipes[0].predicted
    apart = [
        recipe.prose
        for recipe in recipes[1:]
        if best and recipe.predicted and recipe.predicted_gain
        if abs(recipe.predicted[0] - best[0] - recipe.predicted_gain[0]) > SAME
    ]
    if not apart:
        return ""
    return (
        f"The laws of the plan are infinite for {listing(apart)}: there the best law that is "
        "finite predicts, and the gain is between its own losses of the recipe and of the plan. "
    )


def seeds_table(inputs: Inputs, recipes: list[RecipeResult]) -> Table | None:
    """How far above the optimal split every recipe is, seed by seed."""
    if inputs.comparison is None or inputs.plan is None:
        return None
    table = rows_of_plan(inputs.comparison, inputs.plan)
    shares = pd.Series(plan_weights(inputs.plan))
    wide = table.pivot_table(index=["strategy", "seed"], columns="domain", values="loss")
    means = (wide.reindex(columns=shares.index) @ shares).unstack("seed")
    if OPTIMAL not in means.index or means.shape[1] < 2:
        return None
    rows = []
    for recipe in (r for r in recipes if r.strategy in means.index):
        above = means.loc[recipe.strategy] - means.loc[OPTIMAL]
        mean = error(means.loc[recipe.strategy].mean(), means.loc[recipe.strategy].std())
        if recipe.strategy == OPTIMAL:
            rows.append([recipe.name, mean, *("–" for _ in above), "–", "–"])
            continue
        worse = f"{(above > 0).sum()} of {above.notna().sum()}"
        each = [loss(value, 4) for value in above]
        rows.append([recipe.name, mean, *each, error(above.mean(), above.std()), worse])
    return Table(
        title="The same from other seeds",
        head=[
            "RecipeResult",
            "Mean loss ± s.d.",
            *(f"Above the split, seed {seed}" for seed in means.columns),
            "Mean ± s.d.",
            "The split is lower in",
        ],
        rows=rows,
        note="A seed sets initialisation and data order; the held-out text is the same. The "
        "standard deviation is over seeds.",
    )


def domains_table(inputs: Inputs, recipes: list[RecipeResult]) -> Table | None:
    """Predicted and measured loss of every recipe on every domain."""
    if inputs.plan is None or not recipes:
        return None
    domains = list(recipes[0].specialize_tokens)
    entries = [{**inputs.plan, "strategy": OPTIMAL}, *inputs.plan.get("baselines", [])]
    rows = []
    for entry in entries:
        cells = [NAMES.get(entry["strategy"], entry["strategy"])]
        for domain in domains:
            told = entry["predicted_loss"][domain]
            predicted = told[0] if isinstance(told, list) else told
            measured = _measured(inputs, entry["strategy"], domain)
            cells.append(f"{loss(predicted)}{NBSP}/{NBSP}{measured}")
        rows.append(cells)
    return Table(
        title="By domain: predicted / measured loss (nats per token)",
        head=["RecipeResult", *domains],
        rows=rows,
    )


def _measured(inputs: Inputs, strategy: str, domain: str) -> str:
    table = inputs.comparison
    if table is None:
        return "–"
    rows = table[(table["strategy"] == strategy) & (table["domain"] == domain)]
    return loss(rows["loss"].mean()) if len(rows) else "–"


def holdout_table(inputs: Inputs, *, by_domain: bool = False) -> Table | None:
    """Errors on what the fit did not see, over all domains or by domain."""
    if inputs.fit is None or not inputs.fit.holdout:
        return None
    entries = pd.DataFrame(inputs.fit.holdout)
    keys = ["kind", "domain"] if by_domain else ["kind"]
    rows = []
    for key, part in entries.groupby(keys, sort=False):
        number = part["n"].sum()
        rows.append(
            [
                KIND_NAMES.get(str(key[0]), str(key[0])),
                *key[1:],
                str(number),
                percent((part["n"] * part["mre"]).sum() / number, 2),
                signed((part["n"] * part["bias"]).sum() / number),
                percent(part["max"].max(), 2),
            ]
        )
    head = ["Held out", *keys[1:], "Losses", "Mean error", "Bias", "Largest error"]
    note = "Relative errors of the predicted loss; bias is signed, positive where it is too high."
    title = "Errors on what was held out" + (", by domain" if by_domain else "")
    return Table(title=title, head=head, rows=rows, note="" if by_domain else note)


def ranges_table(inputs: Inputs) -> Table | None:
    """What the plan asks for beside what was fitted."""
    if inputs.fit is None or inputs.plan is None:
        return None
    rows = [
        [
            name,
            count(value),
            f"{count(low)} to {count(high)}",
            f"{value / high:.2f}×" if high else "–",
        ]
        for name, value, low, high in ranges(inputs)
    ]
    head = ["", "The plan asks for", "The fit has seen", "Times the largest"]
    note = "D′ is the largest of the domains’."
    return Table(title="Extrapolation", head=head, rows=rows, note=note)


def candidates_table(inputs: Inputs) -> Table | None:
    """Every form that competed, how it predicts, and where it would have split."""
    if inputs.fit is None:
        return None
    planned = {}
    if inputs.plan is not None:
        planned = {c["law"]: c for c in inputs.plan.get("candidates", [])}
    ranked = sorted(inputs.fit.candidates, key=lambda c: c["holdout_mre"] or float("inf"))
    rows = []
    for candidate in ranked:
        own = planned.get(candidate["law"], {})
        rows.append(
            [
                candidate["law"].replace("_", " "),
                candidate.get("sharing", "–"),
                str(candidate["n_parameters"]),
                f"{candidate['objective']:.4g}",
                percent(candidate["holdout_mre"], 2),
                percent(candidate.get("standard_error"), 2),
                "yes" if candidate.get("within_one_standard_error") else "no",
                percent(own.get("fraction_general"), 0),
                loss(own.get("regret"), 4),
            ]
        )
    head = ["Form", "Shared exponents", "Parameters", "Objective", "Held-out error", "s.e."]
    head += ["In the plan", "Own optimum", "Regret of the plan"]
    note = (
        "The form is chosen by what it predicts of held-out rows, never by how well it fits; those "
        "within one standard error of the best share the plan. Regret: what the plan would lose "
        "if that form were the truth, in nats per token."
    )
    return Table(title="The forms that competed", head=head, rows=rows, note=note)


def cost_table(inputs: Inputs) -> Table | None:
    """What training took and what sharing the trunks saved."""
    cost = inputs.cost
    if cost is None:
        return None
    rows = [
        [
            f"{row.stage}, {row.size}",
            str(getattr(row, "runs", "–")),
            count(row.tokens),
            power(row.flops) if hasattr(row, "flops") else "–",
            count(row.tokens_independent),
        ]
        for row in cost.itertuples()
    ]
    total, alone = cost["tokens"].sum(), cost["tokens_independent"].sum()
    flops = power(cost["flops"].sum()) if "flops" in cost else "–"
    runs = str(cost["runs"].sum()) if "runs" in cost else "–"
    rows.append(["Together", runs, count(total), flops, count(alone)])
    head = ["Stage", "Runs", "Tokens trained", "FLOPs", "Tokens as independent runs"]
    note = (
        f"Sharing every common stretch of training took {percent(total / alone, 0)} of the tokens "
        "that the same runs take one by one."
        if alone
        else ""
    )
    return Table(title="The cost of the grid", head=head, rows=rows, note=note)


def benchmarks_table(inputs: Inputs) -> Table | None:
    """Scores by task and metric, for every strategy and system."""
    if inputs.benchmarks is None:
        return None
    table = inputs.benchmarks
    for column in ("stderr", "chance"):
        if column not in table:
            table = table.assign(**{column: float("nan")})
    table = table.assign(who=table["strategy"].replace(NAMES) + ", " + table["system"].astype(str))
    who = list(dict.fromkeys(table["who"]))
    rows = []
    for (task, metric), part in table.groupby(["task", "metric"], sort=False):
        means = part.groupby("who")[["value", "stderr"]].mean().reindex(who)
        scores = [error(row.value, row.stderr, 3) for row in means.itertuples()]
        name = str(metric).replace("_", " ")
        rows.append([str(task), name, loss(part["chance"].mean()), *scores])
    note = (
        "Of losses and bits per byte, lower is better; of accuracies, higher. ± one standard error."
    )
    return Table(title="Benchmarks", head=["Task", "Metric", "Chance", *who], rows=rows, note=note)


def provenance_table(inputs: Inputs) -> Table:
    """Which files, code and versions this page was made from."""
    rows = [
        [file, sha256_file(inputs.folder / file)[:12]]
        for file, _ in FILES.values()
        if (inputs.folder / file).exists()
    ]
    if inputs.finals:
        run = inputs.finals[0].run
        commit = run.get("git_commit") or "unknown"
        rows.append(["Code of the final models", commit[:12] + _dirty(run)])
        versions = run.get("versions", {})
        rows.append(["Versions", ", ".join(f"{k} {v}" for k, v in versions.items())])
        rows.append(["Device", f"{run.get('device', '–')}, {run.get('machine', '–')}"])
        seconds = sum(final.run.get("wall_seconds", 0) for final in inputs.finals)
        rows.append(["Training of the final models", f"{seconds / 60:.1f} minutes of computing"])
    note = "Files are told by the first 12 digits of their SHA-256."
    return Table(title="Provenance", head=["", ""], rows=rows, note=note)


def _dirty(run: Mapping[str, Any]) -> str:
    return " with uncommitted changes" if run.get("git_dirty") else ""
