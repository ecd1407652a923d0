"""The text of docs/results.md and its figures, from the tables and the template."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from result_tables import base, figures, grid, mixture, recipes, scarce, tasks
from result_tables.read import CONFIGS, REFERENCE, ROOT, Tables
from splitlaw.experiment.strategies import NAMES, PROSE
from splitlaw.report import number_format as number
from splitlaw.zero_shot.tables import INTERVAL

TEMPLATE = ROOT / "docs" / "results.md.j2"
PAGE = ROOT / "docs" / "results.md"
SHORT = 4
"""Letters of most words that all texts have in common."""
WIDTH = 120
"""Letters in a line of the page."""
FIGURES = ROOT / "docs" / "figures"


def pages(reference: Path = REFERENCE) -> dict[Path, str]:
    """Text of the page and of every figure, by file."""
    found = tables(reference)
    made = context(found)
    files = {PAGE: page_text(made)}
    if made["default"]["cells"]:
        cell = made["default"]["cells"][0]
        files[FIGURES / "frontier.svg"] = figures.plan_figure(found["default"], cell)
    if made["base"]["cells"]:
        files[FIGURES / "replay.svg"] = figures.replay_figure(found["base"])
    measured = made["disjoint"]["curve"], made["disjoint"]["regret"]
    files[FIGURES / "measured_frontier.svg"] = figures.frontier_figure(found["disjoint"], *measured)
    files[FIGURES / "gains.svg"] = figures.gains_figure(found["grid"])
    return files


def tables(reference: Path = REFERENCE) -> dict[str, Tables]:
    """The tables of every experiment."""
    return {name: Tables.of(name, reference) for name in CONFIGS}


def page_text(made: Mapping[str, Any]) -> str:
    """The page, from the values of `context`."""
    return wrapped(environment().get_template(TEMPLATE.name).render(**made))


def context(found: Mapping[str, Tables]) -> dict[str, Any]:
    """The values that the template uses, by experiment."""
    made = {name: experiment(tables) for name, tables in found.items()}
    made["mixture"] |= {"domains": found["mixture"].table("domains").to_dict("records")}
    made["mixture"] |= {
        "independent": mixture.independent(found["mixture"]),
        "numbers": mixture.numbers(found["mixture"]),
    }
    losses = found["mixture"].table("losses")
    made["larger"] |= {"largest_fitted": losses.loc[losses["split"] == "fit", "params"].max()}
    made["disjoint"] |= disjoint(found["disjoint"])
    made["grid"] |= reference_grid(found["grid"])
    made["scarce"] |= scarcity(found["scarce"])
    made["base"] |= existing_model(found["base"])
    return {**made, "names": NAMES, "prose": PROSE, "level": INTERVAL[1] - INTERVAL[0]}


def experiment(tables: Tables) -> dict[str, Any]:
    """What every experiment has: its configuration, cells, tasks and routes."""
    cells = recipes.cells(tables.table("recipes"))
    marks, gains = tables.table("benchmarks"), tables.table("benchmark_gains")
    comparison = tables.table("final/comparison")
    with_tasks = [
        {
            "cell": cell,
            "seeds": tasks.seeds(gains, cell.size, cell.budget),
            "scores": tasks.scores(marks, cell.size, cell.budget),
            "gains": tasks.task_gains(gains, cell.size, cell.budget),
        }
        for cell in cells
        if len(marks) and len(gains)
    ]
    return {
        "config": tables.config,
        "cells": cells,
        "wins": recipes.wins(cells),
        "domain_gains": lambda strategy: recipes.gains_by_domain(comparison, strategy),
        "tasks": [entry for entry in with_tasks if entry["gains"]],
        "routes": tasks.routes(tables.table("benchmark_routes")),
        "plan": tables.json("split/plan.json"),
    }


def existing_model(tables: Tables) -> dict[str, Any]:
    """Errors on held-out branches, and the predicted general loss of the plan."""
    holdout, plan = base.holdout(tables.json("law/fit.json")), tables.json("split/plan.json")
    general = [value[0] for value in (plan.get("general_loss") or {}).values()]
    return {
        "holdout": holdout,
        "kinds": list(dict.fromkeys(row.kind for row in holdout)),
        "general_predicted": float(np.mean(general)) if general else float("nan"),
        "with_confidence": base.with_confidence(
            tables.json("limit/plan.json"), tables.table("limit/comparison")
        ),
    }


def disjoint(tables: Tables) -> dict[str, Any]:
    """Recipes of one cell without losses by document, and the measured frontier."""
    comparison = tables.table("final/comparison")
    curve, regret = figures.regret(tables)
    return {
        "curve": curve,
        "recipes": recipes.from_comparison(comparison),
        "cell": comparison.iloc[0],
        "frontier": tables.table("frontier/frontier"),
        "frontier_plan": tables.json("frontier/plan.json"),
        "regret": regret,
    }


def reference_grid(tables: Tables) -> dict[str, Any]:
    """The questions of the reference grid."""
    losses, forms = tables.table("losses"), tables.table("forms")
    auto = forms["form"] == "auto"
    answers, surface = tables.table("optimum"), tables.table("surface")
    budgets, rows = grid.optimum(answers, surface)
    compared = grid.compared(tables.table("compare/gains"))
    return {
        "losses": losses,
        "forms": {name: grid.errors(forms, name) for name in forms["form"].unique()},
        "questions": grid.QUESTIONS,
        "noise": grid.noise(losses),
        "compared": compared,
        "better": grid.better(compared),
        "won": sum(gain.gain > 0 for row in compared for gain in row.over.values()),
        "worst": max(forms.loc[auto & forms["question"].isin(grid.QUESTIONS), "mre"]),
        "largest": recipes.from_comparison(tables.table("final/seeds")),
        "largest_cell": tables.table("final/seeds").iloc[0],
        "budgets": budgets,
        "optimum": rows,
        "difference": grid.surface_difference(rows),
        "borrowed": answers["regret_relative"].max(),
        "unique": answers[answers["question"] == "unique_tokens"].to_dict("records"),
        "few_domains": answers[answers["question"] == "domains"].to_dict("records"),
        "sharing": grid.sharing(tables.table("cost")),
        "frontier": tables.table("frontier/frontier"),
        "frontier_plan": tables.json("frontier/plan.json"),
        "regret": figures.regret(tables)[1],
    }


def scarcity(tables: Tables) -> dict[str, Any]:
    """Passes over the same text, and the plans."""
    losses = tables.table("scarcity/scarcity")
    plans = scarce.plans(tables.folder / "scarcity", losses)
    cells = {(np.nan_to_num(c.unique), c.size): c for c in recipes.cells(tables.table("recipes"))}
    for plan in plans:
        plan.cell = cells.get((np.nan_to_num(plan.unique_tokens), plan.size))
    cell, passes, rows = scarce.passes(tables.table("losses"))
    return {
        "pass_cell": cell,
        "passes": passes,
        "pass_rows": rows,
        "plans": plans,
        "sizes": sorted({plan.size for plan in plans}),
        "inside": [plan.inside for plan in plans if np.isfinite(plan.best_share)],
        "errors": scarce.prediction_errors(losses),
    }


# ---- text ---------------------------------------------------------------------------------


def wrapped(text: str) -> str:
    """Markdown with paragraphs and items in lines of `WIDTH`, and single blank lines."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(_wrapped_block(block) for block in blocks) + "\n"


