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
    """k(x, x') for two points of one domain, in squared log loss.

    a^2 e(x, x') + b^2 x.x' + z z' c^2 (4 + 4 x.x' + e'(x, x')), where e = exp(-|x - x'|^2 / 2)
    with coordinates divided by length-scales, and z = 1 at D' = 0.
    """

    amplitude: float
    """a."""
    lengths: Array
    """Length-scales of the coordinates [d]."""
    slope: float
    """b, per unit of a coordinate (a factor of e): grows without end outside the data."""
    unsplit: float = 0.0
    """c."""

    def smooth(self, a: Array, b: Array) -> Array:
        """a^2 e(x, x') [n, m]."""
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

    @property
    def none(self) -> Features:
        """No features, of as many coordinates."""
        nothing = np.zeros(0)
        return Features(
            frequency=self.frequency[:0],
            phase=nothing,
            unsplit_frequency=self.unsplit_frequency[:0],
            unsplit_phase=nothing,
        )

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
    values = points @ frequency.T
    values += phase
    np.cos(values, out=values)
    values *= np.sqrt(2 / max(len(phase), 1))
    return np.asarray(values)


def basis(
    kernel: Kernel, features: Features, x: Array, z: Array, sites: Array, zero: Array
) -> Array:
    """Values [n, m] at coordinates x [n, d] of the functions of which every draw is a mixture.

    In this order: random features, kernel sections at the sites, coordinates; and where rows at
    D' = 0 have a discrepancy of their own, z times 1, log N, log D, random features and kernel
    sections of these sites (`zero` is 1 for them).
    """
    parts = [
        kernel.amplitude * cosines(x / kernel.lengths, features.frequency, features.phase),
        kernel.smooth(x, sites),
        x,
    ]
    if kernel.unsplit:
        own = sites[zero > 0, :2] / UNSPLIT_LENGTH
        near = x[:, :2]
        scaled = near / UNSPLIT_LENGTH
        drawn = cosines(scaled, features.unsplit_frequency, features.unsplit_phase)
        ones = np.ones((len(x), 1))
        parts += [z[:, None] * p for p in (ones, near, kernel.unsplit * drawn)]
        parts += [z[:, None] * kernel.unsplit**2 * squared_exponential(scaled, own)]
    return np.concatenate(parts, axis=1)


def basis_size(kernel: Kernel, features: Features, sites: Array, zero: Array) -> int:
    """Number of functions of `basis`."""
    size = len(features.phase) + len(sites) + sites.shape[1]
    if kernel.unsplit:
        size += 3 + len(features.unsplit_phase) + int((zero > 0).sum())
    return size


def prior_weights(
    kernel: Kernel,
    features: Features,
    sites: Array,
    zero: Array,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> Array:
    """Weights [draws, domains, m] of functions drawn from the prior, for `shape` (draws, domains).

    None on kernel sections.
    """
    d, f = sites.shape[1], len(features.phase)
    weights = np.zeros((*shape, basis_size(kernel, features, sites, zero)))
    weights[..., :f] = rng.standard_normal((*shape, f))
    at = f + len(sites)
    weights[..., at : at + d] = kernel.slope * rng.standard_normal((*shape, d))
    if kernel.unsplit:
        at += d
        trend = UNSPLIT_TREND * kernel.unsplit
        weights[..., at : at + 3] = trend * rng.standard_normal((*shape, 3))
        count = len(features.unsplit_phase)
        weights[..., at + 3 : at + 3 + count] = rng.standard_normal((*shape, count))
    return weights


def section_weights(
    kernel: Kernel, features: Features, sites: Array, zero: Array, sections: Array
) -> Array:
    """Weights [draws, domains, m] of sums of kernel sections.

    `sections` [draws, domains, sites] are the coefficients of k(., site of a domain).
    """
    d, f, m = sites.shape[1], len(features.phase), len(sites)
    weights = np.zeros((*sections.shape[:2], basis_size(kernel, features, sites, zero)))
    weights[..., f : f + m] = sections
    at = f + m
    weights[..., at : at + d] = kernel.slope**2 * (sections @ sites)
    if kernel.unsplit:
        at += d
        own = sections[..., zero > 0]
        trend = (UNSPLIT_TREND * kernel.unsplit) ** 2
        weights[..., at] = trend * own.sum(axis=-1)
        weights[..., at + 1 : at + 3] = trend * (own @ sites[zero > 0, :2])
        weights[..., at + 3 + len(features.unsplit_phase) :] = own
    return weights
