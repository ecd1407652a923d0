"""Hyperparameters of the discrepancy and the noise, and the marginal likelihood of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import minimize

from splitlaw.laws.covariance import Blocks, Covariance
from splitlaw.laws.form import Prior
from splitlaw.laws.kernel import Kernel, unsplit_part
from splitlaw.laws.mean import Mean
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.rows import Rows

AMPLITUDE = Prior(0.01, 0.7)
"""Every form was off by 1 to 2% in a smooth way on the grids it was tried on."""
LENGTH = Prior(1.2, 0.5)
"""Natural logarithms of N and of tokens: a factor of 3."""
SLOPE = Prior(0.003, 0.7)
TRUNK = Prior(0.004, 0.7)
"""Also the value where a table has one trunk per size; from repeated seeds of the reference grid,
0.2 to 0.5%."""
ROW = Prior(0.004, 0.7)
UNSPLIT = Prior(0.05, 1.0)
"""Runs at D' = 0 have seen the domain only as far as general text contains it: forms err more."""
STEPS = 40
"""Most steps of the search; it ends after about 20."""


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters by name, in their unbounded coordinates."""

    names: tuple[str, ...]
    vector: Array
    priors: tuple[Prior, ...] = field(repr=False)
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Values of those that the table does not identify."""

    def __getitem__(self, name: str) -> float:
        """Value in its own scale."""
        if name in self.fixed:
            return self.fixed[name]
        j = self.names.index(name)
        return float(np.exp(self.vector[j]))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def at(self, vector: Array) -> Hyper:
        """The same hyperparameters with other values."""
        return Hyper(self.names, vector, self.priors, self.fixed)

    @property
    def penalty(self) -> tuple[float, Array]:
        """Minus the log prior density, up to a constant, and its gradient."""
        centre = np.array([p.centre for p in self.priors])
        spread = np.array([p.sd for p in self.priors])
        scaled = (self.vector - centre) / spread
        return float(0.5 * scaled @ scaled), scaled / spread

    def kernel(self, rows: Rows) -> Kernel:
        """The kernel of the discrepancy."""
        d = rows.coordinates.shape[1]
        return Kernel(
            amplitude=self["amplitude"],
            lengths=np.array([self[f"length_{j}"] for j in range(d)]),
            slope=self["slope"],
            unsplit=self["unsplit"] if rows.frame.unsplit else 0.0,
        )

    def noise(self, rows: Rows) -> Array:
        """Variance of each row [n]."""
        return self.noise_at(rows.unsplit) / rows.weight

    def noise_at(self, unsplit: Mask) -> Array:
        """Variance of a row, given whether it is at D' = 0."""
        own = self["unsplit_row"] if "unsplit_row" in self else self["row"]
        return np.where(unsplit, own**2, self["row"] ** 2)


def start_hyper(rows: Rows) -> Hyper:
    """Hyperparameters of a table, at their prior medians."""
    priors = {"amplitude": AMPLITUDE}
    priors |= {f"length_{j}": LENGTH for j in range(rows.coordinates.shape[1])}
    priors |= {"slope": SLOPE, "row": ROW}
    if rows.frame.unsplit:
        priors |= {"unsplit": UNSPLIT, "unsplit_row": ROW}
    fixed = {}
    if rows.trunk_identified:
        priors["trunk"] = TRUNK
    else:
        fixed["trunk"] = TRUNK.median
    vector = np.array([prior.centre for prior in priors.values()])
    return Hyper(tuple(priors), vector, tuple(priors.values()), fixed)


@dataclass(frozen=True)
class Distances:
    """Squared distances and products of the sites, computed once for a fit."""

    rows: Rows

    @cached_property
    def sites(self) -> tuple[Array, Array, Array]:
        """Squared differences [d, m, m], products [m, m], and the covariance at D' = 0 [m, m]."""
        x, z = self.rows.sites
        squares = np.stack([(c[:, None] - c[None]) ** 2 for c in x.T])
        return squares, x @ x.T, np.outer(z, z) * unsplit_part(x, x)

    def smooth(self, kernel: Kernel) -> Array:
        """a^2 e(x, x') between the sites [m, m]."""
        squares, _, _ = self.sites
        return np.asarray(
            kernel.amplitude**2 * np.exp(-np.tensordot(0.5 / kernel.lengths**2, squares, 1))
        )

    def of_domain(self, part: slice, matrix: Array) -> Array:
        """A matrix of sites [m, m] at the groups of a domain [g, g]."""
        own = self.rows.groups[0][part]
        return matrix[np.ix_(own, own)]

    def blocks(self, rows: Rows, hyper: Hyper, smooth: Array) -> Blocks:
        """The part of the covariance that domains do not share; `rows` have their weights."""
        kernel = hyper.kernel(rows)
        _, products, unsplit = self.sites
        own = smooth + kernel.slope**2 * products + kernel.unsplit**2 * unsplit
        parts = [self.of_domain(part, own) for part in rows.group_slices]
        return Blocks(rows, parts, hyper.noise(rows))


