"""From an experiment's results to its page and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from splitlaw import __version__
from splitlaw.common.files import write_text
from splitlaw.common.result_table import write_result_table
from splitlaw.report import (
    corpora,
    reliability,
    sentences,
    style,
    tables_experiment,
    tables_law,
    tables_plan,
    tables_replay,
    tables_tasks,
)
from splitlaw.report.figures import FIGURES, FigureSpec
from splitlaw.report.headline import headline
from splitlaw.report.inputs import FILES, TABLE_FIT, Inputs, read_inputs, read_recipes
from splitlaw.report.page import inline_svg, render
from splitlaw.report.plan_page import explorer, write_plan_page
from splitlaw.report.summary import summarise
from splitlaw.stages.loss_to_task import fit_lines
from splitlaw.stages.recipe_results import RecipeResult


def make_report(results: Path, *, out: Path, figures: Path) -> str:
    """Write the page to `out`, each figure to `figures` as SVG and PNG, and return a summary.

    The explorer is written beside `out` as `plan_page.html`, and the lines of the tasks as
    `loss_to_task.csv`. Missing parts of the results are
    listed on the page; a figure whose inputs are missing is a placeholder that names them. Raises
    `UserError` where there is neither a table of losses nor a fit.
    """
    return write_report(read_inputs(results), out=out, figures=figures)


def write_report(inputs: Inputs, *, out: Path, figures: Path) -> str:
    """Write the page, its figures and the explorer, and return a summary."""
    recipes = read_recipes(inputs)
    style.set_theme()
    drawn = {spec.name: _draw(spec, inputs, recipes, figures) for spec in FIGURES}
    write_text(out, render(page_content(inputs, recipes, drawn)))
    if inputs.table is None:
        write_result_table(out.with_name("loss_to_task.csv"), fit_lines(inputs.scores))
    if inputs.fit is not None:
        page = out.with_name("plan_page.html")
        write_plan_page(inputs.fit, page, plan=inputs.plan, **_named(inputs))
    return summarise(inputs, recipes, out)


def _named(inputs: Inputs) -> dict[str, Any]:
    """The path of the law, the named sizes and the next runs, which the explorer prints."""
    file = FILES["fit"][0] if inputs.table is None else TABLE_FIT
    law = str(inputs.folder / file)
    return {"law": law, "sizes": inputs.sizes, "next_runs": inputs.next_runs}


def _draw(
    spec: FigureSpec, inputs: Inputs, recipes: list[RecipeResult], folder: Path
) -> str | None:
    """Write the files of a figure; return its SVG, or None where its inputs are missing."""
    figure = spec.draw(inputs, recipes)
    style.save(figure or _placeholder(spec), folder, spec.name)
    return (folder / f"{spec.name}.svg").read_text(encoding="utf-8") if figure else None


def _placeholder(spec: FigureSpec) -> Figure:
    """A figure that names its missing inputs: the workflow expects the file in any case."""
    figure = Figure(figsize=(style.WIDTH, 1.2))
    figure.text(0.5, 0.5, f"{spec.title}: requires {spec.requires}.", ha="center", va="center")
    return figure


def page_content(
    inputs: Inputs, recipes: list[RecipeResult], drawn: dict[str, str | None]
) -> dict[str, object]:
    """Values of all names in the page's template."""
    by_name = {spec.name: spec for spec in FIGURES}
    shown = {
        name: {
            "title": by_name[name].title,
            "caption": by_name[name].caption,
            "requires": by_name[name].requires,
            "svg": inline_svg(svg, name, by_name[name].title) if svg else None,
        }
        for name, svg in drawn.items()
    }
    return {
        "name": inputs.name,
        "of_experiment": inputs.table is None,
        "version": __version__,
        "explorer": explorer(inputs.fit, inputs.plan, **_named(inputs)) if inputs.fit else None,
        "explorer_heading": "h2",
        "explorer_title": "Optimal splits for other budgets",
        "caution": sentences.caution(inputs),
        "answer": sentences.answer(inputs, recipes),
        "brief_assessment": reliability.brief_assessment(inputs),
        "outcome": sentences.outcome(recipes),
        "assessment": reliability.assessment(inputs),
        "headline": headline(inputs, recipes),
        "decisive": reliability.decisive_warnings(inputs),
        "warnings": reliability.other_warnings(inputs),
        "missing": inputs.missing,
        "figures": shown,
        "recipes": tables_plan.recipes_table(recipes),
        "multipliers": tables_plan.multipliers_table(recipes),
        "pareto": tables_replay.pareto_table(inputs),
        "general_loss": tables_replay.general_table(inputs),
        "seeds": tables_plan.seeds_table(inputs, recipes),
        "domains": tables_plan.domains_table(inputs, recipes),
        "holdout": tables_law.holdout_table(inputs.fit),
        "holdout_domains": tables_law.holdout_table(inputs.fit, by_domain=True),
        "holdout_general": tables_law.holdout_table(
            inputs.fit and inputs.fit.general_after,
            title="Errors on held-out general losses of specialists",
        ),
        "ranges": tables_law.ranges_table(inputs),
        "candidates": tables_law.candidates_table(inputs),
        "corpora": corpora.corpora_table(inputs),
        "dropped": corpora.dropped_table(inputs),
        "samples": corpora.samples(inputs),
        "cost": tables_experiment.cost_table(inputs),
        "rounds": tables_experiment.rounds_table(inputs),
        "benchmarks": tables_experiment.benchmarks_table(inputs),
        "loss_to_task": tables_tasks.loss_to_task_table(inputs),
        "delivery": tables_experiment.delivery_table(inputs),
        "provenance": tables_experiment.provenance_table(inputs),
    }
