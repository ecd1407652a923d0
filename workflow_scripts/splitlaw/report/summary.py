"""The summary for the terminal: the answer, the recipes, the path of the page."""

import textwrap
from pathlib import Path

from splitlaw.report import reliability, sentences
from splitlaw.report.headline import headline
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import NBSP, error, loss, percent
from splitlaw.stages.recipe_results import RecipeResult

WIDTH = 88
"""Largest number of characters in a line: the table of recipes takes 82."""


def summarise(inputs: Inputs, recipes: list[RecipeResult], page: Path) -> str:
    """The summary as text, in lines of at most `WIDTH` characters."""
    opening = (
        sentences.caution(inputs),
        headline(inputs, recipes),
        sentences.answer(inputs, recipes),
    )
    parts = [textwrap.fill(sentence, WIDTH) for sentence in opening if sentence]
    if recipes:
        parts.append("\n".join(_table(recipes)))
    parts += [textwrap.fill(sentence, WIDTH) for sentence in sentences.outcome(recipes)]
    closing = (*reliability.assessment(inputs)[:1], reliability.expected_regret(inputs))
    parts += [textwrap.fill(sentence, WIDTH) for sentence in closing if sentence]
    if inputs.missing:
        parts.append("\n".join(textwrap.fill(sentence, WIDTH) for sentence in inputs.missing))
    parts.append(f"Open {page} in a browser; figures are in {page.parent / 'figures'}.")
    return "\n\n".join(parts).replace(NBSP, " ")


def _table(recipes: list[RecipeResult]) -> list[str]:
    lines = [
        f"{'recipe':<26}{'general':>8}{'predicted':>11}{'measured':>10}  gain of the optimal split"
    ]
    for recipe in recipes:
        gain = "" if recipe.gain is None else error(recipe.gain, recipe.gain_stderr)
        predicted = recipe.predicted[0] if recipe.predicted else None
        mark = " †" if recipe.too_few_tokens else ""
        lines.append(
            f"{recipe.name + mark:<26}{percent(recipe.fraction_general, 0):>8}"
            f"{loss(predicted, 4):>11}{loss(recipe.measured, 4):>10}  {gain}"
        )
    return lines
