"""The sentences of a report on the plan and on the measured losses of its recipes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitlaw.experiment.strategies import JOINT, OPTIMAL
from splitlaw.report.inputs import Inputs, law_rows
from splitlaw.report.number_format import (
    bounds,
    count,
    error,
    listing,
    loss,
    percent,
    power,
)
from splitlaw.stages.recipe_results import MIN_STDERRS, MIN_TOKENS_PER_PARAM, RecipeResult

MOST_TOO_SHORT = 0.5
"""Share of runs with too few tokens above which the page opens with a caution: most of the fit then
rests on runs outside the range in which the law was tested."""

EVEN = 0.005
"""Token shares that differ by less are printed as one number, because the loss is flat around the
best shares."""


def answer(inputs: Inputs, recipes: list[RecipeResult]) -> str:
    """The plan in one sentence, with its intervals."""
    plan = inputs.plan
    if plan is None or not recipes:
        return "No split has been chosen yet: run choose_split with a budget."
    best = recipes[0]
    total = plan_tokens(plan)
    size = f"{count(plan['params'])} parameters"
    budget = f"With {power(plan['flops'])} FLOPs ({count(total)} tokens at {size})"
    expect = f"; expect {_expected(best)}" if best.predicted else ""
    return f"{budget}, {_instruction(plan, best, total)}{expect}."


def caution(inputs: Inputs) -> str:
    """A caution to read before the answer, where most runs have too few tokens; else empty."""
    if inputs.losses is None:
        return ""
    rows = law_rows(inputs.losses)
    seen = rows["pretrain_tokens"] + rows["specialize_tokens"]
    short = float((seen < MIN_TOKENS_PER_PARAM * rows["params"]).mean())
    if not len(rows) or short < MOST_TOO_SHORT:
        return ""
    return (
        f"These results are not meaningful: {percent(short, 0)} of the losses in the grid are from "
        f"runs with fewer than {MIN_TOKENS_PER_PARAM} tokens per parameter, for which the law does "
        "not hold. They only show that the workflow runs."
    )


def plan_tokens(plan: Mapping[str, Any]) -> float:
    """Tokens that the plan trains on, general and domain tokens together."""
    special = plan["specialize_tokens"]
    trunks = len(special) if plan.get("trunk") == "independent" else 1
    paid = plan.get("pretrain_tokens_paid", True)
    replayed = sum(special[d] * r / (1 - r) for d, r in (plan.get("replay") or {}).items())
    return (trunks * plan["pretrain_tokens"] if paid else 0) + sum(special.values()) + replayed


def _instruction(plan: Mapping[str, Any], best: RecipeResult, total: float) -> str:
    """The training text: the general share with its interval, then the domains."""
    shares = {domain: tokens / total for domain, tokens in best.specialize_tokens.items()}
    trained = {domain: share for domain, share in shares.items() if share > 0}
    if not trained:
        return "do not split: train one model on general text"
    if not plan.get("pretrain_tokens_paid", True):
        base = count(plan["pretrain_tokens"])
        return f"from the base of {base} general tokens, train {_domains(trained)}"
    if best.pretrain_tokens == 0:
        return f"train on no general text, only {_domains(trained)}"
    ends = plan.get("interval", {}).get("fraction_general")
    low, high = (percent(end, 0) for end in ends or (0.0, 0.0))
    interval = f" (90% interval {low} to {high})" if low != high else ""
    general = f"train {percent(best.fraction_general, 0)}{interval} of the tokens on general text"
    untrained = [domain for domain in shares if domain not in trained]
    few = len(untrained) <= MOST_NAMED
    none = listing(untrained) if few else f"{len(untrained)} domains"
    rest = f", and none on {none}" if untrained else ""
    replayed = (
        f", and replay {percent(best.replay_tokens / total, 0)}" if best.replay_tokens else ""
    )
    return f"{general}, then {_domains(trained)}{replayed}{rest}"


MOST_NAMED = 10
"""Domains that a sentence names; of more, it gives the range."""


def _domains(shares: Mapping[str, float]) -> str:
    if len(shares) > MOST_NAMED:
        ends = [percent(end(shares.values())) for end in (min, max)]
        each = ends[0] if ends[0] == ends[1] else " to ".join(ends)
        return f"{percent(sum(shares.values()))} on {len(shares)} domains, {each} on each"
    if len(shares) > 1 and max(shares.values()) - min(shares.values()) < EVEN:
        mean = np.mean(list(shares.values()))
        return f"{percent(float(mean))} on each of {listing(list(shares))}"
    return listing([f"{percent(share)} on {domain}" for domain, share in shares.items()])


def _expected(best: RecipeResult) -> str:
    assert best.predicted is not None
    return f"a mean loss of {bounds(*best.predicted)} nats per token"


def outcome(recipes: list[RecipeResult]) -> list[str]:
    """The measured losses of the recipes, in sentences."""
    measured = [recipe for recipe in recipes if recipe.measured is not None]
    ours = next((recipe for recipe in measured if recipe.strategy == OPTIMAL), None)
    if ours is None or len(measured) < 2:
        return []
    best = min(measured, key=lambda recipe: recipe.measured or np.inf)
    sentences = [_winner(ours, best, measured), _sources_of_gain(measured), _prediction(ours)]
    sentences += [_verdicts(measured), _few_tokens(measured)]
    return [sentence for sentence in sentences if sentence]


def _winner(ours: RecipeResult, best: RecipeResult, measured: list[RecipeResult]) -> str:
    words = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
    number = words.get(len(measured), str(len(measured)))
    if best is ours:
        others = [recipe for recipe in measured if recipe is not ours and recipe.gain is not None]
        rival = min(others, key=lambda recipe: recipe.gain or np.inf)
        return (
            f"At equal training compute, the optimal split has the lowest mean loss of the "
            f"{number} recipes: {loss(ours.measured)} nats per token, {_gain(rival)} below "
            f"{rival.prose}, the second best."
        )
    return (
        f"At equal training compute, the optimal split did not win: {best.prose} has the lowest "
        f"mean loss of the {number} recipes, {loss(best.measured)} nats per token. The loss of the "
        f"optimal split is {loss(ours.measured)}; {best.prose} minus the optimal split: "
        f"{_gain(best)}."
    )


def _sources_of_gain(measured: list[RecipeResult]) -> str:
    """The gain over no split, as the gain from the choice of the text and that from splitting."""
    joint = next((recipe for recipe in measured if recipe.strategy == JOINT), None)
    if joint is None or joint.gain is None or joint.data_gain is None:
        return ""
    return (
        f"The gain over no split is {loss(joint.data_gain + joint.gain, 4)}: "
        f"{error(joint.data_gain, joint.data_gain_stderr)} from the choice of the training text "
        f"(no split minus joint training) and {error(joint.gain, joint.gain_stderr)} from the "
        "split (joint training minus the optimal split)."
    )


def _gain(recipe: RecipeResult) -> str:
    """A gain with its standard error, and as a share of the loss."""
    if recipe.gain is None or recipe.measured is None:
        return "–"
    share = percent(recipe.gain / recipe.measured)
    kind = "paired standard error" if recipe.paired else "unpaired standard error"
    return f"{error(recipe.gain, recipe.gain_stderr)} ({share}; {kind})"


def _prediction(ours: RecipeResult) -> str:
    if ours.predicted is None or ours.measured is None:
        return ""
    value, low, high = ours.predicted
    off = value / ours.measured - 1
    side = "above" if off >= 0 else "below"
    place = "inside" if low <= ours.measured <= high else "outside"
    interval = f", which is {place} the 90% interval" if low < high else ""
    return (
        f"The law predicted {loss(value)}, {percent(abs(off), 2)} {side} the measured loss"
        f"{interval}."
    )


def _verdicts(measured: list[RecipeResult]) -> str:
    """Number of the testable gains that were measured as predicted."""
    tested = [r for r in measured if r.verdict not in ("", "too small to test")]
    if not tested:
        return (
            f"No predicted gain exceeds {MIN_STDERRS:.0f} standard errors, so the predictions "
            "cannot be tested with these models."
        )
    good = [r for r in tested if r.verdict == "as predicted"]
    bad = [f"{r.prose}: {r.verdict}" for r in tested if r.verdict != "as predicted"]
    rest = f" ({'; '.join(bad)})" if bad else ""
    if not bad and len(tested) > 1:
        return (
            f"All {len(tested)} predicted gains over {MIN_STDERRS:.0f} standard errors have the "
            "predicted sign and a size within a factor of two."
        )
    have = "has" if len(good) == 1 else "have"
    return (
        f"Of {len(tested)} predicted gains over {MIN_STDERRS:.0f} standard errors, {len(good)} "
        f"{have} the predicted sign and a size within a factor of two{rest}."
    )


def _few_tokens(measured: list[RecipeResult]) -> str:
    few = [r for r in measured if r.too_few_tokens]
    if not few:
        return ""
    names = listing([f"{r.prose} ({r.tokens_per_param:.2g})" for r in few])
    return (
        f"† Some models of these recipes are trained on fewer than {MIN_TOKENS_PER_PARAM} tokens "
        f"per parameter, a range in which the law was not tested: {names}."
    )
