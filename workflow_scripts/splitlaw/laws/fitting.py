"""The fit of one law to one table, of the domains or of the general loss of specialists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from splitlaw.common.errors import UserError
from splitlaw.laws.classical import Estimate, fit_classical, huber
from splitlaw.laws.draw import draw_member
from splitlaw.laws.form import FORMS, Form
from splitlaw.laws.holdout import (
    KINDS,
    Block,
    counts_of_draws,
    error_entries,
    kinds_of,
    left_out_blocks,
    predict_block,
    predict_rows,
    stacking_weights,
)
from splitlaw.laws.member import Member
from splitlaw.laws.plain import plain_member
from splitlaw.laws.points import Array
from splitlaw.laws.posterior import Posterior, fit_posterior
from splitlaw.laws.result import FitResult
from splitlaw.laws.rows import Rows, make_frame, make_rows
from splitlaw.laws.table import Table
from splitlaw.laws.warn import bias_warnings, draw_warnings, fit_warnings, table_warnings

Report = Callable[[int, int], None]
"""Called with the number of finished steps of a fit and of all its steps."""


@dataclass(frozen=True)
class Settings:
    """The arguments of a fit that hold for both laws."""

    discrepancy: str
    draws: int
    seed: int
    base: float | str | None
    """Tokens of the base, `unknown`, or None without one."""
    base_prior: float
    """Prior median of the tokens of a base that D does not count, otherwise 0."""
    cooldown: float | None = None
    """Part of a run over which its learning rate falls to 0, where it is known."""
    general: bool = False
    """Whether the losses are the general ones of specialists."""

    @property
    def start(self) -> float | None:
        """Tokens of the base that D counts; None without a base."""
        if self.base is None:
            return None
        return 0.0 if isinstance(self.base, str) else self.base


def fit_one(
    table: Table,
    holdout: Table | None,
    forms: Sequence[Form],
    settings: Settings,
    report: Report,
) -> FitResult:
    """The law of one table: of the domains' losses, or of the general loss after specialising."""
    fit, notes = _usable(table, forms, settings.base_prior)
    rows = make_rows(fit, make_frame(fit, settings.base_prior, settings.start, settings.cooldown))
    task = _Task(fit, rows, holdout, settings.draws, settings.seed, report)
    classical = settings.discrepancy == "none"
    # The matrices of a fit are small: with two threads, BLAS takes two to five times as long.
    with threadpool_limits(1, user_api="blas"):
        found = _classical(task, forms) if classical else _probabilistic(task, forms)
    about = table_warnings(fit, rows, classical=classical, general=settings.general)
    warnings = [*notes, *about, *draw_warnings(settings.draws), *found.pop("warnings")]
    return FitResult(
        domains=fit.domains,
        counts=tuple(np.bincount(fit.domain, minlength=len(fit.domains)).tolist()),
        warnings=tuple(warnings),
        flops_per_token=fit.flops_per_token,
        range=_range(fit),
        seed=settings.seed,
        base=settings.base,
        **found,
    )


@dataclass(frozen=True)
class _Task:
    """A table to fit, and how."""

    table: Table
    rows: Rows
    """The rows of the table, prepared for the fit."""
    holdout: Table | None
    """Rows that the user held out."""
    draws: int
    seed: int
    report: Report

    def rng(self) -> np.random.Generator:
        """A generator of random numbers, the same each time."""
        return np.random.default_rng(self.seed)


def _usable(table: Table, forms: Sequence[Form], base: float) -> tuple[Table, list[str]]:
    """The rows on which every form is finite, and a note about the others."""
    pretrain = table.pretrain + base
    usable = np.logical_and.reduce([f.usable(pretrain, table.specialize) for f in forms])
    if usable.all():
        return table, []
    names = ", ".join(form.name for form in forms if not form.finite)
    kept = table.take(usable)
    if len(np.unique(kept.domain)) < len(table.domains):
        raise UserError(
            f"{names} is infinite at D = 0 or D' = 0, and a domain has no other rows; choose a law "
            f"that is finite there: {', '.join(n for n, f in FORMS.items() if f.finite)}"
        )
    note = (
        f"{names} is infinite at D = 0 or D' = 0: {(~usable).sum()} of {len(table)} rows are left "
        "out, and plans avoid these points."
    )
    return kept, [note]


def _probabilistic(task: _Task, forms: Sequence[Form]) -> dict[str, Any]:
    """Fit every form with its discrepancy, weigh them on left-out blocks, and draw functions."""
    posteriors, blocks = _fit_forms(task, forms)
    weights = stacking_weights(blocks, len(forms))
    counts, rng = counts_of_draws(weights, task.draws), task.rng()
    members = [
        draw_member(p, float(w), int(c), rng)
        for p, w, c in zip(posteriors, weights, counts, strict=True)
    ]
    order = np.argsort(-weights, kind="stable")
    first = posteriors[order[0]]
    entries = [e for b in blocks if b.kind in KINDS for e in b.errors(weights)]
    entries = _given_holdout(task, members) + entries
    return {
        "members": tuple(members[i] for i in order),
        "objective": huber(_residual(first)),
        "converged": all(p.converged for p in posteriors),
        "warnings": fit_warnings([posteriors[i] for i in order], task.table)
        + bias_warnings(entries),
        "holdout": tuple(entries),
        "candidates": tuple(
            _candidate(posteriors[i], blocks, int(i), float(weights[i])) for i in order
        ),
        "identified": {
            "trunk_sd": task.rows.trunk_identified,
            "row_sd": len(task.rows) > 2 * first.mean.size,
        },
    }


