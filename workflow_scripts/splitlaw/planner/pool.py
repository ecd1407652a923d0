"""The runs that could be trained next, and their costs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.points import Indices
from splitlaw.laws.read import POINT, points_of
from splitlaw.laws.result import FitResult
from splitlaw.laws.sheet import Sheet, load_sheet
from splitlaw.planner.costs import flops_per_token_at

COOLDOWN = 0.2
"""Share of a run's tokens in which the learning rate falls. A trunk has none, so a branch leaves it
there at the latest."""

FACTOR = 2.0
"""Step of D and of D' in the default pool."""

MOST_STEPS = 6
"""Steps from the largest D or D' down to the smallest of the default pool."""

RUN = ("params", "pretrain_tokens", "specialize_tokens", "domain", "seed")
"""Columns that tell one run from another."""

Trunk = tuple[float, int]
"""Size and seed of a general run."""


@dataclass
class Costs:
    """Training FLOPs of runs that branch from trunks, which grow as runs are added."""

    flops_per_token: dict[float, float]
    """FLOPs per token of each size."""

    trunks: dict[Trunk, float] = field(default_factory=dict)
    """Tokens of each trunk that exist."""

    base: dict[float, float] = field(default_factory=dict)
    """D of the model that exists at a size, for all seeds: a table with one D branches from it.

    Sizes beyond those of the table have none.
    """

    def tokens(self, params: float, seed: int, pretrain: float, specialize: float) -> float:
        """Tokens of a run's branch and those that its trunk still lacks."""
        base = self.base.get(params, 0.0)
        start = max(branch_point(pretrain, specialize), min(base, pretrain))
        lacking = max(0.0, start - max(base, self.trunks.get((params, seed), 0.0)))
        return pretrain + specialize - start + lacking

    def flops(self, params: float, seed: int, pretrain: float, specialize: float) -> float:
        """The same in FLOPs."""
        return self.flops_per_token[params] * self.tokens(params, seed, pretrain, specialize)

    def add(self, params: float, seed: int, pretrain: float, specialize: float) -> None:
        """Count the trunk of a run as trained."""
        start = branch_point(pretrain, specialize)
        self.trunks[params, seed] = max(start, self.trunks.get((params, seed), 0.0))


def branch_point(pretrain: float, specialize: float) -> float:
    """General tokens after which a run leaves its trunk: D, or where its cooldown begins."""
    return min(pretrain, (1 - COOLDOWN) * (pretrain + specialize))


def read_pool(
    fit: FitResult,
    pool: str | os.PathLike[str] | pd.DataFrame | None,
    trained: str | os.PathLike[str] | pd.DataFrame | None,
    domains: Sequence[str],
) -> tuple[pd.DataFrame, Costs]:
    """The runs to choose from, without those that are trained, and what each costs.

    The frame has the columns `size` and those of `RUN`. Without a `pool` it is the grid of the
    sizes of the law, and of D and D' in factors of 2 within its range, with another seed where
    all of it is trained. A run of the domain `general` has D' = 0 and is evaluated on every domain.
    """
    done = None if trained is None else _runs(fit, trained, "losses")
    frame = _default_pool(fit, domains) if pool is None else _runs(fit, pool, "pool")
    frame = frame[frame["domain"].isin([*domains, GENERAL])]
    sizes = frame["params"].unique()
    low, high = fit.range["pretrain_tokens"]
    smallest, largest = fit.range["params"]
    costs = Costs(
        {n: flops_per_token_at(fit.flops_per_token, n) for n in sizes},
        base={n: high for n in sizes if low == high and smallest <= n <= largest},
    )
    if done is not None:
        for run in done.itertuples():
            costs.add(run.params, run.seed, run.pretrain_tokens, run.specialize_tokens)
        known = pd.MultiIndex.from_frame(done[list(RUN)])
        left = frame[~pd.MultiIndex.from_frame(frame[list(RUN)]).isin(known)]
        again = pool is None and left.empty
        frame = frame.assign(seed=int(done["seed"].max()) + 1) if again else left
    # The models from which the runs of a table with one D branch exist already.
    given = (frame["specialize_tokens"] == 0) & (
        frame["pretrain_tokens"] <= frame["params"].map(costs.base).fillna(0.0)
    )
    frame = frame[~given]
    if frame.empty:
        raise UserError("pool: no run is left to choose from; give runs that are not trained yet")
    return frame.drop_duplicates(list(RUN)).reset_index(drop=True), costs


def _runs(fit: FitResult, table: str | os.PathLike[str] | pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs of a table, which may have losses, one row for each; `name` is that of a frame."""
    sheet = load_sheet(table, name, POINT)
    name, runs = sheet.name, points_of(sheet, ())
    if "train_domain" in sheet:
        trained = sheet.text("train_domain")
        runs = runs.assign(domain=trained.where(trained != "", runs["domain"]))
    runs["size"] = sheet.text("size") if "size" in sheet else ""
    runs["seed"] = _seeds(sheet)
    unknown = sorted(set(runs["domain"]) - {*fit.domains, GENERAL})
    if unknown:
        raise UserError(
            f"{name}: domain {unknown[0]!r} is not in the fit; choose from "
            f"{', '.join((*fit.domains, GENERAL))}"
        )
    if ((runs["pretrain_tokens"] + runs["specialize_tokens"]) <= 0).any():
        raise UserError(f"{name}: a run has neither general nor domain tokens; remove it")
    # A run without domain tokens is the same for every domain.
    runs.loc[runs["specialize_tokens"] == 0, "domain"] = GENERAL
    runs.loc[runs["domain"] == GENERAL, "specialize_tokens"] = 0
    return runs[["size", *RUN]].astype({"params": float}).drop_duplicates(list(RUN))


def _seeds(sheet: Sheet) -> Indices:
    """The seed of each run; 0 where the column is absent or empty."""
    if "seed" not in sheet:
        return np.zeros(len(sheet), dtype=int)
    seeds = np.where(sheet.text("seed") == "", 0.0, sheet.numbers("seed"))
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(seeds) < 2.0**53) | (seeds % 1 != 0)
    if wrong.any():
        raise UserError(
            f"{sheet.at(wrong)}: seed is {sheet.show('seed', wrong)}; give a whole number"
        )
    return seeds.astype(int)


def _default_pool(fit: FitResult, domains: Sequence[str]) -> pd.DataFrame:
    low, high = fit.range["params"]
    sizes = sorted({low, high, *(n for n in fit.flops_per_token if low <= n <= high)})
    index = pd.MultiIndex.from_product(
        [
            sizes,
            _levels(fit, "pretrain_tokens"),
            _levels(fit, "specialize_tokens"),
            [*domains, GENERAL],
        ],
        names=RUN[:4],
    )
    frame = index.to_frame(index=False).assign(size="", seed=0)
    general = frame["domain"] == GENERAL
    frame = frame[general == (frame["specialize_tokens"] == 0)]
    return frame.loc[frame["pretrain_tokens"] + frame["specialize_tokens"] > 0, ["size", *RUN]]


def _levels(fit: FitResult, column: str) -> list[float]:
    """Numbers of tokens from the largest of the table to the smallest, and 0 if it is there."""
    low, high = fit.range[column]
    if low == high:
        return [high]
    # The frame adds half the smallest number above 0 to D and to D'.
    tau = {"pretrain_tokens": fit.frame.tau_pretrain, "specialize_tokens": fit.frame.tau_specialize}
    levels = high / FACTOR ** np.arange(MOST_STEPS)
    return sorted(
        {
            *levels[levels >= max(low, 2 * tau[column])].round().tolist(),
            *([0.0] if low == 0 else []),
        }
    )
