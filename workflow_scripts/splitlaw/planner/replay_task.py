"""The shares of replay and the limit on general loss of a plan, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.special import ndtri

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array, Constraint
from splitlaw.planner.replay import ReplaySurface
from splitlaw.planner.task import Task, check_size

CONFIDENCE = 0.9
"""Probability that a specialist keeps a limit, unless it is given: where the prediction itself were
at the limit, half of the specialists would exceed it. Higher probabilities are known badly: of 300
draws of a law, 3 are beyond 99%."""

FREE = "free"
"""In place of a share of replay that the plan chooses."""

Shares: TypeAlias = float | str | Mapping[str, float | str] | None
"""A share of replay, or `free`, of all domains or of each; None where nothing is asked for."""


@dataclass(frozen=True, kw_only=True)
class ReplayTask:
    """A plan with a base, with replay or with a limit on general loss."""

    task: Task
    flops: float
    params: float
    shares: tuple[float | None, ...]
    """Share of each domain [k]; None where it is free."""
    rise: float | None
    """Largest relative rise of general loss; None without a limit."""
    confidence: float
    """Probability with which each specialist keeps the limit; 0.5 limits the prediction itself."""
    base_loss: float | None
    """Measured general loss of the base as it is given, nats per token; None to take the law's."""

    @property
    def fit(self) -> FitResult:
        """The law of the domains, with that of the general loss."""
        return self.task.fit

    @property
    def start(self) -> float:
        """Tokens of the base that D of the law counts."""
        base = self.fit.base
        return base if isinstance(base, float | int) else 0.0

    @property
    def constraint(self) -> Constraint:
        """The budget in tokens; D is counted from the base on."""
        found = self.task.constraint(self.flops, self.params)
        if found.pretrain is None:
            return found
        return replace(found, pretrain=found.pretrain - self.start)

    @property
    def has_general(self) -> bool:
        """Whether the fit has the general loss of every specialist."""
        after = self.fit.general_after
        return after is not None and set(self.task.setting.domains) <= set(after.domains)

    def surface(self) -> ReplaySurface:
        """The losses of branches, within the limit."""
        everything = np.full(len(self.shares), np.inf)
        free = ReplaySurface(
            fit=self.fit,
            params=self.params,
            setting=self.task.setting,
            start=self.start,
            shares=self.shares,
            most=self.fit.range.get("replay", (0.0, 0.0))[1],
            limit=everything,
        )
        if self.rise is None:
            return free
        limited = free.within((1 + self.rise) * self.reference(free))
        return replace(limited, deviations=float(ndtri(self.confidence)))

    def reference(self, surface: ReplaySurface) -> Array:
        """General loss of the model without specialising [k], from which rises are counted.

        The base as it is given; without one, the general run of the whole budget.
        """
        if self.base_loss is not None:
            return np.full(len(self.shares), self.base_loss)
        constraint = self.constraint
        given = constraint.pretrain if self.fit.base is None else 0.0
        tokens = constraint.tokens if given is None else given
        none = np.zeros(len(self.shares))
        return surface.laws.general(np.array(tokens), none, none)


def make_replay_task(
    task: Task,
    *,
    flops: float,
    params: float | Sequence[float] | None,
    replay: Shares,
    max_general_loss_rise: float | None,
    limit_confidence: float | None,
    base_general_loss: float | None,
) -> ReplayTask:
    """Check the arguments; raises `UserError` with the one that cannot be used."""
    if GENERAL in task.setting.limits:
        raise UserError(
            "unique_tokens: a plan with a base, with replay or with a limit on general loss counts "
            "no repeated general text; give limits of domains alone"
        )
    made = ReplayTask(
        task=task,
        flops=flops,
        params=_size(task.fit, params),
        shares=_shares(task, replay, max_general_loss_rise is not None),
        rise=max_general_loss_rise,
        confidence=CONFIDENCE if limit_confidence is None else limit_confidence,
        base_loss=base_general_loss,
    )
    if made.base_loss is not None and not (np.isfinite(made.base_loss) and made.base_loss > 0):
        raise UserError(f"base_general_loss is {made.base_loss:g}; give a number above 0")
    if made.rise is None:
        if limit_confidence is not None:
            raise UserError("limit_confidence: there is no limit; give max_general_loss_rise too")
        return made
    if not (np.isfinite(made.rise) and made.rise > -1):
        raise UserError(f"max_general_loss_rise is {made.rise:g}; give a number above -1")
    if not made.has_general:
        raise UserError(
            "max_general_loss_rise: the fit has no general loss of specialists; fit a table with "
            "rows of the domain general and a train_domain, for every domain of the plan"
        )
    if not 0.5 <= made.confidence < 1:
        raise UserError(
            f"limit_confidence is {made.confidence:g}; give a probability of at least 0.5 (the "
            "prediction itself is within the limit) and below 1"
        )
    after = made.fit.general_after
    if made.confidence > 0.5 and after is not None and after.n_draws == 0:
        raise UserError(
            "limit_confidence: the fit has no draws, which a probability is computed from; fit "
            "with --draws, or give 0.5"
        )
    return made


def _size(fit: FitResult, params: float | Sequence[float] | None) -> float:
    low, high = fit.range["params"]
    given = [] if params is None else np.atleast_1d(np.asarray(params, dtype=float)).tolist()
    if not given and low == high:
        return low
    if len(given) != 1 or not (np.isfinite(given[0]) and given[0] > 0):
        raise UserError("a plan with replay or a base has one size; give one params above 0")
    check_size(fit, given[0])
    return float(given[0])


def _shares(task: Task, replay: Shares, limited: bool) -> tuple[float | None, ...]:
    """The share of each domain: 0 where none is named, or free where only a limit is given."""
    names, measured = task.setting.domains, task.fit.range.get("replay", (0.0, 0.0))[1]
    if replay is None:
        replay = FREE if limited and measured > 0 else 0.0
    given = replay if isinstance(replay, Mapping) else dict.fromkeys(names, replay)
    for name, share in given.items():
        if name not in names:
            raise UserError(f"replay: domain {name!r} is not planned; give {', '.join(names)}")
        if share == FREE and measured == 0:
            raise UserError(
                f"replay: {name}=free, but no row of the fit has replay, so the law does not know "
                "how the loss depends on it; measure some, or give a share"
            )
        if share != FREE and not (isinstance(share, float | int) and 0 <= share < 1):
            raise UserError(
                f"replay: {name}={share}; give a share of at least 0 and below 1, or free"
            )
    chosen = [given.get(name, 0.0) for name in names]
    return tuple(None if share == FREE else float(share) for share in chosen)
