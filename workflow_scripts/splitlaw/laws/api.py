"""From a table of losses to a law, in one call."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.laws.bootstrap import bootstrap as draw
from splitlaw.laws.fit import Estimate
from splitlaw.laws.holdout import Errors, kind_of, measure, rows_of
from splitlaw.laws.points import Array
from splitlaw.laws.read import read_table
from splitlaw.laws.repeat import repetition_constant
from splitlaw.laws.result import FitResult, Member
from splitlaw.laws.select import Candidate, candidates, near_best, stand_ins
from splitlaw.laws.table import Table
from splitlaw.laws.warn import bias_warnings, fit_warnings

DRAWS = 300
"""Draws of the parameters: 15 lie beyond each end of a 90% interval."""


def fit_table(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    law: str | Sequence[str] = "auto",
    share: str = "auto",
    bootstrap: int = DRAWS,
    seed: int = 0,
    min_tokens_per_param: float = 0.0,
    repetitions: float | None = None,
    drop_invalid: bool = False,
    trajectories: bool = False,
) -> FitResult:
    """Fit a scaling law to a table of losses; `splitlaw.fit_law` describes the parameters.

    `bootstrap` is its `draws`: how often the clusters of the table are drawn with replacement.
    """
    reading = read_table(
        table,
        min_tokens_per_param=min_tokens_per_param,
        drop_invalid=drop_invalid,
        trajectories=trajectories,
    )
    if bootstrap < 0:
        raise UserError(f"draws is {bootstrap}; give 0 or more draws")
    worth = repetition_constant(reading.fit, repetitions)
    fit = replace(reading.fit, repetitions=worth)
    apart = reading.holdout and replace(reading.holdout, repetitions=worth)
    found, notes = candidates(fit, law, share)
    chosen = near_best(found)
    rng = np.random.default_rng(seed)
    drawn = [_draw(c.estimate, fit, bootstrap, rng) for c in chosen]
    corners = stand_ins(found, chosen)
    holdout = _holdout(chosen, corners, fit, apart)
    notes += _corner_notes(chosen)
    warnings = reading.notes + notes + fit_warnings(chosen, drawn, fit) + bias_warnings(holdout)
    first = chosen[0]
    return FitResult(
        domains=fit.domains,
        members=tuple(_member(c, d, 1 / len(chosen)) for c, d in zip(chosen, drawn, strict=True)),
        others=tuple(_member(c, None, 0.0) for c in found if not _among(c, chosen)),
        stand_ins=tuple(_member(c, _draw(c.estimate, fit, bootstrap, rng), 0.0) for c in corners),
        counts=tuple(np.bincount(fit.domain).tolist()),
        objective=first.estimate.objective,
        converged=first.estimate.converged,
        warnings=tuple(warnings),
        holdout=tuple(holdout),
        candidates=tuple(_described(c, chosen) for c in found),
        reference=_reference(first.estimate, fit.domains),
        flops_per_token=fit.flops_per_token,
        range=_range(fit),
        repetitions=worth,
        seed=seed,
        left_out=tuple(reading.left_out),
    )


def _corner_notes(chosen: list[Candidate]) -> list[str]:
    infinite = [c.form.name for c in chosen if not c.form.finite]
    if not infinite:
        return []
    return [
        f"{', '.join(infinite)} is infinite at D = 0 or D' = 0: predictions there are those of the "
        "best law that is finite, and plans avoid these points."
    ]


def _among(candidate: Candidate, chosen: list[Candidate]) -> bool:
    return any(candidate is c for c in chosen)


def _reference(estimate: Estimate, domains: tuple[str, ...]) -> dict[str, Any]:
    """Values of the linear terms, and of kappa, at the geometric mean of the table."""
    units, form = estimate.units, estimate.form
    terms: dict[str, dict[str, float]] = {}
    for k, domain in enumerate(domains):
        values = dict(zip(form.names, estimate.values[k], strict=True))
        terms[domain] = {name: float(values[name] * units.loss) for name in form.linear}
        if "kappa" in values:
            terms[domain]["tokens_per_general_token"] = float(np.exp(values["kappa"]))
    return {"params": units.params, "tokens": units.tokens, "domains": terms}


def in_user_scale(estimate: Estimate, values: Array) -> Array:
    """Parameters [..., domains, names] in the user's scale, the form's `logs` as logarithms."""
    form = estimate.form
    named = dict(zip(form.names, np.moveaxis(values, -1, 0), strict=True))
    scaled = form.rescale(named, estimate.units)
    stored = [np.log(scaled[n]) if n in form.logs else scaled[n] for n in form.names]
    return np.stack(np.broadcast_arrays(*stored), axis=-1)


def _member(candidate: Candidate, drawn: Array | None, weight: float) -> Member:
    estimate = candidate.estimate
    draws = np.zeros((0, *estimate.values.shape)) if drawn is None else drawn
    return Member(
        law=estimate.form.name,
        sharing=candidate.sharing,
        weight=weight,
        values=in_user_scale(estimate, estimate.values),
        draws=in_user_scale(estimate, draws),
    )


def _draw(estimate: Estimate, table: Table, draws: int, rng: np.random.Generator) -> Array:
    """Parameters of each draw [draws, domains, names] in the units of the fit."""
    if draws == 0:
        return np.zeros((0, *estimate.values.shape))
    return draw(estimate, table, draws, rng)


def _mean(parts: list[Errors]) -> Errors:
    """Errors of the mean of several candidates' predictions of the same rows."""
    first = parts[0]
    predicted = np.mean([part.predicted for part in parts], axis=0)
    return Errors(first.kind, first.domain, first.cluster, first.loss, predicted)


