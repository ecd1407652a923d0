"""What a user should know of a plan before spending on it."""

from splitlaw.laws.result import FitResult
from splitlaw.planner.allocate import Constraint, Split

SLACK = 1.001


def plan_warnings(
    fit: FitResult, params: float, split: Split, constraint: Constraint, gap: bool
) -> list[str]:
    """Sentences on extrapolation, with its factor, and on conditions that are not met."""
    special = float(split.special.max())
    general = float(split.general[0])
    notes = []
    for column, value, what in (
        ("params", params, "parameters"),
        ("pretrain_tokens", general, "general tokens"),
        ("specialize_tokens", special, "domain tokens"),
    ):
        low, high = fit.range[column]
        if value > high * SLACK:
            factor = f"{value / high:.3g} times" if high > 0 else "any"
            notes.append(
                f"The plan asks for {value:.4g} {what}, {factor} the largest measured ({high:.4g})."
            )
        if 0 < value * SLACK < low:
            notes.append(
                f"The plan asks for {value:.4g} {what}, {low / value:.3g} times below the "
                f"smallest measured ({low:.4g})."
            )
    if general == 0 and fit.range["pretrain_tokens"][0] > 0:
        notes.append("The plan trains from scratch (D = 0), which the table does not measure.")
    if gap:
        notes.append("The optimality conditions are met only roughly; the loss is flat there.")
    if fit.n_draws == 0:
        notes.append("The fit has no bootstrap draws: intervals are the values themselves.")
    return notes
