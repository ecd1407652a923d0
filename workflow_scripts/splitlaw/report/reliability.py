"""The sentences of a report on the reliability of the law and of the plan."""

from splitlaw.experiment.columns import HOLDOUT
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count, listing, percent, signed

TOLERANCE = 1e-3
"""Relative distance beyond which a plan is outside the range of the fit: its tokens are rounded to
whole numbers, and its parameters may be given in three digits."""


def assessment(inputs: Inputs) -> list[str]:
    """The evidence on the reliability of the law and the plan, in sentences."""
    sentences = [_held_out(inputs), _convergence(inputs), *_extrapolation(inputs)]
    if inputs.fit is not None and inputs.fit.n_draws == 0:
        sentences.append("The fit was made without bootstrap, so there are no intervals.")
    if inputs.fit is not None and len(inputs.fit.domains) == 1:
        sentences.append(
            "There is only one domain: the split is between general text and that domain."
        )
    return [sentence for sentence in sentences if sentence]


def brief_assessment(inputs: Inputs) -> str:
    """The assessment in brief, for the place below the answer; empty without a fit."""
    if inputs.fit is None:
        return ""
    sentences = [_held_out(inputs), *_extrapolation(inputs)]
    number = len(warnings(inputs))
    if number:
        s = "s" if number > 1 else ""
        sentences.append(f"The fit and the plan give {number} warning{s}.")
    return " ".join(sentence for sentence in sentences if sentence)


def warnings(inputs: Inputs) -> list[str]:
    """Warnings of the fit and of the plan, each once."""
    found = list(inputs.fit.warnings) if inputs.fit is not None else []
    found += list(inputs.plan.get("warnings", [])) if inputs.plan is not None else []
    return list(dict.fromkeys(found))


def _held_out(inputs: Inputs) -> str:
    if inputs.fit is None:
        return ""
    entries = [h for h in inputs.fit.holdout if h["kind"] == "params"]
    if not entries:
        return "No size was held out, so the error of extrapolation in N is unknown."
    number = sum(h["n"] for h in entries)
    mre = sum(h["n"] * h["mre"] for h in entries) / number
    bias = sum(h["n"] * h["bias"] for h in entries) / number
    worst = max(h["max"] for h in entries)
    return (
        f"On {_held_out_sizes(inputs)}, the mean error of the law is {percent(mre, 2)}, its "
        f"largest error {percent(worst, 2)} and its bias {signed(bias)} ({number} losses)."
    )


def _held_out_sizes(inputs: Inputs) -> str:
    """The sizes that were held out from the fit, and their ratio to the largest size in it."""
    assert inputs.fit is not None
    rows, largest = inputs.rows, inputs.fit.range["params"][1]
    if rows is None or not (rows["split"] == HOLDOUT).any():
        return "the size held out from the fit"
    sizes = sorted(rows.loc[rows["split"] == HOLDOUT, "params"].unique())
    names = listing([f"{count(n)} parameters" for n in sizes])
    return f"{names}, {max(sizes) / largest:.2g} times the largest size in the fit"


def _convergence(inputs: Inputs) -> str:
    if inputs.fit is None:
        return ""
    laws = listing([m.law.replace("_", " ") for m in inputs.fit.members])
    if len(inputs.fit.members) > 1:
        kind = f"The plan averages {laws}, which the held-out losses do not distinguish"
    else:
        kind = f"The law is {laws}"
    state = "the fit converged" if inputs.fit.converged else "the fit did NOT converge"
    return f"{kind}; {state}."


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
        return [f"The plan extrapolates: {listing(beyond)}."]
    return ["The plan is within the range of N, D and D′ of the fit."]


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
