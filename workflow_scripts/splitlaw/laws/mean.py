"""The parametric mean of the log loss: a form of the law, and the cost of repeated text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from splitlaw.laws.dual import Dual, Expression, Number, exp, log
from splitlaw.laws.form import Form, Prior
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.rows import Frame

REPETITION: Mapping[str, Prior] = {
    "repetitions": Prior(15.4, 1.0),
    "overfit": Prior(0.003, 1.5),
    "overfit_power": Prior(1.0, 0.3),
    "overfit_size": Prior(0.3, 0.5),
}
"""Parameters of repeated text, common to all domains. Up to a few passes, a repeated token is worth
nearly a new one; `repetitions` is R* of Muennighoff et al. 2023 (arXiv:2305.16264), where it is
15.4. Beyond, the loss rises: by `overfit` of itself at the second pass over a text of the middle of
the table, as a power of the number of further passes and of parameters per unique token. A table
without repeated text leaves them at their priors, so that plans with many passes are uncertain."""

BASE = "base"
"""Common parameter: tokens of a base model that D does not count, in units of D."""

BASE_SD = 2.0
"""Standard deviation of the logarithm of these tokens about 20 per parameter, which is optimal for
one model by itself (Hoffmann et al. 2022). Published models have 2 to 2,000 tokens per parameter,
which are within 2.3 standard deviations."""

REWARMING: Mapping[str, Prior] = {"rewarm": Prior(0.02, 1.0), "rewarm_tokens": Prior(0.05, 1.0)}
"""Common parameters of runs that continue from a base: the rise of log loss by which a learning
rate that rises again sets a model back, and the tokens over which half of it is made up, in units
of D + D'. On a base of 25 thousand parameters the rise was some 2% after 65 thousand tokens."""

COOLDOWN: Mapping[str, Prior] = {"annealing": Prior(0.7, 0.5)}
"""Common parameter of runs whose cooldown is known: the exponent of the mean learning rate of a
branch. A branch of D' tokens counts as D' times that power of it, because the schedule is one for D
and D', and a short branch falls into its end. At 1, a token counts in proportion to its learning
rate; at 0, all tokens count alike."""

SOME = 1e-6
"""Tokens after the base, in units of D + D', that are many beside none: the base as it is given was
not warmed up again."""

CORRELATION = 0.9
"""Prior correlation of a parameter over domains: it differs by a third of its prior standard
deviation. Chosen among 0.8, 0.9 and a free value by the errors of left-out sizes on two grids
(docs/law.md); the marginal likelihood prefers 0.96, which predicts other sizes worse."""

TINY = 1e-30
"""Unique tokens of a stage without tokens, where a power of them is multiplied by 0."""


@dataclass(frozen=True)
class Mean:
    """log f of every domain, as a function of one vector.

    The vector has the parameters of each domain [domains * p], then those that domains have in
    common, `REPETITION` last.
    """

    form: Form
    frame: Frame
    domains: int

    @cached_property
    def common(self) -> Mapping[str, Prior]:
        """Parameters that domains have in common: of a base, of the cooldown, and `REPETITION`."""
        found = dict(REPETITION)
        if self.frame.cooldown is not None:
            found = {**COOLDOWN, **found}
        if self.frame.start is not None:
            found = {**REWARMING, **found}
        if self.frame.base:
            prior = Prior(self.frame.base / self.frame.units.pretrain, BASE_SD)
            found = {BASE: prior, **found}
        return found

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.domains * len(self.form.names) + len(self.common)

    @property
    def centre(self) -> Array:
        """Prior medians of the vector."""
        own = np.tile(self.form.centre, self.domains)
        return np.concatenate([own, [prior.centre for prior in self.common.values()]])

    def by_domain(self, vector: Array) -> Array:
        """The domains' parameters [..., domains, p] of vectors [..., size]."""
        p = len(self.form.names)
        return vector[..., : self.domains * p].reshape(*vector.shape[:-1], self.domains, p)

    @cached_property
    def prior_precision(self) -> Array:
        """Inverse prior covariance [size, size]."""
        k = self.domains
        ones = CORRELATION / (1 + (k - 1) * CORRELATION)
        across = (np.eye(k) - ones) / (1 - CORRELATION)
        return self._assemble(np.asarray(np.kron(across, np.diag(self.form.spread**-2.0))), -2)

    @cached_property
    def prior_covariance(self) -> Array:
        """Prior covariance [size, size]: a parameter is correlated over the domains."""
        k = self.domains
        across = np.full((k, k), CORRELATION) + (1 - CORRELATION) * np.eye(k)
        return self._assemble(np.asarray(np.kron(across, np.diag(self.form.spread**2))), 2)

    @cached_property
    def prior_root(self) -> Array:
        """Cholesky factor of the prior covariance [size, size]."""
        return np.asarray(np.linalg.cholesky(self.prior_covariance))

    def _assemble(self, own: Array, power: int) -> Array:
        matrix = np.zeros((self.size, self.size))
        matrix[: len(own), : len(own)] = own
        for j, prior in enumerate(self.common.values(), start=len(own)):
            matrix[j, j] = float(prior.sd) ** power
        return matrix

    def evaluate(self, vector: Array, x: Points, domain: Indices) -> Array:
        """log f [..., n] for vectors [..., size] at points [n]; infinite where the form is."""
        values = self.form.values(self.by_domain(vector)[..., domain, :])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = log_loss(
                self.form, SimpleNamespace(**values), self._common(vector), x, self.frame
            )
        return np.where(np.isnan(value), np.inf, value)

    def _common(self, vector: Array) -> SimpleNamespace:
        first = vector.shape[-1] - len(self.common)
        return SimpleNamespace(
            **{name: np.exp(vector[..., first + j, None]) for j, name in enumerate(self.common)}
        )

    def slopes(self, vectors: Array, x: Points, domain: Indices) -> tuple[Array, Array]:
        """log f [..., n] for vectors [..., size], and its derivatives [..., n, p + c].

        The derivatives are by the parameters of the point's domain and by those in `common`, whose
        places in a vector are `positions(domain)`.
        """
        p = self.form.duals(self.by_domain(vectors)[..., domain, :])
        common = self._common(vectors)
        duals = SimpleNamespace(**{n: Dual(v, {n: v}) for n, v in vars(common).items()})
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = log_loss(self.form, p, duals, x, self.frame)
        names = (*self.form.names, *self.common)
        slopes = np.zeros((*value.value.shape, len(names)))
        for j, name in enumerate(names):
            slopes[..., j] = value.parts.get(name, 0.0)
        return value.value, np.nan_to_num(slopes, copy=False, posinf=0.0, neginf=0.0)

    def positions(self, domain: int) -> Indices:
        """Places in a vector of the parameters of a domain and of those in `common` [p + c]."""
        p = len(self.form.names)
        common = np.arange(self.size - len(self.common), self.size)
        return np.concatenate([np.arange(domain * p, (domain + 1) * p), common])

    def jacobian(self, vector: Array, x: Points, domain: Indices) -> tuple[Array, Array]:
        """log f [n] and its derivatives [n, size] at points [n]."""
        value, slopes = self.slopes(vector, x, domain)
        matrix = np.zeros((len(domain), self.size))
        for k in np.unique(domain):
            rows = np.flatnonzero(domain == k)
            matrix[rows[:, None], self.positions(k)] = slopes[rows]
        return value, matrix