def _fit_forms(task: _Task, forms: Sequence[Form]) -> tuple[list[Posterior], list[Block]]:
    """Every form fitted to all rows, and the left-out blocks as predicted from the others."""
    kinds = left_out_blocks(task.table)
    steps = len(forms) + len(kinds)
    posteriors: list[Posterior] = []
    for form in forms:
        posteriors.append(fit_posterior(form, task.rows))
        task.report(len(posteriors), steps)
    blocks = []
    for number, (kind, rows) in enumerate(kinds.items(), start=1):
        blocks.append(predict_block(kind, task.table, rows, posteriors, task.seed))
        task.report(len(forms) + number, steps)
    return posteriors, blocks


def _residual(posterior: Posterior) -> Array:
    rows = posterior.rows
    return posterior.mean.evaluate(posterior.vector, rows.x, rows.domain) - rows.y


def _candidate(
    posterior: Posterior, blocks: Sequence[Block], number: int, weight: float
) -> dict[str, Any]:
    errors = [
        np.abs(b.predictions[number].loss / b.rows.loss - 1).mean()
        for b in blocks
        if b.kind in KINDS
    ]
    density = [b.predictions[number].log_density for b in blocks]
    return {
        "law": posterior.form.name,
        "weight": weight,
        "objective": huber(_residual(posterior)),
        "holdout_mre": float(np.mean(errors)) if errors else None,
        "log_predictive_density": float(np.sum(density)) if density else None,
        "n_parameters": posterior.mean.domains * len(posterior.form.names),
    }


def _given_holdout(task: _Task, members: Sequence[Member]) -> list[dict[str, Any]]:
    """Errors on the rows that the user held out."""
    if task.holdout is None:
        return []
    table = task.holdout
    pretrain = table.pretrain + task.rows.frame.base
    usable = np.logical_and.reduce([m.form.usable(pretrain, table.specialize) for m in members])
    if not usable.any():
        return []
    table = table.take(usable)
    predictions = [predict_rows(m, table, task.seed, 0.0) for m in members]
    weights = np.array([m.weight for m in members])
    return [
        entry
        for kind, rows in kinds_of(table, task.table).items()
        for entry in error_entries(
            kind, table.take(rows), [p.take(rows) for p in predictions], weights, "split column"
        )
    ]


def _classical(task: _Task, forms: Sequence[Form]) -> dict[str, Any]:
    """Fit every form without a discrepancy; the one with the lowest objective predicts."""
    estimates: list[Estimate] = []
    for form in forms:
        estimates.append(fit_classical(form, task.rows, task.rng()))
        task.report(len(estimates), len(forms))
    best = min(estimates, key=lambda estimate: estimate.objective)
    root = np.linalg.cholesky(best.covariance)
    drawn = task.rng().standard_normal((task.draws, best.mean.size)) @ root.T
    member = plain_member(best.mean, best.vector, best.vector + drawn, row_sd=best.row_sd)
    warnings = [
        "There is no discrepancy: intervals hold only if the form of the law is exact, and cover "
        "too few losses where it is not."
    ]
    if not best.converged:
        warnings.insert(0, f"The fit of {best.mean.form.name} did not converge: do not rely on it.")
    return {
        "members": (member,),
        "objective": best.objective,
        "converged": best.converged,
        "warnings": warnings,
        "holdout": tuple(_given_holdout(task, [member])),
        "candidates": tuple(_classical_candidate(e, best=e is best) for e in estimates),
        "identified": {"trunk_sd": False, "row_sd": True},
    }


def _classical_candidate(estimate: Estimate, *, best: bool) -> dict[str, Any]:
    return {
        "law": estimate.mean.form.name,
        "weight": 1.0 if best else 0.0,
        "objective": estimate.objective,
        "holdout_mre": None,
        "log_predictive_density": None,
        "n_parameters": estimate.mean.domains * len(estimate.mean.form.names),
    }


def _range(table: Table) -> dict[str, tuple[float, float]]:
    again = table.specialize / np.maximum(table.unique_specialize, 1)
    columns = {
        "params": table.params,
        "pretrain_tokens": table.pretrain,
        "specialize_tokens": table.specialize,
        "loss": table.loss,
        "passes": np.maximum(again, 1.0),
    }
    if (table.replay > 0).any():
        columns["replay"] = table.replay
    return {name: (float(v.min()), float(v.max())) for name, v in columns.items()}
