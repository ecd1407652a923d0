"""The sentences of a report: the answer, what was measured, how far to trust both."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitlaw.experiment.strategies import OPTIMAL
from splitlaw.report.inputs import Inputs, law_rows
from splitlaw.report.number_format import (
    bounds,
    count,
    error,
    listing,
    loss,
    percent,
    power,
    signed,
)
from splitlaw.stages.recipe_results import MIN_STDERRS, MIN_TOKENS_PER_PARAM, RecipeResult

MOST = 0.5
"""Share of runs too short to say much from which on it is told before anything else."""

EVEN = 0.005
"""Shares of the tokens that differ by less than this are told as one."""


def answer(inputs: Inputs, recipes: list[RecipeResult]) -> str:
    """The plan in one sentence, with its intervals."""
    plan = inputs.plan
    if plan is None or not recipes:
        return "No split has been chosen yet: run choose_split with a budget."
    best = recipes[0]
    total = plan_tokens(plan)
    budget = f"With {power(plan['flops'])} FLOPs ({count(total)} tokens at {_size(inputs)})"
    expect = f"; expect {_expected(best)}" if best.predicted else ""
    return f"{budget}, {_how(plan, best, total)}{expect}{_below(recipes)}."


def caution(inputs: Inputs) -> str:
    """What must be read before the answer: that the runs were too short for it to mean a thing."""
    if inputs.losses is None:
        return ""
    rows = law_rows(inputs.losses)
    seen = rows["pretrain_tokens"] + rows["specialize_tokens"]
    short = float((seen < MIN_TOKENS_PER_PARAM * rows["params"]).mean())
    if not len(rows) or short < MOST:
        return ""
    return (
        f"These numbers mean nothing yet: {percent(short, 0)} of the grid's losses are of runs "
        f"with fewer than {MIN_TOKENS_PER_PARAM} tokens per parameter, where no law of this kind "
        "holds. They show that the workflow runs."
    )


def plan_tokens(plan: Mapping[str, Any]) -> float:
    """Tokens that the plan trains, general and domain together."""
    special = plan["specialize_tokens"]
    trunks = len(special) if plan.get("trunk") == "independent" else 1
    paid = plan.get("pretrain_tokens_paid", True)
    return (trunks * plan["pretrain_tokens"] if paid else 0) + sum(special.values())


def _size(inputs: Inputs) -> str:
    assert inputs.plan is not None
    return f"{count(inputs.plan['params'])} parameters"


def _how(plan: Mapping[str, Any], best: RecipeResult, total: float) -> str:
    """What to train on: the general share with its interval, then the domains."""
    shares = {domain: tokens / total for domain, tokens in best.specialize_tokens.items()}
    trained = {domain: share for domain, share in shares.items() if share > 0}
    if not trained:
        return "do not split: train one model on general text"
    if not plan.get("pretrain_tokens_paid", True):
        base = count(plan["pretrain_tokens"])
        return f"from the base of {base} general tokens, train {_domains(trained)}"
    if best.pretrain_tokens == 0:
        return f"train no general text, only {_domains(trained)}"
    ends = plan.get("interval", {}).get("fraction_general")
    interval = f" (90% interval {_range(ends)})" if ends and ends[0] < ends[1] else ""
    general = f"train {percent(best.fraction_general, 0)}{interval} of the tokens on general text"
    untouched = [domain for domain in shares if domain not in trained]
    rest = f", and none on {listing(untouched)}" if untouched else ""
    return f"{general}, then {_domains(trained)}{rest}"


def _domains(shares: Mapping[str, float]) -> str:
    if len(shares) > 1 and max(shares.values()) - min(shares.values()) < EVEN:
        mean = np.mean(list(shares.values()))
        return f"{percent(float(mean))} on each of {listing(list(shares))}"
    return listing([f"{percent(share)} on {domain}" for domain, share in shares.items()])


def _range(ends: list[float]) -> str:
    return f"{percent(ends[0], 0)} to {percent(ends[1], 0)}"


def _expected(best: RecipeResult) -> str:
    assert best.predicted is not None
    return f"a mean loss of {bounds(*best.predicted)} nats per token"


def _below(recipes: list[RecipeResult]) -> str:
    """By how much the plan is below the best of the other recipes."""
    others = [r for r in recipes[1:] if r.predicted_gain and r.predicted]
    if not others:
        return ""
    rival = min(others, key=lambda r: r.predicted[0] if r.predicted else np.inf)
    assert rival.predicted_gain and rival.predicted
    gain = rival.predicted_gain[0] / rival.predicted[0]
    if gain <= 0:
        return f", no better than {rival.prose}"
    return f", {percent(gain)} below {rival.prose}, the best of today’s recipes"


def outcome(recipes: list[RecipeResult]) -> list[str]:
    """What training the recipes showed, in sentences."""
    measured = [recipe for recipe in recipes if recipe.measured is not None]
    ours = next((recipe for recipe in measured if recipe.strategy == OPTIMAL), None)
    if ours is None or len(measured) < 2:
        return []
    best = min(measured, key=lambda recipe: recipe.measured or np.inf)
    told = [_winner(ours, best, measured), _promise(ours)]
    told += [_verdicts(measured), _few_tokens(measured)]
    return [sentence for sentence in told if sentence]


def _winner(ours: RecipeResult, best: RecipeResult, measured: list[RecipeResult]) -> str:
    number = {2: "two", 3: "three", 4: "four", 5: "five"}.get(len(measured), str(len(measured)))
    if best is ours:
        others = [recipe for recipe in measured if recipe is not ours and recipe.gain is not None]
        rival = min(others, key=lambda recipe: recipe.gain or np.inf)
        return (
            f"Trained at equal compute, the optimal split has the lowest mean loss of the {number} "
            f"recipes: {loss(ours.measured)} nats per token, {_gain(rival)} below "
            f"{rival.prose}, the next best."
        )
    return (
        f"Trained at equal compute, the optimal split did not win: {best.prose} has the "
        f"lowest mean loss of the {number} recipes, {loss(best.measured)} against "
        f"{loss(ours.measured)} nats per token; optimal minus {best.prose}: {_gain(best)}."
    )


def _gain(recipe: RecipeResult) -> str:
    """A gain with its standard error and the share of the loss that it is."""
    if recipe.gain is None or recipe.measured is None:
        return "–"
    share = percent(recipe.gain / recipe.measured)
    kind = "paired standard error" if recipe.paired else "unpaired standard error"
    return f"{error(recipe.gain, recipe.gain_stderr)} ({share}; {kind})"


def _promise(ours: RecipeResult) -> str:
    if ours.predicted is None or ours.measured is None:
        return ""
    value, low, high = ours.predicted
    off = signed(value / ours.measured - 1)
    place = "inside" if low <= ours.measured <= high else "outside"
    interval = f", and the measured loss lies {place} the 90% interval" if low < high else ""
    return f"The law had promised {loss(value)}, {off} from what was measured{interval}."


def _verdicts(measured: list[RecipeResult]) -> str:
    """How many of the gains that are large enough to be tested came out as predicted."""
    tested = [r for r in measured if r.verdict not in ("", "too small to test")]
    if not tested:
        return (
            f"No predicted gain exceeds {MIN_STDERRS:.0f} standard errors, so the predictions "
            "cannot be tested with these models."
        )
    good = [r for r in tested if r.verdict == "as predicted"]
    bad = [f"{r.prose}: {r.verdict}" for r in tested if r.verdict != "as predicted"]
    rest = f" ({'; '.join(bad)})" if bad else ""
    have = "has" if len(good) == 1 else "have"
    return (
        f"Of {len(tested)} predicted gains over {MIN_STDERRS:.0f} standard errors, {len(good)} "
        f"{have} the predicted sign and a size within a factor of two{rest}."
    )


def _few_tokens(measured: list[RecipeResult]) -> str:
    few = [r for r in measured if r.too_few_tokens]
    if not few:
        return ""
    told = listing([f"{r.prose} ({r.tokens_per_param:.2g})" for r in few])
    return (
        "† Some models of these recipes see fewer than 5 tokens per parameter, where no law of "
        f"this kind was measured: {told}."
    )


def trust(inputs: Inputs) -> list[str]:
    """How far the law and the plan can be trusted, in sentences."""
    told = [_held_out(inputs), _convergence(inputs), *_factors(inputs)]
    if inputs.fit is not None and inputs.fit.n_draws == 0:
        told.append("The fit was made without bootstrap: there are no intervals, only values.")
    if inputs.fit is not None and len(inputs.fit.domains) == 1:
        told.append("There is one domain only: the split is between general text and that domain.")
    return [sentence for sentence in told if sentence]


def doubt(inputs: Inputs) -> str:
    """The trust in brief, to stand right below the answer; empty without a fit."""
    if inputs.fit is None:
        return ""
    told = [_held_out(inputs), *_factors(inputs)]
    number = len(warnings(inputs))
    if number:
        told.append(f"The fit and the plan give {number} warning{'s' if number > 1 else ''}.")
    return " ".join(sentence for sentence in told if sentence)


def warnings(inputs: Inputs) -> list[str]:
    """What the fit and the plan warn of."""
    told = list(inputs.fit.warnings) if inputs.fit is not None else []
    told += list(inputs.plan.get("warnings", [])) if inputs.plan is not None else []
    return list(dict.fromkeys(told))


KIND_NAMES = {
    "params": "held-out sizes",
    "pretrain_tokens": "the largest D, held out",
    "specialize_tokens": "the largest D′, held out",
    "corner": "the far corner, held out",
}


def _held_out(inputs: Inputs) -> str:
    if inputs.fit is None:
        return ""
    entries = [h for h in inputs.fit.holdout if h["kind"] == "params"]
    if not entries:
        return "No size was held out: nothing tells how the law extrapolates in N."
    number = sum(h["n"] for h in entries)
    mre = sum(h["n"] * h["mre"] for h in entries) / number
    bias = sum(h["n"] * h["bias"] for h in entries) / number
    worst = max(h["max"] for h in entries)
    return (
        f"On {_held_out_sizes(inputs)}, the law is off by {percent(mre, 2)} in the mean, "
        f"{percent(worst, 2)} at most, with a bias of {signed(bias)} ({number} losses)."
    )


def _held_out_sizes(inputs: Inputs) -> str:
    """The sizes that the fit did not see and how far beyond the others they are."""
    assert inputs.fit is not None
    rows, largest = inputs.rows, inputs.fit.range["params"][1]
    if rows is None or not (rows["split"] == "holdout").any():
        return "the size held out from the fit"
    sizes = sorted(rows.loc[rows["split"] == "holdout", "params"].unique())
    names = listing([f"{count(n)} parameters" for n in sizes])
    return f"{names}, {max(sizes) / largest:.2g} times the largest size that it was fitted to"


def _convergence(inputs: Inputs) -> str:
    if inputs.fit is None:
        return ""
    laws = listing([m.law.replace("_", " ") for m in inputs.fit.members])
    if len(inputs.fit.members) > 1:
        kind = f"The plan averages {laws}, which the hold-outs cannot tell apart"
    else:
        kind = f"The law is {laws}"
    state = "the fit converged" if inputs.fit.converged else "the fit did NOT converge"
    return f"{kind}; {state}."


def _factors(inputs: Inputs) -> list[str]:
    """What the plan asks beyond the range that was measured."""
    if inputs.fit is None or inputs.plan is None:
        return []
    beyond = []
    for name, value, low, high in ranges(inputs):
        if value > 1.001 * high > 0:
            beyond.append(f"{value / high:.2g} times the largest {name} fitted")
        elif 0 < value < 0.999 * low:
            beyond.append(f"{low / value:.2g} times below the smallest {name} fitted")
    if beyond:
        return [f"The plan extrapolates: {listing(beyond)}."]
    return ["The plan stays within the range of N, D and D′ that the law was fitted to."]


def ranges(inputs: Inputs) -> list[tuple[str, float, float, float]]:
    """What the plan asks for and the range that was fitted, by variable."""
    assert inputs.fit is not None and inputs.plan is not None
    special = inputs.plan["specialize_tokens"].values()
    asked = {
        "params": ("N", inputs.plan["params"]),
        "pretrain_tokens": ("D", inputs.plan["pretrain_tokens"]),
        "specialize_tokens": ("D′", max(special)),
    }
    return [(name, value, *inputs.fit.range[column]) for column, (name, value) in asked.items()]
