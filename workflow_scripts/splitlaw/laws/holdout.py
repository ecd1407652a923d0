"""Blocks of rows left out of a fit: errors of their prediction, and weights of the forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitlaw.laws.draw import draw_member
from splitlaw.laws.member import Member
from splitlaw.laws.points import Array, Indices, Mask
from splitlaw.laws.posterior import Posterior, fit_posterior
from splitlaw.laws.rows import make_rows
from splitlaw.laws.table import Table

KINDS = ("params", "pretrain_tokens", "specialize_tokens", "corner", "replay")
"""Kinds of blocks that fit.json has errors of; the blocks of trunks only weigh the forms."""

TRUNK = "trunk"
"""The further kind of blocks: all rows of the last trunk of each size."""

GRID_LEVELS = 12
"""Columns with more levels than this are no grid: their top rows are left out instead."""

TOP_SHARE = 0.15
"""Share of the rows that are left out where a column is no grid."""

CORNER_SHARE = 0.4
"""The corner is where both D and D' are among this share of their highest levels."""

MIN_LEVELS = 3
"""Fewest levels of a column of which the top one is left out: the others show a trend."""

DRAWS = 40
"""Draws of the forms together for the coverage of left-out rows: its error is far below that of
some dozens of rows."""

PRIOR_COUNT = 1.0
"""Blocks that the Dirichlet prior adds to each form: with five blocks that all prefer one form, its
weight is 6/7, not 1."""

EM_STEPS = 200
"""Steps of the expectation maximisation, each of which takes microseconds."""

TINY = 1e-30
"""In place of no tokens where a logarithm is taken."""


def _floor(levels: Array, values: Array, share: float | None) -> float:
    """Start of the left-out levels: the top one of a grid, or the top share."""
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


def left_out_blocks(table: Table) -> dict[str, Mask]:
    """The rows of each kind of block, for the kinds that the table allows.

    Every domain keeps rows.
    """
    everything = np.ones(len(table), dtype=bool)
    one = np.zeros(len(table))
    split = (table.specialize > 0) & (table.pretrain > 0)
    tokens = table.pretrain + table.specialize
    kinds: dict[str, Mask | None] = {"params": _top(table.params, everything, one)}
    if table.one_stage:
        kinds["pretrain_tokens"] = _top(tokens, everything, table.params)
    else:
        length = _lengths(table)
        kinds["pretrain_tokens"] = _top(table.pretrain, split, table.params)
        kinds["specialize_tokens"] = _top(length, split, table.params)
        far = _top(table.pretrain, split, table.params, CORNER_SHARE)
        deep = _top(length, split, table.params, CORNER_SHARE)
        kinds["corner"] = far & deep if far is not None and deep is not None else None
    kinds[TRUNK] = _last_trunks(table)
    return {k: rows for k, rows in kinds.items() if rows is not None and _leaves_rows(table, rows)}


def _last_trunks(table: Table) -> Mask | None:
    """Rows of the last trunk of each size that has several."""
    left = np.zeros(len(table), dtype=bool)
    for size in np.unique(table.params):
        trunks = np.unique(table.trunk[(table.params == size) & (table.trunk >= 0)])
        if len(trunks) > 1:
            left |= table.trunk == trunks[-1]
    return left if left.any() else None


def _leaves_rows(table: Table, rows: Mask) -> bool:
    """Whether the block has rows and every domain keeps some."""
    return bool(rows.any()) and len(np.unique(table.domain[~rows])) == len(table.domains)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A form's prediction of the rows of a block."""

    loss: Array
    """Expected loss [n]."""
    draws: Array
    """Losses of new runs [draws, n]."""
    log_density: float
    """Joint log density of the rows."""

    def take(self, rows: Mask) -> Prediction:
        """The prediction of some rows; the density remains that of all."""
        return replace(self, loss=self.loss[rows], draws=self.draws[:, rows])


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of left-out rows with the prediction of every form."""

    kind: str
    rows: Table
    predictions: tuple[Prediction, ...]

    def errors(self, weights: Array) -> list[dict[str, Any]]:
        """The entries of `holdout` in fit.json, one for each domain, of the mean of the forms."""
        return error_entries(self.kind, self.rows, self.predictions, weights, "made within the fit")


def predict_block(
    kind: str, table: Table, rows: Mask, posteriors: Sequence[Posterior], seed: int
) -> Block:
    """Fit every form without `rows` and predict them.

    Rows that are grossly wrong have their small weights here too, and no errors.
    """
    found, shown = [], rows & ~np.logical_and.reduce([p.gross for p in posteriors])
    shown = shown if shown.any() else rows
    for posterior in posteriors:
        frame, weight = posterior.rows.frame, np.where(posterior.gross, posterior.rows.weight, 1.0)
        rest = replace(make_rows(table.take(~rows), frame), weight=weight[~rows])
        fitted = fit_posterior(posterior.form, rest, start=posterior, rounds=1)
        whole = replace(make_rows(table, frame), weight=weight)
        everything = fitted.likelihood(whole).log_density(fitted.hyper)
        own = fitted.likelihood().log_density(fitted.hyper)
        member = draw_member(fitted, 1.0, DRAWS, np.random.default_rng(seed))
        found.append(predict_rows(member, table.take(shown), seed, everything - own))
    return Block(kind=kind, rows=table.take(shown), predictions=tuple(found))


def predict_rows(member: Member, table: Table, seed: int, log_density: float) -> Prediction:
    """A member's prediction of rows that it was not fitted to."""
    frame = member.mean.frame
    rows = make_rows(table, frame)
    zero = frame.unsplit_share(table.specialize)
    at = (rows.coordinates, zero, rows.x, table.domain)
    mean = member.log_losses(*at, drawn=False)[0]
    drawn = member.log_losses(*at, drawn=True)
    drawn = drawn + member.drawn_noise(table, np.random.default_rng(seed))
    unit = frame.units.loss
    return Prediction(loss=np.exp(mean) * unit, draws=np.exp(drawn) * unit, log_density=log_density)


