"""From an experiment's results to its page and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from splitlaw import __version__
from splitlaw.common.files import write_text
from splitlaw.report import corpora, sentences, style, tables
from splitlaw.report.figures import PICTURES, Picture
from splitlaw.report.inputs import FILES, Inputs, read_inputs, read_recipes
from splitlaw.report.page import inline_svg, render
from splitlaw.report.plan_page import play, write_plan_page
from splitlaw.report.summary import summarise
from splitlaw.stages.recipe_results import RecipeResult


def make_report(results: Path, *, out: Path, figures: Path) -> str:
    """Write the page to `out` and each figure to `figures` as SVG and PNG.

    The page to play with stands beside `out` as plan_page.html. Gives a summary for the terminal.
    Where a part of the results is missing the page says so, and the figure's files say what they
    wait for. Raises `UserError` where there is nothing to show.
    """
    inputs = read_inputs(results)
    recipes = read_recipes(inputs)
    style.set_theme()
    drawn = {picture.name: _draw(picture, inputs, recipes, figures) for picture in PICTURES}
    write_text(out, render(page_content(inputs, recipes, drawn)))
    if inputs.fit is not None:
        page = out.with_name("plan_page.html")
        write_plan_page(inputs.fit, page, plan=inputs.plan, **_named(inputs))
    return summarise(inputs, recipes, out)


def _named(inputs: Inputs) -> dict[str, Any]:
    """What the page to play with calls the law's file and the sizes."""
    return {"law": f"{inputs.folder}/{FILES['fit'][0]}", "sizes": inputs.sizes}


def _draw(
    picture: Picture, inputs: Inputs, recipes: list[RecipeResult], folder: Path
) -> str | None:
    """Write one figure's files; its SVG, or None where its inputs are missing."""
    figure = picture.draw(inputs, recipes)
    style.save(figure or _placeholder(picture), folder, picture.name)
    return (folder / f"{picture.name}.svg").read_text(encoding="utf-8") if figure else None


def _placeholder(picture: Picture) -> Figure:
    """A figure that says what it waits for: a workflow is promised the file."""
    figure = Figure(figsize=(style.WIDTH, 1.2))
    figure.text(0.5, 0.5, f"{picture.title}: waits for {picture.needs}.", ha="center", va="center")
    return figure


def page_content(
    inputs: Inputs, recipes: list[RecipeResult], drawn: dict[str, str | None]
) -> dict[str, object]:
    """All that the page's template names."""
    by_name = {picture.name: picture for picture in PICTURES}
    shown = {
        name: {
            "title": by_name[name].title,
            "caption": by_name[name].caption,
            "needs": by_name[name].needs,
            "svg": inline_svg(svg, name, by_name[name].title) if svg else None,
        }
        for name, svg in drawn.items()
    }
    return {
        "name": inputs.folder.resolve().name,
        "version": __version__,
        "play": play(inputs.fit, inputs.plan, **_named(inputs)) if inputs.fit else None,
        "caution": sentences.caution(inputs),
        "answer": sentences.answer(inputs, recipes),
        "doubt": sentences.doubt(inputs),
        "outcome": sentences.outcome(recipes),
        "trust": sentences.trust(inputs),
        "warnings": sentences.warnings(inputs),
        "missing": inputs.missing,
        "pictures": shown,
        "recipes": tables.recipes_table(recipes),
        "seeds": tables.seeds_table(inputs, recipes),
        "domains": tables.domains_table(inputs, recipes),
        "holdout": tables.holdout_table(inputs),
        "holdout_domains": tables.holdout_table(inputs, by_domain=True),
        "ranges": tables.ranges_table(inputs),
        "candidates": tables.candidates_table(inputs),
        "corpora": corpora.corpora_table(inputs),
        "dropped": corpora.dropped_table(inputs),
        "samples": corpora.samples(inputs),
        "cost": tables.cost_table(inputs),
        "benchmarks": tables.benchmarks_table(inputs),
        "provenance": tables.provenance_table(inputs),
    }
