"""A table of losses as arrays, ordered by domain."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from splitlaw.laws.points import Array, Indices, Mask

NUMBERS = (
    "params",
    "pretrain",
    "specialize",
    "unique_pretrain",
    "unique_specialize",
    "replay",
    "loss",
)
ROWS = ("domain", "trunk", *NUMBERS)
"""The fields of a table that hold one entry per row."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Losses of cooled-down models, one row per model and evaluated domain, by domain."""

    domains: tuple[str, ...]
    """Names, in order of the alphabet."""

    domain: Indices
    """Number of each row's domain [n], ascending."""

    params: Array
    """N [n], in parameters."""

    pretrain: Array
    """D [n], in tokens."""

    specialize: Array
    """D' [n], in tokens."""

    unique_pretrain: Array
    """How many of D differ [n]."""

    unique_specialize: Array
    """How many of D' differ [n]."""

    replay: Array
    """Share of general tokens among those of the branch [n]."""

    loss: Array
    """Loss [n], in nats per token."""

    trunk: Indices
    """Number of the general run (size, seed) that the row's model branched from, -1 without [n]."""

    flops_per_token: dict[float, float] = field(default_factory=dict)
    """FLOPs per token by N, where the table tells."""

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, rows: Indices | Mask) -> "Table":
        """The table of `rows`, with the same domains."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROWS})

    @property
    def one_stage(self) -> bool:
        """Whether every row is a run that was never split, or never pretrained."""
        return not ((self.pretrain > 0) & (self.specialize > 0)).any()

    @property
    def sizes(self) -> Array:
        """The different N."""
        return np.unique(self.params)


def make_table(data: pd.DataFrame, domains: tuple[str, ...] | None = None) -> Table:
    """The rows of a frame, by domain; the domains of the frame are numbered by default.

    The frame has the columns `name` (of the domain), `trunk` (empty without one), and those
    of `NUMBERS`.
    """
    names = domains or tuple(sorted(data["name"].unique()))
    data = data.assign(number=[names.index(n) for n in data["name"]])
    data = data.sort_values("number", kind="stable")
    return Table(
        domains=names,
        domain=data["number"].to_numpy(dtype=np.intp),
        trunk=_numbers(data["trunk"]),
        **{column: data[column].to_numpy(dtype=float) for column in NUMBERS},
    )


def _numbers(trunk: pd.Series) -> Indices:
    """Number of each trunk, -1 where the name is empty."""
    numbers = np.full(len(trunk), -1, dtype=np.intp)
    named = (trunk != "").to_numpy()
    if named.any():
        numbers[named] = pd.factorize(trunk[named])[0]
    return numbers
