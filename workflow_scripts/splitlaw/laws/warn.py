"""Warnings about a fit, for users to read before they rely on it."""

from typing import Any

import numpy as np

from splitlaw.laws.fit import Estimate, Layout
from splitlaw.laws.points import Array, Indices
from splitlaw.laws.problem import Problem
from splitlaw.laws.result import interval
from splitlaw.laws.select import Candidate
from splitlaw.laws.table import Table

FACTOR = 5.0
"""Between the ends of an interval; beyond it a parameter is called weak."""

SINGULAR = 1e-7
"""Smallest eigenvalue of the scaled curvature below which parameters trade off freely."""

LOADING = 0.3
FEW_TOKENS = 5.0
"""Tokens per parameter under which runs are pre-asymptotic and spoil every form."""

BIAS = 0.01


def fit_warnings(chosen: list[Candidate], drawn: list[Array], table: Table) -> list[str]:
    """Sentences on convergence, bounds, weak parameters and the limits of the intervals.

    `drawn` holds each chosen candidate's draws [draws, domains, names] in units of the fit.
    """
    notes = _of_table(table)
    if not chosen[0].errors:
        notes.append("The table is too small to hold out rows: the prediction error is unknown.")
    for candidate, draws in zip(chosen, drawn, strict=True):
        estimate = candidate.estimate
        if not estimate.converged:
            notes.append(f"The fit of {estimate.form.name} did not converge: do not rely on it.")
        notes += _at_bounds(estimate, table.domains)
        notes += _traded(estimate, table)
        notes += _weak(estimate, draws, table.domains)
    if len(chosen) > 1:
        names = ", ".join(c.form.name for c in chosen)
        notes.append(f"The hold-outs do not distinguish {names}: predictions are their mean.")
    return notes


def _of_table(table: Table) -> list[str]:
    notes = []
    early = int((table.pretrain + table.specialize < FEW_TOKENS * table.params).sum())
    if early:
        notes.append(
            f"{early} of {len(table)} rows have fewer than {FEW_TOKENS:g} tokens per parameter; "
            f"such runs bias every law (--min-tokens-per-param {FEW_TOKENS:g} leaves them out)."
        )
    if len(table.sizes) == 2:
        notes.append(
            "Two sizes do not determine E, A and alpha: do not rely on predictions at other sizes."
        )
    if table.seeds == 1 and len(table.sizes) > 1:
        notes.append(
            "There is one seed per size: the intervals do not include the noise between seeds and "
            "are too narrow at sizes that were not measured."
        )
    return notes


def bias_warnings(holdout: list[dict[str, Any]]) -> list[str]:
    """A sentence for each domain and kind of hold-out that errs in one direction."""
    return [
        f"Held-out {h['kind']}, {h['domain']}: predictions are {abs(h['bias']):.1%} too "
        f"{'high' if h['bias'] > 0 else 'low'} on average."
        for h in holdout
        if abs(h["bias"]) > BIAS
    ]


def _at_bounds(estimate: Estimate, domains: tuple[str, ...]) -> list[str]:
    low, high = (estimate.layout.by_domain(b[None])[0] for b in estimate.layout.bounds)
    at = (low < high) & ((estimate.values <= low) | (estimate.values >= high))
    notes = []
    for j, name in enumerate(estimate.form.names):
        where = [domains[k] for k in np.flatnonzero(at[:, j])]
        if where:
            bound = "0" if name in estimate.form.linear else "the end of its range"
            notes.append(
                f"{estimate.form.name}: {name} ended at {bound} for {', '.join(where)}; the "
                "table does not determine its value."
            )
    return notes


def _traded(estimate: Estimate, table: Table) -> list[str]:
    """Parameters that can change together and leave the fit as it is."""
    layout = estimate.layout
    table = table.take(estimate.form.usable(table.pretrain, table.specialize))
    problem = Problem(layout, table, estimate.units)
    _, jacobian = problem.jacobian(estimate.vector[None])
    low, high = layout.by_domain(np.stack(layout.bounds))
    groups: dict[str, list[str]] = {}
    for k, domain in enumerate(table.domains):
        free = (low[k] < high[k]) & (estimate.values[k] > low[k])
        free &= estimate.values[k] < high[k]
        names = _null_names(jacobian[0][table.domain == k][:, free], _free_names(layout, free))
        if names:
            groups.setdefault(", ".join(names), []).append(domain)
    return [
        f"{estimate.form.name}, {', '.join(where)}: {names} can change together without changing "
        "the fit; do not interpret their values."
        for names, where in groups.items()
    ]


def _free_names(layout: Layout, free: Array) -> list[str]:
    return [name for name, is_free in zip(layout.form.names, free, strict=True) if is_free]


def _null_names(jacobian: Array, names: list[str]) -> list[str]:
    scale = np.linalg.norm(jacobian, axis=0)
    unused = [name for name, s in zip(names, scale, strict=True) if s == 0]
    if unused or len(names) < 2:
        return unused
    _, singular, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    if singular[-1] ** 2 > SINGULAR:
        return []
    return [n for n, load in zip(names, directions[-1], strict=True) if abs(load) > LOADING]


def _weak(estimate: Estimate, draws: Array, domains: tuple[str, ...]) -> list[str]:
    """Parameters whose interval at the middle of the table is wide."""
    if not len(draws):
        return []
    form = estimate.form
    low, high = interval(draws)
    positive = [j for j, n in enumerate(form.names) if n not in form.logs | {"delta"}]
    weak = np.zeros(low.shape, dtype=bool)
    weak[:, positive] = high[:, positive] > FACTOR * np.maximum(low[:, positive], 1e-9)
    logs = [j for j, n in enumerate(form.names) if n in form.logs]
    weak[:, logs] = high[:, logs] - low[:, logs] > np.log(FACTOR)
    names_of = {k: _names(form.names, np.flatnonzero(weak[k])) for k in range(len(domains))}
    groups: dict[str, list[str]] = {}
    for k, names in names_of.items():
        if names:
            groups.setdefault(names, []).append(domains[k])
    return [
        f"{form.name}, {', '.join(where)}: the table hardly determines {names} (the ends of the "
        f"interval at the middle of the table differ by a factor of {FACTOR:g} or more)."
        for names, where in groups.items()
    ]


def _names(names: tuple[str, ...], numbers: Indices) -> str:
    return ", ".join(names[j] for j in numbers)