def _wrapped_block(block: str) -> str:
    found: list[str] = []
    for line in block.splitlines():
        own = line.lstrip().startswith(("|", "#", "<!--", "![", "- "))
        if own or not found or found[-1].startswith(("|", "#", "<!--")):
            found.append(line.strip())
        else:
            found[-1] += f" {line.strip()}"
    return "\n".join(
        part
        if part.startswith(("|", "#", "!["))
        else textwrap.fill(
            part,
            WIDTH,
            subsequent_indent="  " if part.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for part in found
    )


# ---- numbers as text --------------------------------------------------------------------------


def environment() -> Environment:
    """The template engine with the formats of numbers."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "loss": number.loss,
        "percent": lambda value, digits=0: number.percent(value, digits),
        "signed": lambda value, digits=1: number.signed(value, digits),
        "tokens": number.count,
        "whole": lambda value: f"{value:,.0f}",
        "power": lambda value: number.power(value).replace(number.NBSP, " "),
        "error": error,
        "span": span,
        "off": off,
        "seeds": lambda count: f"{count} seeds" if count > 1 else "one seed",
        "listing": lambda parts: number.listing(list(parts)),
    }
    made.filters["first_words"] = lambda words: " ".join(words[:3])
    made.tests["known"] = number.known
    made.tests["long"] = lambda word: len(word) > SHORT
    return made


def error(value: float, stderr: float, digits: int = 3) -> str:
    """A value with its standard error in parentheses; a dash for NaN."""
    if not number.known(value):
        return "–"
    margin = f" ({number.loss(stderr, digits)})" if number.known(stderr) else ""
    return number.loss(value, digits) + margin


def span(low: float, high: float) -> str:
    """The ends of an interval of shares."""
    return f"{number.percent(low, 0).rstrip('%')} to {number.percent(high, 0)}"


def off(predicted: float, measured: float, digits: int = 1) -> str:
    """How far a prediction is from what was measured: 1.9% too low."""
    relative = predicted / measured - 1
    return f"{number.percent(abs(relative), digits)} too {'low' if relative < 0 else 'high'}"
