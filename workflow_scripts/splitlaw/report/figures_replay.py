"""Figure of the trade-off of domain loss against general loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.experiment.strategies import NAMES, OPTIMAL
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.stages.final_results import plan_weights, rows_of_plan


def pareto(inputs: Inputs) -> Figure | None:
    """The front of a plan with replay, the plan, its baselines, and their measured losses."""
    plan = inputs.plan
    if plan is None or not plan.get("pareto"):
        return None
    figure = Figure(figsize=(style.WIDTH, 3.4))
    axis = figure.subplots()
    front = plan["pareto"]
    general = [entry["general_loss"] for entry in front]
    low, high = ([entry[end] for entry in front] for end in ("low", "high"))
    axis.fill_between(general, low, high, color=style.THEIRS, alpha=0.2, lw=0, label="90% interval")
    domain = [entry["domain_loss"] for entry in front]
    axis.plot(general, domain, color=style.THEIRS, label="best splits, predicted")
    for entry in [{**plan, "strategy": OPTIMAL}, *plan["baselines"]]:
        _predicted(axis, entry, plan_weights(plan))
    _measured(axis, inputs)
    axis.set(xlabel="general loss (nats/token)", ylabel="mean domain loss (nats/token)")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _predicted(axis: Axes, entry: Mapping[str, Any], weights: Mapping[str, float]) -> None:
    """A strategy at its predicted losses."""
    general = entry.get("general_loss")
    if not general:
        return
    best = entry["strategy"] == OPTIMAL
    colour = style.OURS if best else style.INK
    x = sum(weights[name] * loss[0] for name, loss in general.items())
    y = entry["predicted_mean_loss"][0]
    label = "plan, predicted" if best else None
    marks: dict[str, Any] = {"ms": 6, "ls": "none", "zorder": _order(entry["strategy"])}
    axis.plot(x, y, "D", color=colour, markerfacecolor=style.PAPER, label=label, **marks)
    _name(axis, entry["strategy"], x, y)


def _measured(axis: Axes, inputs: Inputs) -> None:
    """The trained strategies, where their general loss was measured."""
    table, plan = inputs.comparison, inputs.plan
    if table is None or plan is None or "general_loss" not in table:
        return
    weights = plan_weights(plan)
    rows = rows_of_plan(table, plan).dropna(subset=["general_loss"])
    # The entry of the legend has the colour that most of the points have.
    others = [name for name in rows["strategy"].unique() if name != OPTIMAL]
    named = others[0] if others else OPTIMAL
    for strategy, part in rows.groupby("strategy", sort=False):
        means = part.groupby("domain")[["general_loss", "loss"]].mean()
        if set(means.index) != set(weights):
            continue
        share = np.array([weights[name] for name in means.index])
        x, y = share @ means.to_numpy()
        colour = style.OURS if strategy == OPTIMAL else style.INK
        order = _order(str(strategy))
        label = "measured" if strategy == named else None
        axis.plot(x, y, "o", color=colour, ms=6, ls="none", label=label, zorder=order)
        if strategy == "mixture":
            _name(axis, strategy, x, y)


def _order(strategy: str) -> float:
    """The plan lies above the other recipes, one of which often has nearly the same losses."""
    return 4.0 if strategy == OPTIMAL else 3.0


def _name(axis: Axes, strategy: str, x: float, y: float) -> None:
    """Name a point: the plan at its lower left, the others at their upper right."""
    below: dict[str, Any] = {"xytext": (-6, -5), "ha": "right", "va": "top"}
    place = below if strategy == OPTIMAL else {"xytext": (6, 4)}
    name = NAMES.get(strategy, strategy)
    axis.annotate(name, (x, y), textcoords="offset points", fontsize=7.5, **place)
