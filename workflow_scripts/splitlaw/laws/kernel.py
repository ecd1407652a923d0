"""The covariance of the discrepancy, and functions drawn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitlaw.laws.points import Array

UNSPLIT_LENGTH = 1.5
"""Length-scale of the discrepancy at D' = 0 over log N and log D: rows there are few, and it is
smooth since no branch enters it."""

UNSPLIT_TREND = 2.0
"""Ratio of the constant and of the slopes at D' = 0 to the amplitude of the smooth part there."""

FEATURES = 256
UNSPLIT_FEATURES = 64
"""Random Fourier features of a drawn function. They serve only where there are no data: near data
the kernel itself corrects a draw (pathwise conditioning, Wilson et al. 2020, arXiv:2002.09309)."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """k(x, x') for points of one domain, in squared log loss.

    a^2 exp(-|x - x'|^2 / 2) + b^2 x.x' + z z' c^2 (4 + 4 x.x' + exp(-|x - x'|^2 / 2)), with
    coordinates divided by length-scales in the exponentials, and z = 1 at D' = 0 only.
    """

    amplitude: float
    """a."""
    lengths: Array
    """Length-scales of the coordinates [d]."""
    slope: float
    """b, per unit of a coordinate (a factor of e): grows without end outside the data."""
    unsplit: float = 0.0
    """c."""

    def __call__(self, a: Array, za: Array, b: Array, zb: Array) -> Array:
        """Covariances [n, m] of points with coordinates a [n, d], b [m, d] and z's."""
        value = self.smooth(a, b) + self.slope**2 * (a @ b.T)
        if self.unsplit and za.any() and zb.any():
            value += np.outer(za, zb) * self.unsplit**2 * unsplit_part(a, b)
        return value

    def smooth(self, a: Array, b: Array) -> Array:
        """a^2 exp(-|x - x'|^2 / 2) [n, m]."""
        return self.amplitude**2 * squared_exponential(a / self.lengths, b / self.lengths)


def squared_exponential(a: Array, b: Array) -> Array:
    """exp(-|x - x'|^2 / 2) [n, m]."""
    distance = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.exp(-0.5 * np.maximum(distance, 0.0))


def unsplit_part(a: Array, b: Array) -> Array:
    """The covariance at D' = 0 for c = 1 [n, m], over log N and log D."""
    trend = UNSPLIT_TREND**2 * (1 + a[:, :2] @ b[:, :2].T)
    return trend + squared_exponential(a[:, :2] / UNSPLIT_LENGTH, b[:, :2] / UNSPLIT_LENGTH)


@dataclass(frozen=True, kw_only=True)
class Features:
    """Random frequencies and phases, of which every draw of every domain uses its own mixture."""

    frequency: Array
    """[f, d], for coordinates divided by length-scales."""
    phase: Array
    """[f]."""
    unsplit_frequency: Array
    """[f', 2]."""
    unsplit_phase: Array
    """[f']."""

    @classmethod
    def draw(cls, dimensions: int, rng: np.random.Generator) -> Features:
        """Features of the squared exponential (Rahimi and Recht 2007)."""
        return cls(
            frequency=rng.standard_normal((FEATURES, dimensions)),
            phase=rng.uniform(0, 2 * np.pi, FEATURES),
            unsplit_frequency=rng.standard_normal((UNSPLIT_FEATURES, 2)),
            unsplit_phase=rng.uniform(0, 2 * np.pi, UNSPLIT_FEATURES),
        )


def cosines(points: Array, frequency: Array, phase: Array) -> Array:
    """sqrt(2 / f) cos(w x + p) [n, f]."""
    return np.sqrt(2 / len(phase)) * np.cos(points @ frequency.T + phase)


def basis(
    kernel: Kernel, features: Features, x: Array, z: Array, centres: Array, zero: Array
) -> Array:
    """Values [n, m] at coordinates x [n, d] of the functions of which every draw is a mixture.

    In this order: random features, kernel sections at the `centres` of the domain's groups,
    coordinates; and where rows at D' = 0 have a discrepancy of their own, z times 1, log N, log D,
    random features and kernel sections of these groups (`zero` is 1 for them).
    """
    parts = [
        kernel.amplitude * cosines(x / kernel.lengths, features.frequency, features.phase),
        kernel.smooth(x, centres),
        x,
    ]
    if kernel.unsplit:
        own = centres[zero > 0, :2] / UNSPLIT_LENGTH
        near = x[:, :2]
        scaled = near / UNSPLIT_LENGTH
        drawn = cosines(scaled, features.unsplit_frequency, features.unsplit_phase)
        ones = np.ones((len(x), 1))
        parts += [z[:, None] * p for p in (ones, near, kernel.unsplit * drawn)]
        parts += [z[:, None] * kernel.unsplit**2 * squared_exponential(scaled, own)]
    return np.concatenate(parts, axis=1)


def basis_size(kernel: Kernel, features: Features, centres: Array, zero: Array) -> int:
    """Number of functions of `basis`."""
    size = len(features.phase) + len(centres) + centres.shape[1]
    if kernel.unsplit:
        size += 3 + len(features.unsplit_phase) + int((zero > 0).sum())
    return size


def prior_weights(
    kernel: Kernel,
    features: Features,
    centres: Array,
    zero: Array,
    draws: int,
    rng: np.random.Generator,
) -> Array:
    """Weights [draws, m] of functions drawn from the prior: none on kernel sections."""
    d = centres.shape[1]
    weights = np.zeros((draws, basis_size(kernel, features, centres, zero)))
    f = len(features.phase)
    weights[:, :f] = rng.standard_normal((draws, f))
    at = f + len(centres)
    weights[:, at : at + d] = kernel.slope * rng.standard_normal((draws, d))
    if kernel.unsplit:
        at += d
        trend = UNSPLIT_TREND * kernel.unsplit
        weights[:, at : at + 3] = trend * rng.standard_normal((draws, 3))
        own = len(features.unsplit_phase)
        weights[:, at + 3 : at + 3 + own] = rng.standard_normal((draws, own))
    return weights


def section_weights(
    kernel: Kernel, features: Features, centres: Array, zero: Array, sections: Array
) -> Array:
    """Weights [draws, m] of the functions sum over groups of `sections` [draws, g] k(., group)."""
    d, f, g = centres.shape[1], len(features.phase), len(centres)
    weights = np.zeros((len(sections), basis_size(kernel, features, centres, zero)))
    weights[:, f : f + g] = sections
    at = f + g
    weights[:, at : at + d] = kernel.slope**2 * (sections @ centres)
    if kernel.unsplit:
        at += d
        own = sections[:, zero > 0]
        trend = (UNSPLIT_TREND * kernel.unsplit) ** 2
        weights[:, at] = trend * own.sum(axis=1)
        weights[:, at + 1 : at + 3] = trend * (own @ centres[zero > 0, :2])
        weights[:, at + 3 + len(features.unsplit_phase) :] = own
    return weights
