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
import pandas as pd
from markupsafe import Markup

from splitlaw import __version__
from splitlaw.common.files import write_text
from splitlaw.experiment.strategies import GENERAL_FRACTIONS, NAMES, REPLAY_SHARES
from splitlaw.laws import FitResult, Member
from splitlaw.laws.functions import HIGHEST
from splitlaw.laws.kernel import UNSPLIT_LENGTH
from splitlaw.laws.log_loss import javascript
from splitlaw.laws.rows import REPLAY_SCALE
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.report.number_format import count, listing, percent, power
from splitlaw.report.page import render
from splitlaw.report.planned import planned_numbers
from splitlaw.report.table import Table
from splitlaw.report.tables_law import holdout_table

DRAWS = 40
"""Draws in a page, over all forms together: two are beyond each end of a 90% interval."""

BYTES = 900_000
"""Size of the mixtures of these draws, above which a page has fewer; in base64 they take a third
more, and a page is to be smaller than 2 MB."""

LEAST_DRAWS = 10
"""Draws in a page for any number of domains."""

MOST_RUNS = 10
"""Next runs in a page."""

SAME_REGRET = 0.01
"""Relative difference of the expected regrets of one plan: `choose_split` and `next_runs` compute
them with different accuracy. They are shown with two digits."""

TOKENS_PER_PARAM = 20
"""Initial budget without a plan: the compute-optimal ratio of Hoffmann et al. 2022."""

BUDGETS = (1 / 30, 300)
SIZES = (1 / 2, 30)
"""Range of the sliders as factors of the plan: from the budgets and sizes of the grid to well above
those of the plan."""

SCRIPTS = ("law", "planner", "replay", "controls", "figures", "explorer")
"""The scripts of the explorer; each uses those before it."""


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
    next_runs: pd.DataFrame | None = None,
) -> None:
    """Write the explorer of a fitted law; its initial setting is `plan` if there is one.

    `law` is the path of the fit in the command that the page shows; `sizes` are the parameters of
    the named sizes; `next_runs` are those for `plan`, where they have been chosen.
    """
    content = {
        "explorer": explorer(fit, plan, law=law, sizes=sizes, next_runs=next_runs),
        "knows_split": knows_split(fit),
        "explorer_heading": "h1",
        "explorer_title": "The optimal split of a budget",
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
    next_runs: pd.DataFrame | None = None,
) -> dict[str, Any] | None:
    """Values for the controls and the scripts of the explorer; None where it has no results.

    That is a law that knows no split, and a plan with replay and limits on unique tokens.
    """
    repeated = plan is not None and plan.get("replay") is not None and plan.get("unique_tokens")
    if repeated or not knows_split(fit):
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
    content["reference"] = base_general_loss(fit, plan)
    # The page has no draws of the general loss: it takes the margins of the plan, or none.
    rise = (plan or {}).get("general_loss_rise") or {}
    content["planned"] = planned_numbers(plan)
    content["margins"], content["confidence"] = rise.get("margins"), rise.get("confidence", 0.5)
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return {
        "flops": [math.log10(flops * factor) for factor in (BUDGETS[0], 1, BUDGETS[1])],
        "params": [
            math.log10(params * (1 if one_size else factor)) for factor in (SIZES[0], 1, SIZES[1])
        ],
        "trunk": plan.get("trunk", "shared") if plan else "shared",
        "domains": [*shares, *(d for d in fit.domains if d not in shares)],
        "weights": {name: f"{weight:.6g}" for name, weight in shares.items()},
        "draws": sum(member["draws"] for member in content["law"]["members"]),
        **_replay_controls(fit, plan),
        "chooses_runs": fit.base is None and fit.n_draws > 1,
        "next_runs": next_runs_table(next_runs, plan),
        # Without "<", the data cannot end the script element that contains them.
        "data": Markup(data.replace("<", "\\u003c")),
        "scripts": [Markup(_script(f"{name}.js")) for name in SCRIPTS],
    }


