"""The figures of docs/results.md and README.md."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

from matplotlib.figure import Figure

from result_tables.read import Tables
from result_tables.recipes import Cell
from splitlaw.report import style
from splitlaw.report.figures_compare import gains as draw_gains
from splitlaw.report.figures_frontier import draw_plan
from splitlaw.report.figures_replay import pareto
from splitlaw.report.frontier import draw_frontier
from splitlaw.report.inputs import Inputs
from splitlaw.stages.frontier import general_share
from splitlaw.stages.recipe_results import RecipeResult
from splitlaw.stages.regret import Curve, Regret, estimate_regret, mean_losses

NUMBER = re.compile(r"-?\d+\.\d+(?:[eE][-+]?\d+)?")
CLOSE = 0.02
"""Points (1/72 inch) by which a number of a figure may differ: other processors round otherwise."""


def svg(figure: Figure) -> str:
    """A figure as SVG, the same text for the same figure."""
    style.set_theme()
    text = io.StringIO()
    figure.savefig(text, format="svg", facecolor=style.PAPER, metadata={"Date": None})
    # Trailing blanks, which editors and version control remove.
    return re.sub(r"[ \t]+$", "", text.getvalue(), flags=re.MULTILINE)


def same(first: str, second: str) -> bool:
    """Whether two figures have the same text and numbers that differ by rounding at most."""
    if NUMBER.sub("#", first) != NUMBER.sub("#", second):
        return False
    pairs = zip(NUMBER.findall(first), NUMBER.findall(second), strict=True)
    return all(abs(float(a) - float(b)) <= CLOSE for a, b in pairs)


def regret(tables: Tables) -> tuple[Curve, Regret]:
    """The curve through a measured frontier, and the regret of the plan on it."""
    plan = tables.json("frontier/plan.json")
    return estimate_regret(tables.table("frontier/frontier"), general_share(plan))


def plan_figure(tables: Tables, cell: Cell) -> str:
    """The plan of a cell, its predicted losses, and the measured losses of the recipes."""
    style.set_theme()
    plan = tables.json("split/plan.json")
    rows = [_recipe(row, plan["specialize_tokens"]) for row in cell.recipes.values()]
    return svg(draw_plan(tables.table("split/predicted"), plan, rows))


def _recipe(row: SimpleNamespace, specialize_tokens: dict[str, float]) -> RecipeResult:
    known = row.predicted == row.predicted
    return RecipeResult(
        strategy=row.strategy,
        pretrain_tokens=0,
        specialize_tokens=specialize_tokens,
        fraction_general=row.fraction_general,
        tokens_per_param=row.tokens_per_param,
        predicted=(row.predicted, row.predicted_low, row.predicted_high) if known else None,
        predicted_gain=None,
        probability_worse=None,
        measured=row.measured if row.measured == row.measured else None,
    )


def frontier_figure(tables: Tables, curve: Curve, found: Regret) -> str:
    """Measured losses at several general fractions, the prediction, and the plan."""
    style.set_theme()
    table = tables.table("frontier/frontier")
    predicted = tables.table("frontier/predicted")
    inside = predicted["fraction_general"].between(curve.low, curve.high)
    mean = predicted[(predicted["law"] == "mean") & inside]
    return svg(draw_frontier(mean_losses(table), mean, curve, found))


def replay_figure(tables: Tables) -> str:
    """Loss on the domains against general loss: the front of the plan, and the recipes."""
    style.set_theme()
    comparison = tables.table("final/comparison")
    inputs = Inputs(
        folder=tables.folder, plan=tables.json("split/plan.json"), comparison=comparison
    )
    figure = pareto(inputs)
    assert figure is not None, "the plan has no front"
    return svg(figure)


def gains_figure(tables: Tables) -> str:
    """Gain of the optimal split against size and budget."""
    style.set_theme()
    return svg(draw_gains(tables.table("compare/gains")))
