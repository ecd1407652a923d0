"""The explorer: a page with sliders that computes plans for other budgets in the browser."""

import json
import math
import os
from collections.abc import Mapping
from importlib import resources
from typing import Any

from markupsafe import Markup

from splitlaw import __version__
from splitlaw.common.files import write_text
from splitlaw.experiment.strategies import GENERAL_FRACTIONS, NAMES
from splitlaw.laws import FitResult, Member
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.report.number_format import listing
from splitlaw.report.page import render

DRAWS = 60
"""Bootstrap draws in a page, over all laws together. The time of a redraw is proportional to them;
with 60 it is a few milliseconds (`perf/report.py`)."""

TOKENS_PER_PARAM = 20
"""Initial budget without a plan: the compute-optimal ratio of Hoffmann et al. 2022."""

BUDGETS = (1 / 30, 300)
SIZES = (1 / 2, 30)
"""Range of the sliders as factors of the plan: from the budgets and sizes of the grid to well above
those of the plan."""


def write_plan_page(
    fit: FitResult,
    out: str | os.PathLike[str],
    *,
    law: str,
    plan: Mapping[str, Any] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> None:
    """Write the explorer of a fitted law; its initial setting is `plan` if there is one.

    `law` is the path of the fit in the command that the page shows; `sizes` are the parameters of
    the named sizes.
    """
    content = {
        "explorer": explorer(fit, plan, law=law, sizes=sizes),
        "law": listing([member.law.replace("_", " ") for member in fit.members]),
        "version": __version__,
    }
    write_text(out, render(content, template="plan_page.html.j2"))


def explorer(
    fit: FitResult,
    plan: Mapping[str, Any] | None,
    *,
    law: str = "fit.json",
    sizes: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Values for the controls and the scripts of the explorer."""
    params = plan["params"] if plan else fit.range["params"][1]
    flops = plan["flops"] if plan else None
    if flops is None:
        flops = TOKENS_PER_PARAM * params * flops_per_token_at(fit.flops_per_token, params)
    shares = dict.fromkeys(plan["specialize_tokens"] if plan else fit.domains, 1.0)
    if plan:
        given = plan.get("weights", shares)
        shares = {d: round(given[d] * len(shares), 6) for d in shares}
    content = {**law_data(fit), "law": law, "sizes": dict(sizes or {})}
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return {
        "flops": [math.log10(flops * factor) for factor in (BUDGETS[0], 1, BUDGETS[1])],
        "params": [math.log10(params * factor) for factor in (SIZES[0], 1, SIZES[1])],
        "trunk": plan.get("trunk", "shared") if plan else "shared",
        "domains": [*shares, *(d for d in fit.domains if d not in shares)],
        "weights": shares,
        "draws": sum(_draws_in_page(fit, member) for member in fit.members),
        # Without "<", the data cannot end the script element that contains them.
        "data": Markup(data.replace("<", "\\u003c")),
        "planner": Markup(_script("planner.js")),
        "script": Markup(_script("explorer.js")),
    }


def _script(name: str) -> str:
    folder = resources.files("splitlaw.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _draws_in_page(fit: FitResult, member: Member) -> int:
    return min(len(member.draws), DRAWS // len(fit.members))


def law_data(fit: FitResult) -> dict[str, Any]:
    """The law and the strategies as the page's scripts read them."""
    return {
        "strategyNames": NAMES,
        "generalFractions": GENERAL_FRACTIONS,
        "domains": list(fit.domains),
        "members": [_member(fit, member) for member in fit.members],
        "standIns": [_member(fit, member) for member in fit.stand_ins],
        "range": {column: list(ends) for column, ends in fit.range.items()},
        "flopsPerToken": {f"{n:.15g}": flops for n, flops in fit.flops_per_token.items()},
        "repetitions": fit.repetitions,
    }


def _member(fit: FitResult, member: Member) -> dict[str, Any]:
    count = _draws_in_page(fit, member)
    values, drawn = member.named(member.values), member.named(member.draws[:count])
    return {
        "law": member.law,
        "weight": member.weight,
        "draws": count,
        "parameters": {
            d: {name: float(v[k]) for name, v in values.items()} for k, d in enumerate(fit.domains)
        },
        "drawn": {
            d: {name: [float(f"{u:.7g}") for u in v[:, k]] for name, v in drawn.items()}
            for k, d in enumerate(fit.domains)
        },
    }
