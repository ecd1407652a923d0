"""Warnings about a plan, for users to read before they train it."""

import numpy as np

from splitlaw.laws.result import FitResult
from splitlaw.planner.allocate import Constraint, Split

SLACK = 1.001


def plan_warnings(
    fit: FitResult, params: float, split: Split, constraint: Constraint, gap: bool
) -> list[str]:
    """Sentences on extrapolation, with its factor, and on conditions that are not met."""
    specialize = float(split.specialize.max())
    pretrain = float(split.pretrain[0])
    notes = []
    for column, value, what in (
        ("params", params, "parameters"),
        ("pretrain_tokens", pretrain, "general tokens"),
        ("specialize_tokens", specialize, "domain tokens"),
    ):
        low, high = fit.range[column]
        if value > high * SLACK:
            factor = f"{value / high:.3g} times the largest" if high > 0 else "more than any"
            notes.append(f"The plan has {value:.4g} {what}, {factor} measured ({high:.4g}).")
        if 0 < value * SLACK < low:
            notes.append(
                f"The plan has {value:.4g} {what}, {value / low:.3g} times the smallest measured "
                f"({low:.4g})."
            )
    if pretrain == 0 and fit.range["pretrain_tokens"][0] > 0:
        notes.append("The plan trains from scratch (D = 0), which the table does not measure.")
    highest = fit.range.get("loss", (0.0, np.inf))[1]
    if split.mean[0] > highest * SLACK:
        notes.append(
            f"The plan predicts a mean loss of {split.mean[0]:.4g}, above every measured one (at "
            f"most {highest:.4g}): the budget is far below that of the measured runs."
        )
    if gap:
        notes.append("The plan is only approximately optimal; the loss is flat around it.")
    if fit.n_draws == 0:
        notes.append("The fit has no bootstrap draws: intervals are the values themselves.")
    return notes