def _finite(errors: Errors, corners: list[Candidate], rows: Table) -> Errors:
    """The errors, with predictions of `corners` where there are none, as in `FitResult.predict`."""
    for corner in corners:
        none = ~np.isfinite(errors.predicted)
        if none.any():
            other = measure(corner.estimate, rows, errors.kind).predicted
            errors = replace(errors, predicted=np.where(none, other, errors.predicted))
    return errors


def _holdout(
    chosen: list[Candidate], corners: list[Candidate], fit: Table, apart: Table | None
) -> list[dict[str, Any]]:
    """Errors of the combined prediction; rows that the user held out come first in their kind."""
    entries, given = [], None
    if apart is not None:
        given = kind_of(apart, fit)
        marked = [measure(c.estimate, apart, given) for c in chosen]
        entries += rows_of(_finite(_mean(marked), corners, apart), fit.domains, "split column")
    for parts in zip(*(c.errors for c in chosen), strict=True):
        if parts[0].kind != given:
            entries += rows_of(_mean(list(parts)), fit.domains, "made within the fit")
    return entries


def _described(candidate: Candidate, chosen: list[Candidate]) -> dict[str, Any]:
    measured = not np.isnan(candidate.mre)
    return {
        "law": candidate.form.name,
        "objective": candidate.estimate.objective,
        "holdout_mre": candidate.mre if measured else None,
        "n_parameters": candidate.estimate.layout.free,
        "sharing": candidate.sharing,
        "standard_error": candidate.standard_error if measured else None,
        "within_one_standard_error": _among(candidate, chosen),
        "holdouts": {e.kind: float(np.abs(e.relative).mean()) for e in candidate.errors},
        "bias": {e.kind: float(e.relative.mean()) for e in candidate.errors},
    }


def _range(table: Table) -> dict[str, tuple[float, float]]:
    columns = {
        "params": table.params,
        "pretrain_tokens": table.pretrain,
        "specialize_tokens": table.specialize,
        "loss": table.loss,
    }
    return {name: (float(v.min()), float(v.max())) for name, v in columns.items()}
