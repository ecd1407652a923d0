"""What a user should know of a fit before trusting it, in plain words."""

import numpy as np

from splitlaw.laws.fit import Estimate
from splitlaw.laws.result import Member
from splitlaw.laws.select import Candidate
from splitlaw.laws.table import Table


def fit_warnings(chosen: list[Candidate], members: tuple[Member, ...], table: Table) -> list[str]:
    """Plain sentences on convergence, bounds, weak parameters and what intervals leave out."""
    notes = []
    for candidate in chosen:
        estimate = candidate.estimate
        if not estimate.converged:
            notes.append(f"The fit of {estimate.form.name} did not converge: do not rely on it.")
        notes += _at_bounds(estimate, table.domains)
    return notes


def _at_bounds(estimate: Estimate, domains: tuple[str, ...]) -> list[str]:
    low, high = (estimate.layout.by_domain(b[None])[0] for b in estimate.layout.bounds)
    at = (low < high) & ((estimate.values <= low) | (estimate.values >= high))
    notes = []
    for j, name in enumerate(estimate.form.names):
        where = [domains[k] for k in np.flatnonzero(at[:, j])]
        if where:
            notes.append(
                f"{estimate.form.name}: {name} ended at a bound for {', '.join(where)}; the "
                "table does not tell its value."
            )
    return notes
