"""The amounts of tokens at which losses are tabulated, and interpolation between them."""

from dataclasses import dataclass

import numpy as np

from splitlaw.planner.constraint import Array


@dataclass(frozen=True)
class Nodes:
    """Amounts of tokens above the least: scale (e^(step p) - 1) at positions p = 0, 1, 2, ...

    Evenly spaced where amounts are below the scale, and by a factor above it. A law is smooth in
    such a coordinate, since it is one in the logarithm of tokens plus an offset.
    """

    scale: Array
    """Tokens, [k] or any shape that is broadcast to that of the amounts."""

    step: float

    def tokens(self, position: Array) -> Array:
        """Amounts at positions of the same shape as the scale, or without its last axis."""
        return np.asarray(self.scale * np.expm1(self.step * position))

    def position(self, tokens: Array) -> Array:
        """The inverse of `tokens`."""
        return np.asarray(np.log1p(tokens / self.scale) / self.step)

    def grid(self, count: int) -> Array:
        """Amounts at the first positions [..., k, count]."""
        return np.asarray(self.scale[..., None] * np.expm1(self.step * np.arange(count)))


def within(values: Array, position: Array) -> Array:
    """Interpolated values, between those of the two nodes around each position.

    A loss that is steep near 0 tokens would be undershot by the cubic.
    """
    before = np.clip(np.floor(position).astype(np.intp), 0, values.shape[-1] - 2)
    ends = [np.take_along_axis(values, before[..., None] + i, axis=-1)[..., 0] for i in (0, 1)]
    return np.clip(interpolate(values, position), np.minimum(*ends), np.maximum(*ends))


def interpolate(values: Array, position: Array) -> Array:
    """Values [..., j] at positions [...] between the nodes, from the four nodes around each."""
    first = np.clip(np.floor(position).astype(np.intp) - 1, 0, values.shape[-1] - 4)
    t = position - first
    weights = (
        (t - 1) * (t - 2) * (t - 3) / -6,
        t * (t - 2) * (t - 3) / 2,
        t * (t - 1) * (t - 3) / -2,
        t * (t - 1) * (t - 2) / 6,
    )
    parts = [
        weight * np.take_along_axis(values, first[..., None] + i, axis=-1)[..., 0]
        for i, weight in enumerate(weights)
    ]
    return np.asarray(sum(parts))
