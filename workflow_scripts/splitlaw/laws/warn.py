"""Sentences that users should read before they rely on a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.column_notes import column_notes
from splitlaw.laws.points import Array, passes
from splitlaw.laws.posterior import Posterior
from splitlaw.laws.rows import Rows
from splitlaw.laws.sheet import MISSING
from splitlaw.laws.table import Table

FEW_TOKENS = 5.0
"""Tokens per parameter below which runs are pre-asymptotic: no form fits them well."""

BIAS = 0.01
"""Mean relative error of left-out rows in one direction that is worth a sentence."""

UNDETERMINED = 0.8
"""Ratio of the posterior standard deviation of a parameter to its prior one above which the value
comes from the prior."""

MOST_NAMED = 3
"""Outlying rows that are named; the others are counted."""

FEW_ADDED = 4
"""Values of D from which the tokens of a base follow: a floor, a term, its exponent, and they."""

FEW_ROWS = 8
"""Rows of a domain below which its parameters rely on the prior: fewer than a form has."""

LEAST_DRAWS = 20
"""Draws of which one is beyond each end of a 90% interval."""

RANGED = ("params", "pretrain_tokens", "specialize_tokens")
"""Columns of points whose range is compared with that of the fit."""

ROUNDING = 1e-6
"""A point that equals an end of the range to six digits is inside."""

BLOCKS = {
    "params": "largest sizes",
    "pretrain_tokens": "largest D",
    "specialize_tokens": "largest D'",
    "corner": "corner of large D and D'",
    "replay": "shares of replay between those of the fit",
}
"""Names of the kinds of blocks in sentences."""


def table_warnings(
    table: Table, rows: Rows, *, classical: bool = False, general: bool = False
) -> list[str]:
    """Sentences on what the table cannot show, whatever the form.

    A `classical` fit has no noise of a general run; a `general` table has the general losses of
    specialists.
    """
    notes = _constant_columns(table) + column_notes(table, rows.frame.base, general=general)
    seen = table.pretrain + rows.frame.base + table.specialize / (1 - table.replay)
    early = int((seen < FEW_TOKENS * table.params).sum())
    if early == len(table):
        notes.append(
            f"All rows have fewer than {FEW_TOKENS:g} tokens per parameter, at most "
            f"{float((seen / table.params).max()):.3g}; such runs bias every law. If examples "
            "are counted instead of tokens, plans need --flops-per-token, the FLOPs of an example."
        )
    elif early:
        notes.append(
            f"Rows with fewer than {FEW_TOKENS:g} tokens per parameter: {early} of {len(table)}; "
            f"such runs bias every law (--min-tokens-per-param {FEW_TOKENS:g} leaves them out)."
        )
    if len(table.sizes) == 2:
        notes.append(
            "Two sizes hardly determine E, A and alpha: predictions at other sizes rely on the "
            "prior."
        )
    if rows.trunks and not rows.trunk_identified and not classical:
        notes.append(
            "There is one general run per size: its noise is taken to be 0.4%, as between seeds of "
            "the reference grid."
        )
    added = len(np.unique(table.pretrain))
    if rows.frame.base and added < FEW_ADDED:
        notes.append(
            f"The table has {added} values of D: the tokens of the base are those of the prior; "
            f"give {FEW_ADDED} values or more."
        )
    return notes + _few_rows(table)


def _few_rows(table: Table) -> list[str]:
    counts = np.bincount(table.domain, minlength=len(table.domains))
    few = [f"{d} ({n})" for d, n in zip(table.domains, counts, strict=True) if n < FEW_ROWS]
    if not few:
        return []
    others = " and on the other domains" if len(table.domains) > 1 else ""
    return [f"Few rows for {_some(few)}: these domains rely on the prior{others}."]


def draw_warnings(draws: int) -> list[str]:
    """A sentence if there are too few draws for an interval."""
    if draws == 0:
        return ["The fit has no draws: predictions and plans have no intervals."]
    if draws < LEAST_DRAWS:
        return [
            f"The fit has {draws} draws, of which intervals are too narrow: give {LEAST_DRAWS} or "
            "more."
        ]
    return []


def _constant_columns(table: Table) -> list[str]:
    notes = []
    for values, what in (
        (table.pretrain, "pretrain_tokens"),
        (table.specialize, "specialize_tokens"),
    ):
        if len(np.unique(values)) == 1 and values[0] > 0:
            notes.append(
                f"All rows have {what} {values[0]:g}: the table says nothing about other values, "
                "and plans keep this one."
            )
    if len(np.unique(table.loss)) == 1:
        notes.append("All losses are equal: the table determines no parameter.")
    return notes


def fit_warnings(posteriors: Sequence[Posterior], table: Table) -> list[str]:
    """Sentences on convergence, on outlying rows and on parameters that come from the prior."""
    notes = [
        f"The fit of {p.form.name} did not converge: do not rely on it."
        for p in posteriors
        if not p.converged
    ]
    first = posteriors[0]
    outlying = np.flatnonzero(first.rows.weight < 1)
    if outlying.size:
        worst = outlying[np.argsort(first.rows.weight[outlying])]
        named = "; ".join(_described(table, int(row)) for row in worst[:MOST_NAMED])
        more = f" and {outlying.size - MOST_NAMED} more" if outlying.size > MOST_NAMED else ""
        notes.append(
            f"{_rows(outlying.size)} far from the others and down-weighted: {named}{more}."
        )
    return notes + _undetermined(first, table.domains)


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"


def _described(table: Table, row: int) -> str:
    return (
        f"{table.domains[table.domain[row]]} at N = {table.params[row]:g}, D = "
        f"{table.pretrain[row]:g}, D' = {table.specialize[row]:g}, loss {table.loss[row]:.4g}"
    )


def _undetermined(posterior: Posterior, domains: tuple[str, ...]) -> list[str]:
    covariance, prior = posterior.parameter_sd()
    ratio: Array = posterior.mean.by_domain(np.sqrt(np.diag(covariance)) / prior)
    groups: dict[str, list[str]] = {}
    for k, domain in enumerate(domains):
        names = [n for n, r in zip(posterior.form.names, ratio[k], strict=True) if r > UNDETERMINED]
        if names:
            groups.setdefault(", ".join(names), []).append(domain)
    return [
        f"{posterior.form.name}, {_some(where)}: the table hardly determines {names}; the values "
        "are those of the prior."
        for names, where in groups.items()
    ]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def range_warnings(
    points: Mapping[str, Array], bounds: Mapping[str, tuple[float, float]]
) -> list[str]:
    """A sentence for each column of which points are outside the range of the fit.

    A run without tokens of a stage is no extrapolation of it if the table has such runs.
    """
    notes = []
    for column in RANGED:
        values, (low, high) = np.asarray(points[column], dtype=float), bounds[column]
        above, below = values > high * (1 + ROUNDING), values < low * (1 - ROUNDING)
        if not (above | below).any():
            continue
        factors = [values[above].max() / high] if above.any() and high > 0 else []
        factors += [low / values[below].min()] if below.any() and values[below].min() > 0 else []
        most = f", by up to {max(factors):.3g} times" if factors else ""
        count = int((above | below).sum())
        notes.append(
            f"{_points(count, len(values))} {column} outside the table's {low:g} to {high:g}"
            f"{most}; their intervals are wider."
        )
    return notes + _beyond(points, bounds)


def _beyond(points: Mapping[str, Array], bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """Sentences on points with more passes or replay than the table, and without a finite loss."""
    notes = []
    seen = np.asarray(points["specialize_tokens"], dtype=float)
    unique = np.asarray(points.get("unique_specialize_tokens", seen), dtype=float)
    replay = np.nan_to_num(np.asarray(points.get("replay", np.zeros_like(seen)), dtype=float))
    for most, values, what in (
        (bounds.get("passes", (1.0, 1.0))[1], passes(seen, unique), "passes over the text"),
        (bounds.get("replay", (0.0, 0.0))[1], replay, "replay"),
    ):
        count = int((values > most * (1 + ROUNDING)).sum())
        if count:
            notes.append(
                f"{_points(count, len(values))} more {what} than the table, which has at most "
                f"{most:.3g}: up to {values.max():.3g}."
            )
    if "train_domain" in points:
        trained, domain = (_stripped(points[c]) for c in ("train_domain", "domain"))
        other = (trained != domain) & ~trained.str.lower().isin(["", *MISSING]).to_numpy()
        other &= (domain != GENERAL) & (seen > 0)
        if other.any():
            notes.append(
                f"{_points(int(other.sum()), len(other))} another train_domain; the law describes "
                "models that are trained on the domain itself."
            )
    infinite = ~np.isfinite(np.asarray(points.get("loss", np.zeros(0)), dtype=float))
    if infinite.any():
        notes.append(
            f"{_points(int(infinite.sum()), len(infinite))} no prediction: the law is infinite "
            "there, where D, D' or both are 0."
        )
    return notes


def _stripped(names: Any) -> pd.Series:
    cells = pd.Series(np.asarray(names, dtype=object))
    return cells.where(cells.notna(), "").astype(str).str.strip()


def _points(count: int, of: int) -> str:
    return f"{count} of {of} points {'has' if count == 1 else 'have'}"


def constant_column_notes(bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    """A sentence for each column of tokens that has one value.

    `bounds` are those of the table of the fit.
    """
    return [
        f"All rows of the fit have {column} {bounds[column][0]:g}: the plan keeps that value, and "
        "the gain of runs with other values is unknown; train some of them first."
        for column in RANGED[1:]
        if bounds[column][0] == bounds[column][1]
    ]


def bias_warnings(holdout: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each kind of left-out rows that errs in one direction, over all domains."""
    notes = []
    for kind, source in dict.fromkeys((h["kind"], h["source"]) for h in holdout):
        entries = [h for h in holdout if (h["kind"], h["source"]) == (kind, source)]
        bias = float(np.average([h["bias"] for h in entries], weights=[h["n"] for h in entries]))
        if abs(bias) > BIAS:
            direction = "high" if bias > 0 else "low"
            notes.append(
                f"Left-out rows of the {BLOCKS[kind]}: predictions are {abs(bias):.1%} too "
                f"{direction} on average."
            )
    return notes
