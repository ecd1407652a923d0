"""Tables of a plan with replay: the front, and the general loss of every specialist."""

from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import bounds, loss, percent
from splitlaw.report.table import Table


def pareto_table(inputs: Inputs) -> Table | None:
    """The splits with the lowest mean loss at a limit on general loss."""
    plan = inputs.plan
    if plan is None or not plan.get("pareto"):
        return None
    rows = []
    for entry in plan["pareto"]:
        shares = list(entry["replay"].values())
        least, most = percent(min(shares), 0), percent(max(shares), 0)
        rows.append(
            [
                loss(entry["general_loss"]),
                bounds(entry["domain_loss"], entry["low"], entry["high"], digits=3),
                percent(entry["fraction_general"], 0),
                least if least == most else f"{least} to {most}",
            ]
        )
    return Table(
        title="Domain loss against general loss",
        head=["General loss", "Mean domain loss (90%)", "General tokens", "Replay"],
        rows=rows,
        note="Splits of the same compute, each with the lowest mean domain loss at a limit on the "
        "general loss of every specialist. General tokens are those before the branches; replay is "
        "the share of general tokens in the branches. Losses are means over the domains in nats "
        "per token.",
    )


def general_table(inputs: Inputs) -> Table | None:
    """General loss of the specialist of each domain in the plan."""
    plan = inputs.plan
    if plan is None or not plan.get("general_loss"):
        return None
    rise = plan["general_loss_rise"]
    rows = [
        [
            name,
            percent(plan["replay"][name], 1),
            bounds(*value),
            percent(rise["domains"][name], 1),
        ]
        for name, value in plan["general_loss"].items()
    ]
    limit = "" if rise["limit"] is None else f" The limit is {percent(rise['limit'], 1)}."
    if rise.get("confidence", 0.5) > 0.5:
        limit += (
            f" Predictions are below it so that each specialist keeps it with a probability of "
            f"{percent(rise['confidence'], 0)}: the mean domain loss is "
            f"{rise['domain_loss_cost']:.3f} higher for that."
        )
    return Table(
        title="General loss of the specialists",
        head=["Domain", "Replay", "General loss (90%)", "Rise"],
        rows=rows,
        note="The rise is relative to the base; without a base, to a general run of the whole "
        f"budget. It is {percent(rise['mean'], 1)} on average.{limit}",
    )
