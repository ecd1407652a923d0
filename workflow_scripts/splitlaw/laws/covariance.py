"""Gaussian algebra of the rows: a block for each domain, and a part of low rank across them.

The covariance of the rows is C + U W U'. C is block-diagonal by domain: the discrepancy, equal for
the rows of a group, plus the noise of each row. U holds what domains share: the trunks and, where
the parameters are integrated out, the derivatives of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri

from splitlaw.laws.points import Array
from splitlaw.laws.rows import Rows


@dataclass(frozen=True)
class Blocks:
    """C = A K A' + noise, with A of rows by groups and K the covariance of the groups."""

    rows: Rows
    kernels: list[Array]
    """Covariance of the groups of each domain [g, g]."""
    noise: Array
    """Variance of each row [n]."""

    @cached_property
    def precision(self) -> Array:
        """Precision of the mean of each group's rows [g]."""
        return np.asarray(np.bincount(self.rows.group, weights=1 / self.noise), dtype=float)

    @cached_property
    def _factors(self) -> list[Array]:
        """Lower Cholesky factors of I + s K s, with s the root of the precisions."""
        found = []
        for part, kernel in zip(self.rows.group_slices, self.kernels, strict=True):
            root = np.sqrt(self.precision[part])
            matrix = root[:, None] * kernel * root
            matrix[np.diag_indices_from(matrix)] += 1.0
            factor, _ = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
            found.append(np.asarray(factor, dtype=float))
        return found

    @cached_property
    def logdet(self) -> float:
        """log det C."""
        blocks = sum(2 * np.log(np.diag(factor)).sum() for factor in self._factors)
        return float(blocks + np.log(self.noise).sum())

    def solve(self, v: Array) -> Array:
        """C^-1 v for v [n, m]."""
        scaled = v / self.noise[:, None]
        root = np.sqrt(self.precision)[:, None]
        sums = self.rows.sum_by_group(scaled) / root
        for part, factor in zip(self.rows.group_slices, self._factors, strict=True):
            sums[part] -= cho_solve((factor, True), sums[part], check_finite=False)
        return scaled - (sums / root)[self.rows.group] / self.noise[:, None]

    @cached_property
    def inverses(self) -> list[Array]:
        """(I + s K s)^-1 of each domain."""
        found = []
        for factor in self._factors:
            inverse, _ = dpotri(factor, lower=1)
            found.append(np.tril(inverse) + np.tril(inverse, -1).T)
        return found


@dataclass(frozen=True)
class Covariance:
    """C + U W U' for U [n, r] and W = R R' given by its root R [r, r]."""

    blocks: Blocks
    u: Array
    root: Array

    @cached_property
    def solved(self) -> Array:
        """C^-1 U [n, r]."""
        return self.blocks.solve(self.u)

    @cached_property
    def gram(self) -> Array:
        """U' C^-1 U [r, r]."""
        return self.u.T @ self.solved

    @cached_property
    def _factor(self) -> Array:
        """Lower Cholesky factor of I + R' U' C^-1 U R."""
        matrix = self.root.T @ self.gram @ self.root
        matrix[np.diag_indices_from(matrix)] += 1.0
        factor, _ = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(factor, dtype=float)

    @cached_property
    def logdet(self) -> float:
        """log det of the whole."""
        return float(self.blocks.logdet + 2 * np.log(np.diag(self._factor)).sum())

    def solve(self, v: Array) -> Array:
        """The inverse times v [n, m]."""
        pulled = self.root.T @ (self.solved.T @ v)
        inner = cho_solve((self._factor, True), pulled, check_finite=False)
        return self.blocks.solve(v) - self.solved @ (self.root @ inner)

    @cached_property
    def downdate(self) -> Array:
        """V [n, r] with inverse = C^-1 - V V'."""
        right = self.root.T @ self.solved.T
        return np.asarray(solve_triangular(self._factor, right, lower=True, check_finite=False).T)

    @cached_property
    def inverse_diagonal(self) -> Array:
        """Diagonal of the inverse [n]."""
        blocks, rows = self.blocks, self.blocks.rows
        shrink = np.concatenate([1 - np.diag(m) for m in blocks.inverses]) / blocks.precision
        diagonal = 1 / blocks.noise - shrink[rows.group] / blocks.noise**2
        return np.asarray(diagonal - (self.downdate**2).sum(axis=1))

    def inverse_of_groups(self, alpha: Array) -> list[Array]:
        """A' (inverse - alpha alpha') A of each domain [g, g], for gradients of the likelihood."""
        rows = self.blocks.rows
        low_rank = rows.sum_by_group(np.c_[self.downdate, alpha])
        found = []
        for part, inverse in zip(rows.group_slices, self.blocks.inverses, strict=True):
            root = np.sqrt(self.blocks.precision[part])
            own = low_rank[part]
            found.append(root[:, None] * inverse * root - own @ own.T)
        return found

    @cached_property
    def inverse_of_u(self) -> Array:
        """U' inverse U [r, r]."""
        left = self.root.T @ self.gram
        half = solve_triangular(self._factor, left, lower=True, check_finite=False)
        return np.asarray(self.gram - half.T @ half)
