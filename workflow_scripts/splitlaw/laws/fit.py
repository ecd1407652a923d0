"""The fit of one form: search, least squares, then the polish of the true objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.laws.form import Form
from splitlaw.laws.minimise import Minimum, minimise
from splitlaw.laws.points import Array, Indices, Points, Units
from splitlaw.laws.problem import Layout, Problem
from splitlaw.laws.search import find_starts, start_from
from splitlaw.laws.table import Table

TOLERANCE = 1e-10
"""Decrease, relative to the objective, below which a fit is done."""

NOISELESS = 1e-6
"""Objective below which a fit is as good as exact: residuals of a tenth of Huber's delta."""

ROUGH = 1e-4
ROUGH_STEPS = 60
FINALISTS = 3
SMOOTH = 0.05
"""Huber's delta of the first descent: near least squares, which has fewer valleys."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard a fit looks for the optimum."""

    samples: int = 512
    """Draws of the nonlinear parameters."""

    starts: int = 12
    """How many of them are descended from."""

    tolerance: float = TOLERANCE


QUICK = Effort(samples=256, starts=6, tolerance=1e-7)
"""For fits of which there are many: each of the hold-outs."""

SHARINGS = ("none", "size", "exponents")
"""Which exponents the domains share: none, those of N (alpha, delta), or all."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One form, fitted to one table."""

    layout: Layout
    units: Units
    vector: Array
    """Parameters in the units of the fit [size]."""

    objective: float
    """Sum over rows of Huber (delta 1e-3) on log loss."""

    converged: bool

    @property
    def form(self) -> Form:
        """The form that was fitted."""
        return self.layout.form

    @cached_property
    def values(self) -> Array:
        """Parameters in the units of the fit [domains, names]."""
        return self.layout.by_domain(self.vector[None])[0]

    def predict(self, x: Points, domain: Indices) -> Array:
        """Losses at points in the units of the fit, each of its domain's number."""
        return evaluate(self.form, self.values[domain], x) * self.units.loss


def evaluate(form: Form, values: Array, x: Points) -> Array:
    """Losses for parameters [..., names] at points [...], both in the same units.

    Infinite where the form has no value, at D = 0 or D' = 0.
    """
    named = dict(zip(form.names, np.moveaxis(values, -1, 0), strict=True))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        terms = form.terms(named, x)
        total = sum(named[n] * t for n, t in zip(form.linear, terms, strict=True))
    return np.where(form.usable(x.pretrain, x.specialize), total, np.inf)


def shared_names(form: Form, sharing: str) -> frozenset[str]:
    """The parameters of `form` that domains have in common under a sharing."""
    if sharing == "size":
        return form.size_only - {"A"}
    return form.exponents if sharing == "exponents" else frozenset()


def layout_for(form: Form, table: Table, sharing: str = "none") -> Layout:
    """The parameters that `table` can tell."""
    dropped = form.size_only if len(table.sizes) == 1 else frozenset()
    shared = shared_names(form, sharing) if len(table.domains) > 1 else frozenset()
    return Layout(form, len(table.domains), shared, dropped)


def require_rows(layout: Layout, table: Table) -> None:
    """Refuse a table with a domain that has fewer rows than its own parameters."""
    need = layout.free_per_domain
    counts = np.bincount(table.domain, minlength=len(table.domains))
    for name, count in zip(table.domains, counts, strict=True):
        if count < need:
            raise UserError(
                f"domain {name}: {count} rows for the law {layout.form.name}, which requires at "
                f"least {need}; add rows or choose a law with fewer parameters"
            )


def descend(
    problem: Problem, starts: Array, weights: Array, *, tolerance: float = TOLERANCE
) -> Minimum:
    """From `starts` [b, size] to minima of the objective with row weights [b, n]."""
    hessian = problem.curvature(starts, weights)
    bounds = problem.layout.bounds
    objective = problem.objective(weights)
    return minimise(objective, starts, bounds, hessian, tolerance=tolerance, floor=NOISELESS)


