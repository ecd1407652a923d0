"""Hold-outs: what a form predicts of rows that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.laws.fit import QUICK, Estimate, fit_sharings
from splitlaw.laws.form import Form
from splitlaw.laws.points import Array, Indices, Mask
from splitlaw.laws.table import Table

KINDS = ("params", "pretrain_tokens", "specialize_tokens", "corner")
GRID_LEVELS = 12
"""Columns with more levels than this are no grid: their top rows are held out instead."""

TOP_SHARE = 0.15
CORNER_SHARE = 0.4
"""The corner is where both D and D' are among this share of their highest levels."""

MIN_LEVELS = 3


@dataclass(frozen=True)
class Errors:
    """Signed relative errors of predictions on rows that were held out."""

    kind: str
    domain: Indices
    """Number of each row's domain [n]."""

    cluster: Indices
    """Cluster of each row [n]."""

    loss: Array
    """Measured loss [n]."""

    predicted: Array
    """Predicted loss [n]."""

    @property
    def relative(self) -> Array:
        """Predicted over measured, minus 1 [n]."""
        return self.predicted / self.loss - 1


def _floor(levels: Array, values: Array, share: float | None) -> float:
    """Where the held-out levels begin: the top one of a grid, or the top share."""
    if share is not None:
        return float(levels[-max(1, round(share * len(levels)))])
    if len(levels) <= GRID_LEVELS:
        return float(levels[-1])
    return float(np.quantile(values, 1 - TOP_SHARE))


def _top(values: Array, among: Mask, groups: Array, share: float | None = None) -> Mask | None:
    """Rows at or above the highest levels of `values`, size by size where sizes have a grid.

    Levels are those of the rows in `among`. None where there are too few levels.
    """
    per_size = [np.unique(values[among & (groups == g)]) for g in np.unique(groups)]
    if any(len(levels) < MIN_LEVELS for levels in per_size):
        per_size, groups = [np.unique(values[among])], np.zeros(len(values))
    if len(per_size[0]) < MIN_LEVELS:
        return None
    top = np.zeros(len(values), dtype=bool)
    for levels, group in zip(per_size, np.unique(groups), strict=True):
        here = groups == group
        top |= here & (values >= _floor(levels, values[here & among], share))
    return top


def held_out_rows(table: Table) -> dict[str, Mask]:
    """The rows that each kind of hold-out leaves out, for the kinds that the table allows."""
    everything = np.ones(len(table), dtype=bool)
    one = np.zeros(len(table))
    split = (table.specialize > 0) & (table.pretrain > 0)
    tokens = table.pretrain + table.specialize
    kinds: dict[str, Mask | None] = {"params": _top(table.params, everything, one)}
    if table.one_stage:
        kinds["pretrain_tokens"] = _top(tokens, everything, table.params)
    else:
        kinds["pretrain_tokens"] = _top(table.pretrain, split, table.params)
        kinds["specialize_tokens"] = _top(table.specialize, split, table.params)
        far = _top(table.pretrain, split, table.params, CORNER_SHARE)
        deep = _top(table.specialize, split, table.params, CORNER_SHARE)
        kinds["corner"] = far & deep if far is not None and deep is not None else None
    return {k: rows for k, rows in kinds.items() if rows is not None and 0 < rows.sum() < len(rows)}


def measure(estimate: Estimate, rows: Table, kind: str) -> Errors:
    """What `estimate` predicts of `rows`."""
    predicted = estimate.predict(rows.points(estimate.units), rows.domain)
    return Errors(kind, rows.domain, rows.cluster, rows.loss, predicted)


def hold_out(
    form: Form, table: Table, sharings: Sequence[str], kinds: dict[str, Mask], compared: Mask
) -> dict[str, list[Errors]]:
    """Fit `form` without each kind's rows and measure it on those rows in `compared`.

    Gives the errors of each sharing. A kind is passed over where too few rows remain.
    """
    found: dict[str, list[Errors]] = {sharing: [] for sharing in sharings}
    for kind, rows in kinds.items():
        test = rows & compared
        seen = table.take(~rows)
        if not test.any() or len(np.unique(seen.domain)) < len(table.domains):
            continue
        try:
            fits = fit_sharings(form, seen, sharings, effort=QUICK)
        except UserError:
            continue
        for sharing, estimate in fits.items():
            found[sharing].append(measure(estimate, table.take(test), kind))
    return found


def kind_of(rows: Table, fit: Table) -> str:
    """What rows set apart by the user extrapolate in."""
    if rows.params.max() > fit.params.max():
        return "params"
    if rows.pretrain.max() > fit.pretrain.max():
        return "pretrain_tokens"
    return "specialize_tokens" if rows.specialize.max() > fit.specialize.max() else "corner"


def score(errors: list[Errors]) -> tuple[float, float]:
    """Mean relative error, each kind counting alike, and its standard error over clusters."""
    means, variances = [], []
    for part in errors:
        frame = pd.DataFrame({"cluster": part.cluster, "e": np.abs(part.relative)})
        by_cluster = frame.groupby("cluster")["e"].mean()
        means.append(frame["e"].mean())
        variances.append(by_cluster.var(ddof=1) / len(by_cluster) if len(by_cluster) > 1 else 0.0)
    count = len(errors)
    return float(np.mean(means)), float(np.sqrt(np.sum(variances)) / count)


def rows_of(errors: Errors, domains: tuple[str, ...], source: str) -> list[dict[str, Any]]:
    """The entries of `holdout` in fit.json, one per domain."""
    entries = []
    for number, name in enumerate(domains):
        relative = errors.relative[errors.domain == number]
        relative = relative[np.isfinite(relative)]
        if not relative.size:
            continue
        entries.append(
            {
                "kind": errors.kind,
                "domain": name,
                "n": int(relative.size),
                "mre": float(np.abs(relative).mean()),
                "max": float(np.abs(relative).max()),
                "bias": float(relative.mean()),
                "source": source,
            }
        )
    return entries
