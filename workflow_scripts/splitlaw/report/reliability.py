"""The sentences of a report on the reliability of the law and of the plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from splitlaw.experiment.columns import HOLDOUT
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count, listing, percent, signed
from splitlaw.stages.final_results import Json, plan_weights
from splitlaw.stages.recipe_results import predicted_mean

TOLERANCE = 1e-3
"""Relative distance beyond which a plan is outside the range of the fit: its tokens are rounded to
whole numbers, and its parameters may be given in three digits."""


SPLIT_COLUMN = "split column"
"""Source of the errors on rows that the table of losses holds out."""


def assessment(inputs: Inputs) -> list[str]:
    """The evidence on the reliability of the law and the plan, in sentences."""
    sentences = [_held_out(inputs), _forms(inputs), expected_regret(inputs)]
    sentences += _extrapolation(inputs)
    if inputs.fit is not None and inputs.fit.n_draws == 0:
        sentences.append("The fit was made without draws, so there are no intervals.")
    if inputs.fit is not None and len(inputs.fit.domains) == 1:
        sentences.append(
            "There is only one domain: the split is between general text and that domain."
        )
    return [sentence for sentence in sentences if sentence]


def brief_assessment(inputs: Inputs) -> str:
    """The assessment in brief, for the place below the answer; empty without a fit.

    Whether the plan extrapolates is one of its warnings, which are beside it.
    """
    if inputs.fit is None:
        return ""
    sentences = [_held_out(inputs), expected_regret(inputs)]
    return " ".join(sentence for sentence in sentences if sentence)


MOST_SHOWN = 3
"""Warnings on the first screen; the others are in the section on reliability."""

NO_CONVERGENCE = "did not converge"
"""Part of the warning of a fit whose numbers cannot be used."""


def decisive_warnings(inputs: Inputs) -> list[str]:
    """The warnings that may change the decision for this plan, the gravest first.

    They are those of a fit that did not converge and those of the plan; the other warnings of the
    fit concern its table.
    """
    of_fit, of_plan = _warnings(inputs)
    found = [warning for warning in of_fit if NO_CONVERGENCE in warning]
    return list(dict.fromkeys([*found, *of_plan]))[:MOST_SHOWN]


def other_warnings(inputs: Inputs) -> list[str]:
    """The warnings of the fit and of the plan that are not on the first screen, each once."""
    shown = decisive_warnings(inputs)
    found = dict.fromkeys(warning for part in _warnings(inputs) for warning in part)
    return [warning for warning in found if warning not in shown]


def _warnings(inputs: Inputs) -> tuple[list[str], list[str]]:
    """Warnings of the fit and of the plan."""
    of_fit = list(inputs.fit.warnings) if inputs.fit is not None else []
    of_plan = list(inputs.plan.get("warnings", [])) if inputs.plan is not None else []
    return of_fit, of_plan


def _held_out(inputs: Inputs) -> str:
    if inputs.fit is None:
        return ""
    entries = [h for h in inputs.fit.holdout if h["kind"] == "params"]
    entries = [h for h in entries if h["source"] == SPLIT_COLUMN] or entries
    if not entries:
        return "No size was held out, so the error of extrapolation in N is unknown."
    number = sum(h["n"] for h in entries)
    mre = sum(h["n"] * h["mre"] for h in entries) / number
    bias = sum(h["n"] * h["bias"] for h in entries) / number
    worst = max(h["max"] for h in entries)
    return (
        f"On {_held_out_sizes(inputs)}, the mean error of the law is {percent(mre, 2)}, its "
        f"largest error {percent(worst, 2)} and its bias {signed(bias)} ({number} losses)"
        f"{_inside(entries)}."
    )


def _inside(entries: Sequence[Mapping[str, Any]]) -> str:
    """The share of held-out losses inside their intervals; empty without intervals."""
    known = [h for h in entries if h.get("coverage") is not None]
    if not known:
        return ""
    share = sum(h["n"] * h["coverage"] for h in known) / sum(h["n"] for h in known)
    return f"; {percent(share, 0)} of these losses are inside their 90% predictive intervals"


def _held_out_sizes(inputs: Inputs) -> str:
    """The sizes that were held out from the fit, and their ratio to the largest size in it."""
    assert inputs.fit is not None
    rows, largest = inputs.rows, inputs.fit.range["params"][1]
    if rows is None or not (rows["split"] == HOLDOUT).any():
        return "the size held out from the fit"
    sizes = sorted(rows.loc[rows["split"] == HOLDOUT, "params"].unique())
    names = listing([f"{count(n)} parameters" for n in sizes])
    return f"{names}, {max(sizes) / largest:.2g} times the largest size in the fit"


def _forms(inputs: Inputs) -> str:
    """The forms of the law with their weights, and whether the fit converged."""
    if inputs.fit is None:
        return ""
    names = {member.law: member.law.replace("_", " ") for member in inputs.fit.members}
    if len(names) > 1:
        weights = inputs.fit.weights
        laws = listing([f"{name} ({percent(weights[law], 0)})" for law, name in names.items()])
        kind = f"The law averages {laws}, weighted by their predictive density of left-out losses"
    else:
        kind = f"The law is {listing(list(names.values()))}"
    state = "the fit converged" if inputs.fit.converged else "the fit did NOT converge"
    return f"{kind}; {state}."


SMALLEST = 5e-6
"""Relative regret below which it would be written as 0.000%."""


def expected_regret(inputs: Inputs) -> str:
    """The loss that the plan is expected to lose by the uncertainty of the law; else empty."""
    plan = inputs.plan
    if plan is None or plan.get("expected_regret") is None:
        return ""
    relative = plan["expected_regret_relative"]
    share = "less than 0.001%" if 0 < relative < SMALLEST else percent(relative, 3)
    return (
        f"The expected regret of the plan is {plan['expected_regret']:.2g} nats per token "
        f"({share} of the loss): the mean over the draws of its loss above that of the draw's own "
        "optimum."
    )


def _extrapolation(inputs: Inputs) -> list[str]:
    """The variables in which the plan is outside the range of the fit."""
    if inputs.fit is None or inputs.plan is None:
        return []
    beyond = []
    for name, value, low, high in ranges(inputs):
        if value > (1 + TOLERANCE) * high > 0:
            beyond.append(f"{value / high:.2g} times the largest {name} in the fit")
        elif 0 < value < (1 - TOLERANCE) * low:
            beyond.append(f"{value / low:.2g} times the smallest {name} in the fit")
    if beyond:
        width = _width(inputs.plan)
        return [f"The plan extrapolates: {listing(beyond)}{width}."]
    return ["The plan is within the range of N, D and D′ of the fit."]


def _width(plan: Json) -> str:
    """The width of the interval of the plan's mean loss, which grows outside the range."""
    found = predicted_mean(plan, plan_weights(plan))
    if found is None:
        return ""
    value, low, high = found
    if not low < high:
        return ""
    return f"; the 90% interval of its loss is {percent((high - low) / value)} of it wide"


def ranges(inputs: Inputs) -> list[tuple[str, float, float, float]]:
    """Name, value in the plan, smallest and largest value in the fit of each variable."""
    assert inputs.fit is not None and inputs.plan is not None
    special = inputs.plan["specialize_tokens"].values()
    planned = {
        "params": ("N", inputs.plan["params"]),
        "pretrain_tokens": ("D", inputs.plan["pretrain_tokens"]),
        "specialize_tokens": ("D′", max(special)),
    }
    return [(name, value, *inputs.fit.range[column]) for column, (name, value) in planned.items()]
