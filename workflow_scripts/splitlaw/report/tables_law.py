"""Tables of the law: held-out errors, extrapolation, candidate forms."""

import pandas as pd

from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count, loss, percent, signed
from splitlaw.report.reliability import ranges
from splitlaw.report.table import Table

KIND_NAMES = {
    "params": "held-out sizes",
    "pretrain_tokens": "largest D",
    "specialize_tokens": "largest D′",
    "corner": "large D and large D′",
}
"""Names of the sets of losses that are held out from a fit."""


def holdout_table(inputs: Inputs, *, by_domain: bool = False) -> Table | None:
    """Errors on held-out losses, over all domains or by domain."""
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
    note = "Relative errors of predictions; the bias is positive where predictions are too high."
    title = "Errors on held-out losses" + (", by domain" if by_domain else "")
    return Table(title=title, head=head, rows=rows, note="" if by_domain else note)


def ranges_table(inputs: Inputs) -> Table | None:
    """The plan beside the range of the fit."""
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
    head = ["Variable", "In the plan", "In the fit", "Plan / largest in the fit"]
    note = "D′ is that of the domain with the most tokens."
    return Table(title="Extrapolation", head=head, rows=rows, note=note)


def candidates_table(inputs: Inputs) -> Table | None:
    """Every candidate form with its held-out error and its own optimal split."""
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
    head += ["In the plan", "Own optimum (general tokens)", "Regret of the plan"]
    note = (
        "Forms are selected by their error on held-out losses, not by their fit. The plan averages "
        "the forms within one standard error of the best. Regret: the loss of the plan above that "
        "of the form's own optimum, if the form were true, in nats per token."
    )
    return Table(title="Candidate forms", head=head, rows=rows, note=note)