def _replay_controls(fit: FitResult, plan: Mapping[str, Any] | None) -> dict[str, Any]:
    """Which controls of replay and of repeated text there are, with their initial values."""
    rise = (plan or {}).get("general_loss_rise") or {}
    limit, planned = rise.get("limit"), (plan or {}).get("replay")
    shares = dict.fromkeys(fit.domains, 0.0) if planned is None else planned
    # Plans of earlier versions with a limit have chosen all shares.
    free = (plan or {}).get("replay_free", () if limit is None else shares)
    return {
        "base": fit.base is not None,
        "limited": fit.general_after is not None,
        "confidence": percent(rise.get("confidence", 0.5), 0) if rise.get("margins") else "",
        "limit": "" if limit is None else f"{100 * limit:.6g}",
        "replays": fit.frame.replays,
        "replay": {d: f"{100 * r:.6g}" for d, r in shares.items() if d not in free},
        "repeats": fit.base is None,
        "unique": {
            name: f"{tokens:.15g}" for name, tokens in (plan or {}).get("unique_tokens", {}).items()
        },
    }


def base_general_loss(fit: FitResult, plan: Mapping[str, Any] | None) -> float | None:
    """Measured general loss of the base from which a plan counts rises; None if it is the law's.

    Without a base, rises are counted from a general run of the whole budget.
    """
    rise, after = (plan or {}).get("general_loss_rise"), fit.general_after
    if plan is None or not rise or fit.base is None or after is None:
        return None
    start = fit.base if isinstance(fit.base, float | int) else 0.0
    columns = np.array([after.domains.index(name) for name in plan["specialize_tokens"]])
    of_law = after.without_draws.losses(plan["params"], start, 0.0, columns).mean()
    return None if np.isclose(of_law, rise["reference"], rtol=1e-9) else rise["reference"]


def next_runs_table(runs: pd.DataFrame | None, plan: Mapping[str, Any] | None) -> Table | None:
    """The first runs that `next_runs` chose, and whether it chose them for `plan`.

    The table of runs has no budget; the expected regret before its runs is that of its plan.
    """
    if runs is None or runs.empty:
        return None
    rows = [
        [
            str(number),
            row.domain,
            count(row.params),
            count(row.pretrain_tokens),
            count(row.specialize_tokens),
            power(row.flops),
            f"{row.expected_regret_after:.2g}",
        ]
        for number, row in enumerate(runs.head(MOST_RUNS).itertuples(), start=1)
    ]
    before, regret = runs["expected_regret_before"].iloc[0], (plan or {}).get("expected_regret")
    if plan is None:
        which = "For the plan that next_runs was run for, whatever the settings here."
    elif regret is not None and math.isclose(before, regret, rel_tol=SAME_REGRET):
        which = f"For the plan of {power(plan['flops'])} FLOPs, not for other settings."
    else:
        which = "For another plan than that of this page; run next_runs again for this one."
    return Table(
        title="Runs that reduce the expected regret most for their cost",
        head=[
            "Run",
            "Domain",
            "Parameters",
            "General tokens",
            "Domain tokens",
            "FLOPs",
            "Expected regret",
        ],
        rows=rows,
        note=f"{which} The expected regret is {before:.2g} nats per token before these runs; each "
        "row has that after its run and those above it.",
    )


def _script(name: str) -> str:
    folder = resources.files("splitlaw.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def law_data(fit: FitResult) -> dict[str, Any]:
    """The law and the strategies as the page's scripts read them."""
    after = fit.general_after
    return {
        "strategyNames": NAMES,
        "generalFractions": GENERAL_FRACTIONS,
        "replayShares": REPLAY_SHARES,
        "range": {
            column: [end if math.isfinite(end) else None for end in ends]
            for column, ends in fit.range.items()
        },
        "flopsPerToken": {f"{n:.15g}": flops for n, flops in fit.flops_per_token.items()},
        "base": fit.base is not None,
        "start": fit.base if isinstance(fit.base, float | int) else 0,
        "mostReplay": fit.range.get("replay", (0.0, 0.0))[1],
        **_law(fit.first(_draws_in_page(fit))),
        "general": None if after is None else _law(after.without_draws),
    }


def _law(fit: FitResult) -> dict[str, Any]:
    frame = fit.frame
    return {
        "domains": list(fit.domains),
        "law": {
            "members": [_member(member) for member in fit.members],
            "common": list(fit.members[0].mean.common),
            "unsplitLength": UNSPLIT_LENGTH,
            "frame": {
                "units": vars(frame.units),
                "tauPretrain": frame.tau_pretrain,
                "tauSpecialize": frame.tau_specialize,
                "repeats": list(frame.repeats),
                "unsplit": frame.unsplit,
                "replays": frame.replays,
                "replayScale": REPLAY_SCALE,
                "centre": frame.centre.tolist(),
                "highest": HIGHEST,
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
