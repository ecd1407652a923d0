"""The objective of a fit: summed Huber on log loss, for many weightings of the rows at once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splitlaw.laws.form import Form
from splitlaw.laws.points import Array, Points, Units
from splitlaw.laws.table import Table

DELTA = 1e-3
"""Where Huber's loss turns linear, in log loss."""

FLOOR = 1e-12


@dataclass(frozen=True)
class Layout:
    """Where each domain's parameters stand in one vector.

    The vector holds first the linear parameters, domain by domain, then each nonlinear
    parameter: once where it is shared, and once per domain where it is not.
    """

    form: Form
    domains: int
    shared: frozenset[str]
    dropped: frozenset[str]
    """Parameters held at 0, since the table cannot tell them."""

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """Place in the vector of each domain's parameters [domains, parameters]."""
        linear = len(self.form.linear)
        places = np.zeros((self.domains, len(self.form.names)), dtype=np.intp)
        places[:, :linear] = np.arange(self.domains * linear).reshape(self.domains, linear)
        following = self.domains * linear
        for j, name in enumerate(self.form.nonlinear):
            own = 1 if name in self.shared else self.domains
            places[:, linear + j] = following + np.arange(self.domains) % own
            following += own
        return places

    @property
    def size(self) -> int:
        """Length of the vector."""
        return int(self.index.max()) + 1

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of the vector; equal for parameters that are dropped."""
        low, high = np.zeros(self.size), np.full(self.size, np.inf)
        for j, name in enumerate(self.form.names):
            least, most = self.form.bounds.get(name, (0.0, np.inf))
            if name in self.dropped:
                least = most = 0.0
            low[self.index[:, j]], high[self.index[:, j]] = least, most
        return low, high

    @property
    def free(self) -> int:
        """How many parameters are fitted."""
        low, high = self.bounds
        return int((low < high).sum())

    @property
    def free_per_domain(self) -> int:
        """How many fitted parameters a domain has to itself."""
        names = set(self.form.names) - self.dropped
        return len(names - self.shared) if self.domains > 1 else len(names)

    @cached_property
    def scatter(self) -> Array:
        """0/1 matrix that sums gradients by domain into the vector's [domains * p, size]."""
        matrix = np.zeros((self.index.size, self.size))
        matrix[np.arange(self.index.size), self.index.ravel()] = 1.0
        return matrix

    def by_domain(self, vector: Array) -> Array:
        """Vectors [b, size] as parameters [b, domains, parameters]."""
        return vector[:, self.index]

    def vector(self, values: Array) -> Array:
        """Parameters [b, domains, parameters] as vectors, shared ones by their mean."""
        sums = values.reshape(len(values), -1) @ self.scatter
        return sums / self.scatter.sum(axis=0)


class Problem:
    """Rows, a layout, and the objective over them."""

    def __init__(self, layout: Layout, table: Table, units: Units) -> None:
        self.layout = layout
        self.points: Points = table.points(units)
        self.log_loss = np.log(table.loss / units.loss)
        self.domain = table.domain
        self.starts = np.searchsorted(table.domain, np.arange(layout.domains))
        assert (np.diff(table.domain) >= 0).all(), "rows must be sorted by domain"
        assert len(np.unique(table.domain)) == layout.domains, "every domain needs rows"

    def _evaluate(self, x: Array) -> tuple[Array, Array, list[Array]]:
        """Log residuals [b, n], predictions [b, n], their derivatives by each parameter."""
        form = self.layout.form
        rows = self.layout.by_domain(x)[:, self.domain]
        values = dict(zip(form.names, np.moveaxis(rows, 2, 0), strict=True))
        terms = form.terms(values, self.points)
        pairs = zip(form.linear, terms, strict=True)
        predicted = np.maximum(sum(values[name] * term for name, term in pairs), FLOOR)
        slopes = dict.fromkeys(form.nonlinear, np.zeros(()))
        for (name, by), slope in form.gradients(values, self.points, terms).items():
            slopes[by] = slopes[by] + values[name] * slope
        derivatives = terms + [slopes[name] for name in form.nonlinear]
        return np.log(predicted) - self.log_loss, predicted, derivatives

    def objective(
        self, weights: Array, delta: float = DELTA
    ) -> Callable[[Array, NDArray[np.intp]], tuple[Array, Array]]:
        """The weighted objective and its gradient, for `minimise`; weights [b, n]."""

        def evaluate(x: Array, which: NDArray[np.intp]) -> tuple[Array, Array]:
            residual, predicted, derivatives = self._evaluate(x)
            weight = weights[which]
            size = np.abs(residual)
            inside = np.minimum(size, delta)
            value = (weight * inside * (size - 0.5 * inside)).sum(axis=1)
            pull = weight * np.clip(residual, -delta, delta) / predicted
            sums = [np.add.reduceat(pull * d, self.starts, axis=1) for d in derivatives]
            by_domain = np.stack(sums, axis=2).reshape(len(x), -1)
            return value, by_domain @ self.layout.scatter

        return evaluate

    def jacobian(self, x: Array) -> tuple[Array, Array]:
        """Log residuals [b, n] and their derivatives by the row's own parameters [b, n, p]."""
        residual, predicted, derivatives = self._evaluate(x)
        full = [np.broadcast_to(d, residual.shape) / predicted for d in derivatives]
        return residual, np.stack(full, axis=2)

    def curvature(self, x: Array, weights: Array, delta: float = DELTA) -> Array:
        """Positive definite upper bound of Huber's Gauss-Newton matrix [b, size, size]."""
        residual, jacobian = self.jacobian(x)
        weight = weights * np.minimum(1.0, delta / np.maximum(np.abs(residual), 1e-300))
        total = np.zeros((len(x), self.layout.size, self.layout.size))
        ends = np.append(self.starts[1:], len(self.domain))
        for k, (first, last) in enumerate(zip(self.starts, ends, strict=True)):
            rows = jacobian[:, first:last]
            block = np.swapaxes(rows * weight[:, first:last, None], 1, 2) @ rows
            place = self.layout.index[k]
            total[:, place[:, None], place[None, :]] += block
        diagonal = np.einsum("bii->bi", total)
        ridge = 1e-6 * diagonal + 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-30
        return total + ridge[:, :, None] * np.eye(self.layout.size)