def trunk_covariance(rows: Rows, hyper: Hyper, distances: Distances) -> Covariance:
    """Covariance of the rows about the mean: discrepancy, trunks and noise."""
    smooth = distances.smooth(hyper.kernel(rows))
    blocks = distances.blocks(rows, hyper, smooth)
    return Covariance(blocks, rows.trunk_matrix, hyper["trunk"] * np.eye(rows.trunks))


@dataclass(frozen=True)
class Likelihood:
    """Marginal likelihood with the mean linearised: its parameters are integrated out."""

    rows: Rows
    mean: Mean
    jacobian: Array
    """Derivatives of the mean [n, size]."""
    target: Array
    """Log loss less the linearised mean at the prior's centre [n]."""
    distances: Distances

    def covariance(self, hyper: Hyper) -> tuple[Covariance, Array]:
        """Covariance of the target, and the smooth part of the kernel between the sites."""
        smooth = self.distances.smooth(hyper.kernel(self.rows))
        blocks = self.distances.blocks(self.rows, hyper, smooth)
        trunks = hyper["trunk"] * np.eye(self.rows.trunks)
        u = np.concatenate([self.rows.trunk_matrix, self.jacobian], axis=1)
        return Covariance(blocks, u, block_diag(trunks, self.mean.prior_root)), smooth

    def log_density(self, hyper: Hyper) -> float:
        """Log density of the rows."""
        covariance, _ = self.covariance(hyper)
        alpha = covariance.solve(self.target[:, None])[:, 0]
        constant = len(self.target) * np.log(2 * np.pi)
        return float(-0.5 * (self.target @ alpha + covariance.logdet + constant))

    def objective(self, hyper: Hyper) -> tuple[float, Array]:
        """Minus the log posterior density of the hyperparameters, and its gradient."""
        covariance, smooth = self.covariance(hyper)
        alpha = covariance.solve(self.target[:, None])[:, 0]
        value = 0.5 * (self.target @ alpha + covariance.logdet)
        gradient = dict.fromkeys(hyper.names, 0.0)
        self._add_kernel(gradient, hyper, covariance, alpha, smooth)
        noise = covariance.blocks.noise
        by_row = (covariance.inverse_diagonal - alpha**2) * noise
        own = self.rows.unsplit if "unsplit_row" in hyper else np.zeros(len(noise), dtype=bool)
        gradient["row"] += float(by_row[~own].sum())
        if "unsplit_row" in hyper:
            gradient["unsplit_row"] += float(by_row[own].sum())
        if "trunk" in hyper:
            t, pulled = self.rows.trunks, self.rows.trunk_matrix.T @ alpha
            excess = np.trace(covariance.inverse_of_u[:t, :t]) - pulled @ pulled
            gradient["trunk"] += float(excess * hyper["trunk"] ** 2)
        penalty, slope = hyper.penalty
        return float(value + penalty), np.array([gradient[n] for n in hyper.names]) + slope

    def _add_kernel(
        self,
        gradient: dict[str, float],
        hyper: Hyper,
        covariance: Covariance,
        alpha: Array,
        smooth: Array,
    ) -> None:
        """Derivatives by the hyperparameters of the kernel."""
        kernel = hyper.kernel(self.rows)
        _, products, unsplit = self.distances.sites
        # Sums of the domains' groups at their sites.
        total = np.zeros_like(smooth)
        for part, inverse in zip(
            self.rows.group_slices, covariance.inverse_of_groups(alpha), strict=True
        ):
            own = self.rows.groups[0][part]
            total[np.ix_(own, own)] += inverse
        weighted, squares = total * smooth, self.distances.sites[0]
        gradient["amplitude"] += float(weighted.sum())
        for j, length in enumerate(kernel.lengths):
            gradient[f"length_{j}"] += 0.5 * float((weighted * squares[j]).sum()) / length**2
        gradient["slope"] += float((total * products).sum()) * kernel.slope**2
        if "unsplit" in hyper:
            gradient["unsplit"] += float((total * unsplit).sum()) * kernel.unsplit**2

    def maximise(self, hyper: Hyper, *, steps: int = STEPS) -> Hyper:
        """The hyperparameters of the largest posterior density, from `hyper` on."""

        def evaluate(vector: Array) -> tuple[float, Array]:
            try:
                return self.objective(hyper.at(vector))
            except np.linalg.LinAlgError:
                return 1e12, np.zeros(len(vector))

        bounds = [(p.centre - 6 * p.sd, p.centre + 6 * p.sd) for p in hyper.priors]
        found = minimize(
            evaluate,
            hyper.vector,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "ftol": 1e-7},
        )
        return hyper.at(found.x)
