"""The explorer: a page with sliders that computes plans for other budgets in the browser."""

import base64
import json
import math
import os
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from splitlaw import __version__
from splitlaw.common.files import write_text
from splitlaw.experiment.strategies import GENERAL_FRACTIONS, NAMES
from splitlaw.laws import FitResult, Member
from splitlaw.laws.kernel import UNSPLIT_LENGTH
from splitlaw.laws.mean import javascript
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.report.number_format import listing
from splitlaw.report.page import render
from splitlaw.report.tables_law import holdout_table

DRAWS = 40
"""Draws in a page, over all forms together: two are beyond each end of a 90% interval."""

BYTES = 900_000
"""Size of the mixtures of these draws, above which a page has fewer; in base64 they take a third
more, and a page is to be smaller than 2 MB."""

LEAST_DRAWS = 10
"""Draws in a page for any number of domains."""

TOKENS_PER_PARAM = 20
"""Initial budget without a plan: the compute-optimal ratio of Hoffmann et al. 2022."""

BUDGETS = (1 / 30, 300)
SIZES = (1 / 2, 30)
"""Range of the sliders as factors of the plan: from the budgets and sizes of the grid to well above
those of the plan."""


def knows_split(fit: FitResult) -> bool:
    """Whether a law distinguishes two stages, and its table has several values of D and of D'."""
    ranges = (fit.range["pretrain_tokens"], fit.range["specialize_tokens"])
    return fit.stages == 2 and all(low < high for low, high in ranges)


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
        "holdout": holdout_table(fit),
        "version": __version__,
    }
    write_text(out, render(content, template="plan_page.html.j2"))


def explorer(
    fit: FitResult,
    plan: Mapping[str, Any] | None,
    *,
    law: str = "fit.json",
    sizes: Mapping[str, float] | None = None,
) -> dict[str, Any] | None:
    """Values for the controls and the scripts of the explorer; None if the law knows no split."""
    if not knows_split(fit):
        return None
    params = plan["params"] if plan else fit.range["params"][1]
    one_size = fit.range["params"][0] == fit.range["params"][1]
    flops = plan["flops"] if plan else None
    if flops is None:
        flops = TOKENS_PER_PARAM * params * flops_per_token_at(fit.flops_per_token, params)
    shares = dict.fromkeys(plan["specialize_tokens"] if plan else fit.domains, 1.0)
    if plan:
        given = plan.get("weights", shares)
        shares = {d: round(given[d] * len(shares), 6) for d in shares}
    content = {**law_data(fit), "file": law, "sizes": dict(sizes or {})}
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return {
        "flops": [math.log10(flops * factor) for factor in (BUDGETS[0], 1, BUDGETS[1])],
        "params": [
            math.log10(params * (1 if one_size else factor)) for factor in (SIZES[0], 1, SIZES[1])
        ],
        "trunk": plan.get("trunk", "shared") if plan else "shared",
        "domains": [*shares, *(d for d in fit.domains if d not in shares)],
        "weights": shares,
        "draws": sum(member["draws"] for member in content["law"]["members"]),
        # Without "<", the data cannot end the script element that contains them.
        "data": Markup(data.replace("<", "\\u003c")),
        "law": Markup(_script("law.js")),
        "planner": Markup(_script("planner.js")),
        "script": Markup(_script("explorer.js")),
    }


def _script(name: str) -> str:
    folder = resources.files("splitlaw.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def law_data(fit: FitResult) -> dict[str, Any]:
    """The law and the strategies as the page's scripts read them."""
    few, frame = fit.first(_draws_in_page(fit)), fit.frame
    return {
        "strategyNames": NAMES,
        "generalFractions": GENERAL_FRACTIONS,
        "domains": list(fit.domains),
        "range": {
            column: [end if math.isfinite(end) else None for end in ends]
            for column, ends in fit.range.items()
        },
        "flopsPerToken": {f"{n:.15g}": flops for n, flops in fit.flops_per_token.items()},
        "law": {
            "members": [_member(member) for member in few.members],
            "common": list(fit.members[0].mean.common),
            "unsplitLength": UNSPLIT_LENGTH,
            "frame": {
                "units": vars(frame.units),
                "tauPretrain": frame.tau_pretrain,
                "tauSpecialize": frame.tau_specialize,
                "repeats": list(frame.repeats),
                "unsplit": frame.unsplit,
                "replays": frame.replays,
                "centre": frame.centre.tolist(),
            },
        },
    }


def _draws_in_page(fit: FitResult) -> int:
    """Number of draws in a page: fewer than `DRAWS` where those would be larger than `BYTES`."""
    each = max(member.weights.size for member in fit.members) * np.float32().nbytes
    return min(fit.n_draws, DRAWS, max(LEAST_DRAWS, BYTES // max(each, 1)))


def _member(member: Member) -> dict[str, Any]:
    """A form and its numbers; arrays in base64, the mixtures of the draws in single precision."""
    mean, features, priors = member.mean, member.features, member.form.priors.values()
    return {
        "law": member.law,
        "weight": member.weight,
        "draws": member.draws,
        "source": javascript(member.form, mean.frame),
        "names": list(member.form.names),
        "logs": [prior.log for prior in priors],
        "vectors": _encoded(np.concatenate([member.vector[None], member.vectors])),
        "amplitude": member.kernel.amplitude,
        "unsplit": member.kernel.unsplit,
        "lengths": _encoded(member.kernel.lengths),
        "frequency": _encoded(features.frequency),
        "phase": _encoded(features.phase),
        "unsplitFrequency": _encoded(features.unsplit_frequency),
        "unsplitPhase": _encoded(features.unsplit_phase),
        "sites": _encoded(member.sites),
        "unsplitSites": _encoded(member.sites[member.zero > 0, :2]),
        "mean": _encoded(member.weights),
        "drawn": _encoded(member.drawn, np.float32),
    }


def _encoded(array: npt.NDArray[Any], kind: type = np.float64) -> str:
    """The bytes of an array in base64, rows after one another."""
    ordered = np.ascontiguousarray(array, dtype=np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(ordered.tobytes()).decode("ascii")