def stacking_weights(blocks: Sequence[Block], forms: int) -> Array:
    """Weights of the forms [forms] under which the left-out blocks are most probable.

    Stacking of predictive densities (Yao et al. 2018, arXiv:1704.02030) with the joint density of
    each block, and a Dirichlet prior; found by expectation maximisation.
    """
    weights = np.full(forms, 1 / forms)
    if forms == 1 or not blocks:
        return weights
    density = np.array([[p.log_density for p in block.predictions] for block in blocks])
    likelihood = np.exp(density - density.max(axis=1, keepdims=True))
    for _ in range(EM_STEPS):
        share = weights * likelihood
        share /= share.sum(axis=1, keepdims=True)
        weights = PRIOR_COUNT + share.sum(axis=0)
        weights /= weights.sum()
    return np.asarray(weights)


def counts_of_draws(weights: Array, draws: int) -> Indices:
    """How many of `draws` each form has, in proportion to its weight."""
    edges = np.round(np.cumsum(np.concatenate([[0.0], weights])) * draws).astype(np.intp)
    return np.diff(edges)


def error_entries(
    kind: str,
    rows: Table,
    predictions: Sequence[Prediction],
    weights: Array,
    source: str,
) -> list[dict[str, Any]]:
    """Errors and coverage of the weighted mean of the predictions, one entry for each domain."""
    mean = sum(w * p.loss for w, p in zip(weights, predictions, strict=True))
    available = min(len(p.draws) for p in predictions)
    counts = counts_of_draws(weights, available)
    drawn = np.concatenate([p.draws[:c] for p, c in zip(predictions, counts, strict=True)])
    relative = mean / rows.loss - 1
    entries = []
    for number, name in enumerate(rows.domains):
        own = (rows.domain == number) & np.isfinite(relative)
        if not own.any():
            continue
        entry = {
            "kind": kind,
            "domain": name,
            "n": int(own.sum()),
            "mre": float(np.abs(relative[own]).mean()),
            "max": float(np.abs(relative[own]).max()),
            "bias": float(relative[own].mean()),
            "coverage": _coverage(drawn[:, own], rows.loss[own]),
            "source": source,
        }
        entries.append(entry)
    return entries


def _coverage(drawn: Array, loss: Array) -> float | None:
    """Share of losses within the 90% interval of the draws; None without draws."""
    if not len(drawn):
        return None
    low, high = np.percentile(drawn, (5, 95), axis=0)
    return float(((loss >= low) & (loss <= high)).mean())


def kinds_of(rows: Table, fit: Table) -> dict[str, Mask]:
    """The rows that the user held out, by the kind of their extrapolation."""
    between = ~np.isin(rows.replay, fit.replay)
    others = rows.take(~between)
    found = {"replay": between}
    if len(others):
        found[_kind_of(others, fit)] = ~between
    return {kind: mask for kind, mask in found.items() if mask.any()}


def _kind_of(rows: Table, fit: Table) -> str:
    if rows.params.max() > fit.params.max():
        return "params"
    if rows.pretrain.max() > fit.pretrain.max():
        return "pretrain_tokens"
    return "specialize_tokens" if _lengths(rows).max() > _lengths(fit).max() else "corner"


def _lengths(table: Table) -> Array:
    """Tokens of each branch [n]: D' where nothing is replayed, otherwise T to 1%.

    Branches of one T differ in D' where their shares of replay differ.
    """
    if not (table.replay > 0).any():
        return table.specialize
    tokens = table.specialize / (1 - table.replay)
    return np.exp(np.round(np.log(np.maximum(tokens, TINY)), 2))
