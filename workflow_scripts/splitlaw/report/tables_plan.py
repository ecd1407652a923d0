"""Tables of the plan: the recipes, their seeds, their losses by domain."""

import pandas as pd

from splitlaw.experiment.strategies import NAMES, OPTIMAL
from splitlaw.planner.result import Multiplier
from splitlaw.planner.summary import NO_BUDGET, multiplier_text
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import NBSP, bounds, error, known, loss, percent
from splitlaw.report.table import Table
from splitlaw.stages.final_results import plan_weights, rows_of_plan
from splitlaw.stages.recipe_results import MIN_TOKENS_PER_PARAM, Bounds, RecipeResult


def recipes_table(recipes: list[RecipeResult]) -> Table | None:
    """Predicted and measured loss of every recipe."""
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
                loss(recipe.measured_general),
                _bounds(recipe.predicted_gain, 4),
                _measured_gain(recipe),
                recipe.verdict,
            ]
        )
    head = ["Recipe", "General tokens", "Predicted loss (90%)", "Measured loss", "On general text"]
    head += ["Predicted gain (90%)", "Measured gain ± s.e.", "Verdict"]
    return Table(
        title="The recipes at equal compute",
        head=head,
        rows=rows,
        note=_recipes_note(recipes),
    ).without_empty_columns()


def _bounds(value: Bounds | None, digits: int = 3) -> str:
    return "–" if value is None else bounds(*value, digits=digits)


def _measured_gain(recipe: RecipeResult) -> str:
    if recipe.gain is None:
        return "–"
    spread = f" (s.d. over seeds {loss(recipe.seed_spread, 4)})" if recipe.seed_spread else ""
    return error(recipe.gain, recipe.gain_stderr) + spread


def multipliers_table(recipes: list[RecipeResult]) -> Table | None:
    """How many times the FLOPs each recipe needs for the loss of the optimal split."""
    rows = [
        [recipe.name, *(multiplier_text(value) or "–" for value in _multipliers(recipe))]
        for recipe in recipes
        if any(_multipliers(recipe))
    ]
    if not rows:
        return None
    return Table(
        title="Compute that the other recipes need for the loss of the optimal split",
        head=["Recipe", "Predicted (90%)", "For the measured gain (90%)"],
        rows=rows,
        note=_multipliers_note(recipes),
    ).without_empty_columns()


def _multipliers_note(recipes: list[RecipeResult]) -> str:
    """What the multiples reach, for the columns that there are."""
    predicted, measured = (any(values) for values in zip(*map(_multipliers, recipes), strict=True))
    ends = []
    if predicted:
        ends.append(
            "to reach the predicted loss of the optimal split, with the interval of the draws"
        )
    if measured:
        ends.append("to gain what was measured, with the interval of the gain")
    return (
        f"Multiples of the budget at the same size, under the law: {', and '.join(ends)}. "
        f"{NO_BUDGET}: no budget up to 1,000 times reaches it."
    )


def _multipliers(recipe: RecipeResult) -> tuple[Multiplier | None, Multiplier | None]:
    return recipe.multiplier, recipe.measured_multiplier


def _recipes_note(recipes: list[RecipeResult]) -> str:
    note = "Losses are means over the domains in nats per token. "
    if any(known(recipe.measured_general) for recipe in recipes):
        note += "On general text: measured loss of the same models on held-out general text. "
    note += "A gain is the loss of the recipe minus that of the optimal split. "
    compared = [recipe for recipe in recipes if recipe.gain is not None]
    if any(recipe.paired for recipe in compared):
        note += "Standard errors are paired by held-out document. "
    elif compared:
        note += "Losses by document are missing, so standard errors are unpaired and too large. "
    if any(recipe.too_few_tokens for recipe in recipes):
        note += (
            f"† Some models are trained on fewer than {MIN_TOKENS_PER_PARAM} tokens per parameter. "
        )
    return note


def seeds_table(inputs: Inputs, recipes: list[RecipeResult]) -> Table | None:
    """Loss of every recipe above that of the optimal split, for each seed."""
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
        title="The recipes by seed",
        head=[
            "Recipe",
            "Mean loss ± s.d.",
            *(f"Above the optimal split, seed {seed}" for seed in means.columns),
            "Mean ± s.d.",
            "Optimal split is better in",
        ],
        rows=rows,
        note="The seed determines the initialisation and the order of the training data; the "
        "held-out text is the same. Standard deviations are over seeds.",
    )


def domains_table(inputs: Inputs, recipes: list[RecipeResult]) -> Table | None:
    """Predicted and measured loss of every recipe on every domain."""
    if inputs.plan is None or not recipes:
        return None
    domains = list(recipes[0].specialize_tokens)
    entries = [{**inputs.plan, "strategy": OPTIMAL}, *inputs.plan.get("baselines", [])]
    trained = inputs.comparison is not None
    rows = []
    for entry in entries:
        cells = [NAMES.get(entry["strategy"], entry["strategy"])]
        for domain in domains:
            value = entry["predicted_loss"][domain]
            predicted = value[0] if isinstance(value, list) else value
            measured = _measured(inputs, entry["strategy"], domain)
            cells.append(loss(predicted) + (f"{NBSP}/{NBSP}{measured}" if trained else ""))
        rows.append(cells)
    kind = "Predicted / measured loss" if trained else "Predicted loss"
    return Table(
        title=f"{kind} by domain (nats per token)",
        head=["Recipe", *domains],
        rows=rows,
    )


def _measured(inputs: Inputs, strategy: str, domain: str) -> str:
    table = inputs.comparison
    if table is None:
        return "–"
    rows = table[(table["strategy"] == strategy) & (table["domain"] == domain)]
    return loss(rows["loss"].mean()) if len(rows) else "–"
