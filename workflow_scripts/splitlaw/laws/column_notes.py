"""Sentences on columns that contain something else than their names say, or vary together."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from splitlaw.laws.points import Array
from splitlaw.laws.table import Table

HIGHEST = 20.0
"""Loss above which a column rather has perplexities: an untrained model has the logarithm of the
size of its vocabulary, at most 13 nats per token."""

RISING = 0.6
"""Share of pairs in which more parameters and general tokens come with a higher loss, above which
the column has something else: noise alone gives half, losses of finished runs less than a tenth."""

LEAST_PAIRS = 10
"""Pairs of rows from which that share is judged."""

FEWEST = 1e-3
"""General tokens per parameter of no pretraining, even where they are images."""

MOST_ROWS = 400
"""Rows that are compared in pairs, evenly spaced over the table."""

TOGETHER = 0.999
"""Correlation of the logarithms of two columns above which one follows from the other: a grid with
rounded numbers of tokens per parameter has more, and one further ratio makes it less."""


def column_notes(table: Table, base: float = 0.0, *, general: bool = False) -> list[str]:
    """Sentences on losses that are none, and on columns whose effects cannot be separated.

    `base` are tokens of a base that D does not count. With `general` the table has the general
    losses of specialists, which may rise with D and D'.
    """
    notes = []
    # Not the highest one, which may be a single wrong number.
    high = float(np.quantile(table.loss, 0.9))
    if high > HIGHEST:
        notes.append(
            f"A tenth of the losses are above {high:.4g}; an untrained model has 10 to 13 nats per "
            "token. If these are perplexities, give their logarithms."
        )
    share = 0.0 if general else _rising_share(table)
    if share > RISING:
        notes.append(
            f"In {share:.0%} of the pairs of rows with equal specialize_tokens in which one model "
            "has more parameters and general tokens, it has the higher loss. If the column has "
            "accuracies, give losses."
        )
    ratio = float(((table.pretrain + base) / table.params).max())
    if 0 < ratio < FEWEST and (table.specialize > 0).any():
        notes.append(
            f"Every model has at most {ratio:.2g} general tokens per parameter: check that "
            "pretrain_tokens are numbers of tokens, not thousands or millions of them."
        )
    if table.one_stage and (table.pretrain > 0).any() and (table.specialize > 0).any():
        notes.append(
            "No row has both general and domain tokens: the law counts them alike, so that it "
            "knows no split."
        )
    return notes + _together(table)


def _rising_share(table: Table) -> float:
    """Share of the pairs in which the model with more of N and D has the higher loss.

    Pairs are of one domain and D', and without repeated text, which may raise the loss: few tables
    have the numbers of distinct tokens, and longer branches repeat more. 0 if there are few pairs.
    """
    fresh = table.unique_pretrain >= table.pretrain
    fresh &= table.unique_specialize >= table.specialize
    rows = np.flatnonzero(fresh & (table.replay == 0))
    if len(rows) > MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.intp)]
    amounts = np.stack([c[rows] for c in (table.params, table.pretrain)])
    difference = amounts[:, :, None] - amounts[:, None]
    more = (difference >= 0).all(axis=0) & (difference > 0).any(axis=0)
    for same in (table.domain[rows], table.specialize[rows]):
        more &= same[:, None] == same
    if more.sum() < LEAST_PAIRS:
        return 0.0
    higher = table.loss[rows][:, None] > table.loss[rows]
    return float(higher[more].mean())


def _together(table: Table) -> list[str]:
    """A sentence on columns of which one follows from another."""
    columns = {
        "params": table.params,
        "pretrain_tokens": table.pretrain,
        "specialize_tokens": table.specialize,
    }
    pairs = [
        pair
        for pair in combinations(columns, 2)
        if _correlation(columns[pair[0]], columns[pair[1]]) > TOGETHER
    ]
    if not pairs:
        return []
    names = ", ".join(name for name in columns if any(name in pair for pair in pairs))
    return [
        f"These columns vary together: {names}. The table does not separate their effects, and "
        "predictions at other ratios rely on the prior."
    ]


def _correlation(first: Array, second: Array) -> float:
    """Correlation of the logarithms; 0 where one does not vary or has zeros."""
    if first.min() <= 0 or second.min() <= 0:
        return 0.0
    logs = np.log([first, second])
    if np.ptp(logs, axis=1).min() == 0:
        return 0.0
    return float(np.corrcoef(logs)[0, 1])
