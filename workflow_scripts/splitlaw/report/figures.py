"""The figures of a report: name, title, caption and drawing function of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from matplotlib.figure import Figure

from splitlaw.report import (
    figures_coverage,
    figures_delivery,
    figures_final,
    figures_frontier,
    figures_law,
    figures_plan,
    figures_replay,
    figures_tasks,
)
from splitlaw.report.inputs import Inputs
from splitlaw.stages.recipe_results import RecipeResult

Draw = Callable[[Inputs, list[RecipeResult]], Figure | None]


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure of the report."""

    name: str
    """Name of its files in `figures/` and id in the page."""
    title: str
    """Title in one line."""
    requires: str
    """Inputs that it requires, for the message where they are missing."""
    draw: Draw
    """Draws the figure; returns None where its inputs are missing."""

    @property
    def caption(self) -> str:
        """Explanation below the figure, also shown by `snakemake --report`."""
        file = resources.files("splitlaw.report").joinpath(f"captions/{self.name}.rst")
        return " ".join(file.read_text(encoding="utf-8").split())


def _of_inputs(function: Callable[[Inputs], Figure | None]) -> Draw:
    return lambda inputs, recipes: function(inputs)


FIGURES = (
    FigureSpec(
        name="frontier",
        title="The plan, and the loss against the general fraction",
        requires="a fit and a plan",
        draw=figures_frontier.frontier,
    ),
    FigureSpec(
        name="differences",
        title="Loss against the general fraction, minus that of the plan",
        requires="a fit and a plan",
        draw=figures_frontier.differences,
    ),
    FigureSpec(
        name="comparison",
        title="Predicted and measured losses of the recipes",
        requires="a plan with baselines",
        draw=figures_plan.comparison,
    ),
    FigureSpec(
        name="split",
        title="Training tokens of each recipe",
        requires="a plan",
        draw=figures_plan.split,
    ),
    FigureSpec(
        name="pareto",
        title="Domain loss against general loss",
        requires="a plan with general loss",
        draw=_of_inputs(figures_replay.pareto),
    ),
    FigureSpec(
        name="grid_fit",
        title="Losses of the grid and the fitted law",
        requires="losses.csv",
        draw=_of_inputs(figures_law.grid_fit),
    ),
    FigureSpec(
        name="predicted_measured",
        title="Predicted against measured losses",
        requires="losses.csv and a fit",
        draw=_of_inputs(figures_law.predicted_measured),
    ),
    FigureSpec(
        name="coverage",
        title="Coverage of the predictive intervals",
        requires="a fit with draws, and held-out losses or final models",
        draw=_of_inputs(figures_coverage.coverage),
    ),
    FigureSpec(
        name="residuals",
        title="Residuals against N, D and D′",
        requires="losses.csv and a fit",
        draw=_of_inputs(figures_law.residuals),
    ),
    FigureSpec(
        name="transfer",
        title="Loss of each final model on each domain",
        requires="the final models",
        draw=_of_inputs(figures_final.transfer),
    ),
    FigureSpec(
        name="learning_curves",
        title="Learning curves",
        requires="the training logs beside the checkpoints",
        draw=_of_inputs(figures_final.learning_curves),
    ),
    FigureSpec(
        name="benchmarks",
        title="Zero-shot benchmarks",
        requires="benchmarks.csv",
        draw=_of_inputs(figures_final.benchmarks),
    ),
    FigureSpec(
        name="loss_to_task",
        title="Zero-shot tasks against held-out loss",
        requires="benchmarks.csv",
        draw=_of_inputs(figures_tasks.loss_to_task),
    ),
    FigureSpec(
        name="delivery",
        title="Loss against active parameters",
        requires="delivery/comparison.csv",
        draw=_of_inputs(figures_delivery.delivery),
    ),
)
