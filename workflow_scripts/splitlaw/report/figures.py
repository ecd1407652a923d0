"""Every figure of a report: its name, what its caption says, and what draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from matplotlib.figure import Figure

from splitlaw.report import figures_final, figures_law, figures_plan
from splitlaw.report.inputs import Inputs
from splitlaw.stages.recipe_results import RecipeResult

Draw = Callable[[Inputs, list[RecipeResult]], Figure | None]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report."""

    name: str
    """Of its files in `figures/`, and of its place in the page."""
    title: str
    """One line."""
    needs: str
    """What is missing where it cannot be drawn."""
    draw: Draw
    """Draws it; None where its inputs are not there."""

    @property
    def caption(self) -> str:
        """What to see in it: the text that `snakemake --report` shows too."""
        file = resources.files("splitlaw.report").joinpath(f"captions/{self.name}.rst")
        return " ".join(file.read_text(encoding="utf-8").split())


def _of_inputs(function: Callable[[Inputs], Figure | None]) -> Draw:
    return lambda inputs, recipes: function(inputs)


PICTURES = (
    Picture(
        name="frontier",
        title="Loss against the general fraction",
        needs="a fit and a plan",
        draw=figures_plan.frontier,
    ),
    Picture(
        name="comparison",
        title="The recipes, predicted and measured",
        needs="a plan with baselines",
        draw=figures_plan.comparison,
    ),
    Picture(
        name="split",
        title="What each recipe trains",
        needs="a plan",
        draw=figures_plan.split,
    ),
    Picture(
        name="grid_fit",
        title="The grid against its fit",
        needs="losses.csv",
        draw=_of_inputs(figures_law.grid_fit),
    ),
    Picture(
        name="predicted_measured",
        title="Predicted against measured",
        needs="losses.csv and a fit",
        draw=_of_inputs(figures_law.predicted_measured),
    ),
    Picture(
        name="residuals",
        title="Residuals by N, D and D′",
        needs="losses.csv and a fit",
        draw=_of_inputs(figures_law.residuals),
    ),
    Picture(
        name="transfer",
        title="Who knows what",
        needs="the final models",
        draw=_of_inputs(figures_final.transfer),
    ),
    Picture(
        name="learning_curves",
        title="Learning curves",
        needs="the training logs beside the checkpoints",
        draw=_of_inputs(figures_final.learning_curves),
    ),
    Picture(
        name="benchmarks",
        title="Benchmarks",
        needs="benchmarks.csv",
        draw=_of_inputs(figures_final.benchmarks),
    ),
)
