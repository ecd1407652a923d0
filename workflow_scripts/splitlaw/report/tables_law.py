"""Tables of the law: held-out errors, extrapolation, candidate forms."""

import pandas as pd

from splitlaw.laws import FitResult
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count, loss, percent, signed
from splitlaw.report.reliability import SPLIT_COLUMN, ranges
from splitlaw.report.table import Table

KIND_NAMES = {
    "params": "largest sizes",
    "pretrain_tokens": "largest D",
    "specialize_tokens": "largest D′",
    "corner": "large D and large D′",
    "replay": "share of replay",
}
"""Names of the sets of losses that are held out."""


def holdout_table(
    fit: FitResult | None, *, by_domain: bool = False, title: str = "Errors on held-out losses"
) -> Table | None:
    """Errors on held-out losses, over all domains or by domain."""
    if fit is None or not fit.holdout:
        return None
    entries = pd.DataFrame(fit.holdout)
    keys = ["source", "kind", "domain"] if by_domain else ["source", "kind"]
    rows = []
    for key, part in entries.groupby(keys, sort=False):
        number = part["n"].sum()
        rows.append(
            [
                _name(*key[:2]),
                *key[2:],
                str(number),
                percent((part["n"] * part["mre"]).sum() / number, 2),
                signed((part["n"] * part["bias"]).sum() / number),
                percent(part["max"].max(), 2),
                percent(_coverage(part), 0),
            ]
        )
    head = ["Held out", *keys[2:], "Losses", "Mean error", "Bias", "Largest error", "Inside 90%"]
    note = (
        "Relative errors of predictions; the bias is positive where predictions are too high. "
        "Inside 90%: share of the losses inside their 90% predictive intervals. The fit does not "
        "use the rows of the column split; for the other rows, it is repeated without them."
    )
    return Table(
        title=title + (", by domain" if by_domain else ""),
        head=head,
        rows=rows,
        note="" if by_domain else note,
    )


def _name(source: str, kind: str) -> str:
    name = KIND_NAMES.get(kind, kind)
    return f"{name} (column split)" if source == SPLIT_COLUMN else name


def _coverage(entries: pd.DataFrame) -> float | None:
    """Share of the losses inside their intervals; None without intervals."""
    if "coverage" not in entries or entries["coverage"].isna().any():
        return None
    return float((entries["n"] * entries["coverage"]).sum() / entries["n"].sum())


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
    """Every form with its weight, its held-out errors and its own optimal split."""
    fit = inputs.fit
    if fit is None:
        return None
    planned = {}
    if inputs.plan is not None:
        planned = {c["law"]: c for c in inputs.plan.get("candidates", [])}
    weights = fit.weights
    rows = []
    for candidate in sorted(fit.candidates, key=lambda c: -weights.get(c["law"], 0.0)):
        own = planned.get(candidate["law"], {})
        density = candidate.get("log_predictive_density")
        rows.append(
            [
                candidate["law"].replace("_", " "),
                percent(weights.get(candidate["law"], 0.0), 0),
                str(candidate["n_parameters"]),
                f"{candidate['objective']:.4g}",
                percent(candidate["holdout_mre"], 2),
                "–" if density is None else f"{density:.1f}",
                percent(own.get("fraction_general"), 0),
                loss(own.get("regret"), 4),
            ]
        )
    head = ["Form", "Weight", "Parameters", "Objective", "Held-out error", "Log density"]
    head += ["Own optimum (general tokens)", "Regret of the plan"]
    note = (
        "The law averages the forms; their weights maximize the predictive density of left-out "
        "losses, whose logarithm for each form is in the column log density. Regret: the loss of "
        "the plan above that of the form's own optimum, if the form were true, in nats per token."
    )
    return Table(title="Forms of the law", head=head, rows=rows, note=note)
