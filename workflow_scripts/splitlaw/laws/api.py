"""From a table of losses to a law, in one call."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.laws.bootstrap import bootstrap as draw
from splitlaw.laws.fit import Estimate
from splitlaw.laws.holdout import Errors, kind_of, measure, rows_of
from splitlaw.laws.points import Array
from splitlaw.laws.repetition import REPETITIONS
from splitlaw.laws.result import FitResult, Member
from splitlaw.laws.select import Candidate, candidates, choose
from splitlaw.laws.table import Table, read_table
from splitlaw.laws.warn import fit_warnings

DRAWS = 300


def fit_table(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    law: str | Sequence[str] = "auto",
    share: str = "auto",
    bootstrap: int = DRAWS,
    seed: int = 0,
    min_tokens_per_param: float = 0.0,
    repetitions: float = REPETITIONS,
) -> FitResult:
    """Fit a law to a table of losses.

    `table` is a CSV file or a frame with `params`, `pretrain_tokens`, `specialize_tokens`,
    `domain`, `loss` (nats per token). `law` is a form's name, several that compete,
    or `auto` for all: the one that predicts best what is held out is chosen. `share` says which
    exponents the domains have in common:
    `none`, `size` (those of N), `exponents` (all), or `auto` for what predicts best.
    `bootstrap` draws, seeded by `seed`, give the 90% intervals.

    Raises `UserError` for a table that cannot be used.

    >>> fit = fit_table("losses.csv")                                    # doctest: +SKIP
    >>> fit.params, fit.conf_int(), fit.predict(points)                  # doctest: +SKIP
    """
    reading = read_table(table, min_tokens_per_param=min_tokens_per_param, repetitions=repetitions)
    found, notes = candidates(reading.fit, law, share)
    chosen = choose(found)
    rng = np.random.default_rng(seed)
    members = tuple(_member(c, reading.fit, bootstrap, rng, 1 / len(chosen)) for c in chosen)
    first = chosen[0]
    return FitResult(
        domains=reading.fit.domains,
        members=members,
        counts=tuple(np.bincount(reading.fit.domain).tolist()),
        objective=first.estimate.objective,
        converged=first.estimate.converged,
        warnings=tuple(reading.notes + notes + fit_warnings(chosen, members, reading.fit)),
        holdout=tuple(_holdout(chosen, reading.fit, reading.holdout)),
        candidates=tuple(_tell(c, chosen) for c in found),
        flops_per_token=reading.fit.flops_per_token,
        range=_range(reading.fit),
        repetitions=repetitions,
        seed=seed,
    )


def in_user_scale(estimate: Estimate, values: Array) -> Array:
    """Parameters [..., domains, names] from the units of the fit, kappa as its logarithm."""
    form = estimate.form
    named = dict(zip(form.names, np.moveaxis(values, -1, 0), strict=True))
    told = form.rescale(named, estimate.units)
    held = [np.log(told[n]) if n == "kappa" else told[n] for n in form.names]
    return np.stack(np.broadcast_arrays(*held), axis=-1)


def _member(
    candidate: Candidate, table: Table, draws: int, rng: np.random.Generator, weight: float
) -> Member:
    estimate = candidate.estimate
    drawn = bootstrap_values(estimate, table, draws, rng)
    return Member(
        law=estimate.form.name,
        sharing=candidate.sharing,
        weight=weight,
        values=in_user_scale(estimate, estimate.values),
        draws=in_user_scale(estimate, drawn),
    )


def bootstrap_values(
    estimate: Estimate, table: Table, draws: int, rng: np.random.Generator
) -> Array:
    """Parameters of each draw [draws, domains, names] in the units of the fit."""
    if draws == 0:
        return np.zeros((0, *estimate.values.shape))
    return draw(estimate, table, draws, rng)


def _mean(parts: list[Errors]) -> Errors:
    """Errors of the mean of several candidates' predictions of the same rows."""
    first = parts[0]
    predicted = np.mean([part.predicted for part in parts], axis=0)
    return Errors(first.kind, first.domain, first.cluster, first.loss, predicted)


def _holdout(chosen: list[Candidate], fit: Table, apart: Table | None) -> list[dict[str, Any]]:
    """What the fit as a whole predicts: rows set apart by the user stand first in their kind."""
    entries, given = [], None
    if apart is not None:
        given = kind_of(apart, fit)
        marked = [measure(c.estimate, apart, given) for c in chosen]
        entries += rows_of(_mean(marked), fit.domains, "split column")
    for parts in zip(*(c.errors for c in chosen), strict=True):
        if parts[0].kind != given:
            entries += rows_of(_mean(list(parts)), fit.domains, "made within the fit")
    return entries


def _tell(candidate: Candidate, chosen: list[Candidate]) -> dict[str, Any]:
    measured = not np.isnan(candidate.mre)
    return {
        "law": candidate.form.name,
        "objective": candidate.estimate.objective,
        "holdout_mre": candidate.mre if measured else None,
        "n_parameters": candidate.estimate.layout.free,
        "sharing": candidate.sharing,
        "standard_error": candidate.standard_error if measured else None,
        "within_one_standard_error": any(candidate is c for c in chosen),
        "holdouts": {e.kind: float(np.abs(e.relative).mean()) for e in candidate.errors},
        "bias": {e.kind: float(e.relative.mean()) for e in candidate.errors},
    }


def _range(table: Table) -> dict[str, tuple[float, float]]:
    columns = {
        "params": table.params,
        "pretrain_tokens": table.general,
        "specialize_tokens": table.special,
        "loss": table.loss,
    }
    return {name: (float(v.min()), float(v.max())) for name, v in columns.items()}
