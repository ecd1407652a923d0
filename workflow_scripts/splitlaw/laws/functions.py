"""A fitted law as functions of (N, D, D', domain): the mean of its forms, and its draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from splitlaw.laws.log_loss import REPETITION
from splitlaw.laws.member import Member
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.rows import Frame

Self = TypeVar("Self", bound="Functions")

HIGHEST = float(np.log(1e6))
"""Largest finite log loss, in units of the table's middle. Far from the table, such as after a
billion passes over a text, a law may exceed every number, and no splits could be compared there."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Functions:
    """Forms averaged by their weights, with functions drawn from the posterior."""

    domains: tuple[str, ...]
    """Names of the domains, in alphabetical order."""

    members: tuple[Member, ...]
    """The forms that predictions average, by decreasing weight."""

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each form."""
        return {member.law: member.weight for member in self.members}

    @property
    def n_draws(self) -> int:
        """Number of draws of all members together."""
        return sum(member.draws for member in self.members)

    @property
    def draw_members(self) -> Indices:
        """Number of the member of each draw [draws]."""
        return np.repeat(np.arange(len(self.members)), [m.draws for m in self.members])

    @property
    def frame(self) -> Frame:
        """How points become arguments of the fit."""
        return self.members[0].mean.frame

    @property
    def stages(self) -> int:
        """2 for a law of D and D', 1 for a law of their sum."""
        return min(self.frame.stages, max(member.form.stages for member in self.members))

    @property
    def repetitions(self) -> float:
        """Repetitions of a text after which another pass is worth 1/e of the first."""
        name = list(REPETITION).index("repetitions")
        return float(
            np.exp(self.members[0].vector[len(self.members[0].vector) - len(REPETITION) + name])
        )

    def losses(
        self,
        params: ArrayLike,
        pretrain: ArrayLike,
        specialize: ArrayLike,
        domain: ArrayLike,
        *,
        unique_pretrain: ArrayLike | None = None,
        unique_specialize: ArrayLike | None = None,
        replay: ArrayLike = 0.0,
    ) -> Array:
        """Expected loss over seeds, in nats per token, at points of the broadcast shape [...].

        N in parameters; D, D' and how many of them differ in tokens; `domain` numbers in
        `domains`; `replay` is the share of general tokens in the branch, of which D' are the
        domain tokens alone. Infinite where a form is.
        """
        at, shape = self._at(
            params, pretrain, specialize, domain, unique_pretrain, unique_specialize, replay
        )
        parts = [m.weight * _capped(m.log_losses(*at, drawn=False)[0]) for m in self.members]
        total = sum(member.weight for member in self.members)
        return np.asarray(sum(parts) / total * self.frame.units.loss).reshape(shape)

    def drawn_losses(
        self,
        params: ArrayLike,
        pretrain: ArrayLike,
        specialize: ArrayLike,
        domain: ArrayLike,
        *,
        unique_pretrain: ArrayLike | None = None,
        unique_specialize: ArrayLike | None = None,
        replay: ArrayLike = 0.0,
    ) -> Array:
        """The same under every draw [draws, ...]."""
        at, shape = self._at(
            params, pretrain, specialize, domain, unique_pretrain, unique_specialize, replay
        )
        found = _capped(np.concatenate([m.log_losses(*at, drawn=True) for m in self.members]))
        found *= self.frame.units.loss
        return found.reshape(-1, *shape)

    def _at(
        self,
        params: ArrayLike,
        pretrain: ArrayLike,
        specialize: ArrayLike,
        domain: ArrayLike,
        unique_pretrain: ArrayLike | None,
        unique_specialize: ArrayLike | None,
        replay: ArrayLike,
    ) -> tuple[tuple[Array, Array, Points, Indices], tuple[int, ...]]:
        """Arguments of `Member.log_losses` for points of any shape, and that shape."""
        given = [params, pretrain, specialize, domain]
        unique = [pretrain if unique_pretrain is None else unique_pretrain]
        unique += [specialize if unique_specialize is None else unique_specialize]
        arrays = np.broadcast_arrays(*given, *unique, replay)
        n, d, s, _, ud, us, r = (np.asarray(a, dtype=float).ravel() for a in arrays)
        x = Points.of(self.frame.units, n, d, s, ud, us, r)
        coordinates = self.frame.coordinates(n, d, s, x)
        numbers = arrays[3].ravel().astype(np.intp)
        return (coordinates, self.frame.unsplit_share(s), x, numbers), arrays[0].shape

    def noise_sd(self, pretrain: ArrayLike = 1.0, specialize: ArrayLike = 1.0) -> Array:
        """Standard deviation of log loss of a new run about its expectation, of trunk and row."""
        d, s = np.asarray(pretrain, dtype=float), np.asarray(specialize, dtype=float)
        return self.members[0].noise_sd(d, s)

    def only(self: Self, law: str) -> Self:
        """The law with one of its forms alone."""
        member = next(m for m in self.members if m.law == law)
        return replace(self, members=(replace(member, weight=1.0),))

    @cached_property
    def without_draws(self: Self) -> Self:
        """The law without its draws, whose losses take a third of the time."""
        return replace(self, members=tuple(member.without_draws for member in self.members))

    def first(self: Self, draws: int) -> Self:
        """The law with about `draws` draws, the members' shares kept."""
        if draws >= self.n_draws:
            return self
        share = draws / self.n_draws
        few = [
            m.take(np.arange(max(1, round(share * m.draws)))) if m.draws else m
            for m in self.members
        ]
        return replace(self, members=tuple(few))


def _capped(log_losses: Array) -> Array:
    """Losses of log losses, at most exp(`HIGHEST`), but infinite where the form is.

    They take the place of the log losses: the draws are the largest arrays of a plan.
    """
    beyond = log_losses > HIGHEST
    if beyond.any():
        log_losses[beyond & np.isfinite(log_losses)] = HIGHEST
    return np.exp(log_losses, out=log_losses)


def base_tokens(law: Functions) -> Array:
    """Tokens of a base that D does not count: the estimate, then draws; empty without one."""
    if not law.frame.base:
        return np.zeros(0)
    # The base is the first parameter that domains have in common.
    place = [len(law.domains) * len(m.form.names) for m in law.members]
    values = [m.vector[j] for m, j in zip(law.members, place, strict=True)]
    centre = np.average(values, weights=[m.weight for m in law.members])
    drawn = [m.vectors[:, j] for m, j in zip(law.members, place, strict=True)]
    return np.asarray(np.exp(np.concatenate([[centre], *drawn])) * law.frame.units.pretrain)