def log_loss(form: Form, p: Any, common: Any, x: Points, frame: Frame) -> Number:
    """log f at points, with parameters and points as arrays, `Dual` or `Expression`."""
    units, seen = frame.units, x
    repeats = [_repeated(x.pretrain_passes), _repeated(x.specialize_passes)]
    if any(repeats):
        d = effective_tokens(x.D, x.pretrain_passes, common.repetitions) if repeats[0] else x.D
        s = effective_tokens(x.S, x.specialize_passes, common.repetitions) if repeats[1] else x.S
        total = d * (units.pretrain / units.tokens) + s * (units.specialize / units.tokens)
        total = total + x.R * (units.pretrain / units.tokens) if frame.replays else total
        seen = replace(x, D=d, S=s, T=total)
    if frame.base:
        base = getattr(common, BASE)
        total = seen.T + base * (units.pretrain / units.tokens)
        seen = replace(seen, D=seen.D + base, T=total)
    pretrain, specialize = (u / units.tokens for u in (units.pretrain, units.specialize))
    branch = x.R * pretrain + x.S * specialize
    after = x.D * pretrain + branch - (frame.start or 0.0) / units.tokens
    if frame.cooldown is not None:
        rate = mean_rate(branch / (after + TINY), frame.cooldown)
        seen = replace(seen, S=seen.S * rate**common.annealing)
    value = log(form.loss(p, seen))
    if frame.start is not None:
        warmed = after / (after + SOME)
        value = value + common.rewarm * warmed / (1 + after / common.rewarm_tokens)
    if not any(repeats):
        return value
    stages = (x.D, x.pretrain_passes), (x.S, x.specialize_passes)
    for (tokens, passes), repeated in zip(stages, repeats, strict=True):
        if repeated:
            per_token = x.N / (tokens / passes + TINY)
            further = (passes - 1) ** common.overfit_power
            value = value + common.overfit * further * per_token**common.overfit_size
    return value


def mean_rate(share: Number, cooldown: float) -> Number:
    """Mean learning rate of the last `share` of a run, relative to its peak.

    The rate is constant and then falls linearly to 0 over the part `cooldown` of the run.
    """
    if isinstance(share, Expression):
        within, beyond = share / (2 * cooldown), 1 - cooldown / 2 / share
        return Expression(f"({share.text} < {cooldown!r} ? {within.text} : {beyond.text})")
    share = np.asarray(share)
    beyond = 1 - cooldown / 2 / np.maximum(share, cooldown)
    return np.where(share < cooldown, share / (2 * cooldown), beyond)


def _repeated(passes: Number) -> bool:
    """Whether any point has more than one pass; always for an `Expression`."""
    return isinstance(passes, Expression) or bool(np.any(np.asarray(passes) > 1))


def effective_tokens(tokens: Number, passes: Number, repetitions: Number) -> Number:
    """Unique tokens that would teach as much: U + U R (1 - exp(-(T / U - 1) / R)).

    Equation 5 of Muennighoff et al. 2023: no more than U (1 + R) together.
    """
    again = -exp(-(passes - 1) / repetitions)
    return tokens / passes * (1 + repetitions * (1 + again))


def javascript(form: Form, frame: Frame) -> str:
    """Source of an expression for log f, of `p.<parameter>`, `c.<common>` and the points.

    The points are N, D, S, T (in the units of the fit), PD, PS (passes), r and R (replay).
    """
    p = SimpleNamespace(**{name: Expression(f"p.{name}") for name in form.names})
    common = SimpleNamespace(
        **{name: Expression(f"c.{name}") for name in (BASE, *REWARMING, *COOLDOWN, *REPETITION)}
    )
    x = Points(*(Expression(name) for name in ("N", "D", "S", "T", "PD", "PS", "r", "R")))
    return str(log_loss(form, p, common, x, frame).text)