def best_descent(problem: Problem, starts: Array, *, tolerance: float) -> Minimum:
    """The lowest minimum found from `starts` [b, size], as a batch of one.

    All starts first descend a smoother objective, then roughly the true one; the best few go
    on to the end.
    """
    bounds = problem.layout.bounds
    weights = np.ones((len(starts), len(problem.log_loss)))
    hessian = problem.curvature(starts, weights, SMOOTH)
    smooth = problem.objective(weights, SMOOTH)
    near = minimise(smooth, starts, bounds, hessian, tolerance=ROUGH, max_steps=ROUGH_STEPS)
    rough = descend(problem, near.x, weights, tolerance=ROUGH)
    few = np.argsort(rough.value)[:FINALISTS]
    end = descend(problem, rough.x[few], weights[few], tolerance=tolerance)
    best = np.array([np.argmin(end.value)])
    return Minimum(end.x[best], end.value[best], end.gradient[best], end.converged[best])


def fit_form(
    form: Form,
    table: Table,
    *,
    sharing: str = "none",
    units: Units | None = None,
    effort: Effort | None = None,
) -> Estimate:
    """Fit `form` to all rows of `table` that it is finite on.

    Domains that share nothing are fitted one by one. Raises `UserError` where a domain has too
    few rows.
    """
    fits = fit_sharings(form, table, [sharing], units=units, effort=effort)
    return fits[sharing]


def fit_sharings(
    form: Form,
    table: Table,
    sharings: Sequence[str],
    *,
    units: Units | None = None,
    effort: Effort | None = None,
) -> dict[str, Estimate]:
    """Fit `form` once for each of `sharings` that the rows suffice for.

    The fits with shared exponents also start from the one without. Raises `UserError` where a
    domain has too few rows for any of them.
    """
    table = table.take(form.usable(table.pretrain, table.specialize))
    units = units or table.units()
    effort = effort or Effort()
    layouts = {sharing: layout_for(form, table, sharing) for sharing in sharings}
    enough = {sharing: layout for sharing, layout in layouts.items() if _has_rows(layout, table)}
    if not enough:
        require_rows(min(layouts.values(), key=lambda layout: layout.free_per_domain), table)
    alone = layout_for(form, table, "none")
    apart = _fit_alone(alone, table, units, effort) if _has_rows(alone, table) else None
    return {
        sharing: apart
        if apart and not layout.shared
        else _fit_joint(layout, table, units, effort, apart)
        for sharing, layout in enough.items()
    }


def _has_rows(layout: Layout, table: Table) -> bool:
    counts = np.bincount(table.domain, minlength=layout.domains)
    return bool((counts >= layout.free_per_domain).all())


def _fit_alone(layout: Layout, table: Table, units: Units, effort: Effort) -> Estimate:
    """Every domain by itself, nothing shared."""
    single = Layout(layout.form, 1, frozenset(), layout.dropped)
    parts = [_fit_joint(single, table.only(k), units, effort) for k in range(layout.domains)]
    together = Layout(layout.form, layout.domains, frozenset(), layout.dropped)
    values = np.stack([part.values[0] for part in parts])
    return Estimate(
        layout=together,
        units=units,
        vector=together.vector(values[None])[0],
        objective=sum(part.objective for part in parts),
        converged=all(part.converged for part in parts),
    )


def _fit_joint(
    layout: Layout,
    table: Table,
    units: Units,
    effort: Effort,
    hint: Estimate | None = None,
) -> Estimate:
    problem = Problem(layout, table, units)
    x = find_starts(problem, keep=effort.starts, samples=effort.samples)
    if hint is not None:
        x = np.concatenate([start_from(problem, hint.values), x])
    end = best_descent(problem, x, tolerance=effort.tolerance)
    return Estimate(
        layout=layout,
        units=units,
        vector=end.x[0],
        objective=float(end.value[0]),
        converged=bool(end.converged[0]),
    )
