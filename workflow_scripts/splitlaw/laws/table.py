"""A table of losses as arrays, ordered by domain."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from splitlaw.laws.points import Array, Indices, Mask, Points, Units
from splitlaw.laws.repetition import REPETITIONS, effective_tokens

NUMBERS = ("params", "pretrain", "specialize", "unique_pretrain", "unique_specialize", "loss")
ROWS = ("domain", "cluster", *NUMBERS)
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

    loss: Array
    """Loss [n], in nats per token."""

    cluster: Indices
    """Number of the cluster (size, seed, D) that the bootstrap draws the row with [n]."""

    flops_per_token: dict[float, float] = field(default_factory=dict)
    """FLOPs per token by N, where the table tells."""

    repetitions: float = REPETITIONS
    """Repetitions after which another pass is worth 1/e of a first one."""

    seeds: int = 1
    """Least number of seeds that any size has."""

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, rows: Indices | Mask) -> "Table":
        """The table of `rows`, with the same domains."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROWS})

    def only(self, number: int) -> "Table":
        """The rows of one domain, as a table of that domain alone."""
        part = self.take(self.domain == number)
        return replace(part, domains=(self.domains[number],), domain=np.zeros(len(part), int))

    def points(self, units: Units | None = None) -> Points:
        """The rows as points of a form, with effective tokens where data repeats."""
        pretrain = effective_tokens(self.pretrain, self.unique_pretrain, self.repetitions)
        specialize = effective_tokens(self.specialize, self.unique_specialize, self.repetitions)
        return Points.of(self.params, pretrain, specialize, units)

    @property
    def one_stage(self) -> bool:
        """Whether every row is a run that was never split, or never pretrained."""
        return not ((self.pretrain > 0) & (self.specialize > 0)).any()

    @property
    def sizes(self) -> Array:
        """The different N."""
        return np.unique(self.params)

    def units(self) -> Units:
        """The geometric middle of the table, by which a fit divides."""
        return Units(
            params=_middle(self.params),
            tokens=_middle(self.pretrain + self.specialize),
            loss=_middle(self.loss),
        )


def _middle(values: Array) -> float:
    return float(np.exp(np.mean(np.log(values))))


def make_table(data: pd.DataFrame, domains: tuple[str, ...] | None = None) -> Table:
    """The rows of a frame, by domain; the domains of the frame are numbered by default.

    The frame has the columns `name` (of the domain), `cluster`, and those of `NUMBERS`.
    """
    names = domains or tuple(sorted(data["name"].unique()))
    data = data.assign(number=[names.index(n) for n in data["name"]])
    data = data.sort_values("number", kind="stable")
    return Table(
        domains=names,
        domain=data["number"].to_numpy(dtype=np.intp),
        cluster=data.groupby("cluster", sort=False).ngroup().to_numpy(dtype=np.intp),
        **{column: data[column].to_numpy(dtype=float) for column in NUMBERS},
    )
