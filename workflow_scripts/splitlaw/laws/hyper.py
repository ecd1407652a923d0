"""Hyperparameters of the discrepancy and the noise, and the marginal likelihood of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.optimize import minimize

from splitlaw.laws.covariance import Blocks, Covariance
from splitlaw.laws.form import Prior
from splitlaw.laws.kernel import Kernel, squared_exponential, unsplit_part
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
CORRELATION = Prior(2.2, 1.0, log=False)
"""Logit of the correlation of a parameter over domains: 0.9, and 0.6 to 0.98 at two standard
deviations. Text of one tokenizer and one model family differs less between domains than the priors
of one domain allow."""

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
        value = float(self.vector[j])
        return float(np.exp(value)) if self.priors[j].log else 1 / (1 + float(np.exp(-value)))

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
    if rows.domains > 1:
        priors["correlation"] = CORRELATION
    else:
        fixed["correlation"] = 0.0
    vector = np.array([prior.centre for prior in priors.values()])
    return Hyper(tuple(priors), vector, tuple(priors.values()), fixed)


@dataclass(frozen=True)
class Distances:
    """Squared distances and products of the groups of each domain, computed once for a fit."""

    rows: Rows

    @cached_property
    def by_domain(self) -> list[tuple[Array, Array, Array | None]]:
        """Squared differences [d, g, g], products [g, g], and the covariance at D' = 0 [g, g]."""
        found = []
        centres, zero, _ = self.rows.centres
        for part in self.rows.group_slices:
            x, z = centres[part], zero[part]
            squares = np.stack([(c[:, None] - c[None]) ** 2 for c in x.T])
            own = np.outer(z, z) * unsplit_part(x, x) if z.any() else None
            found.append((squares, x @ x.T, own))
        return found

    def kernels(self, kernel: Kernel) -> tuple[list[Array], list[Array]]:
        """Covariance of the groups of each domain, and its smooth part."""
        whole, smooth = [], []
        weights = 0.5 / kernel.lengths**2
        for squares, products, own in self.by_domain:
            part = kernel.amplitude**2 * np.exp(-np.tensordot(weights, squares, 1))
            full = part + kernel.slope**2 * products
            if own is not None and kernel.unsplit:
                full = full + kernel.unsplit**2 * own
            smooth.append(part)
            whole.append(full)
        return whole, smooth


def trunk_covariance(rows: Rows, hyper: Hyper, distances: Distances) -> Covariance:
    """Covariance of the rows about the mean: discrepancy, trunks and noise."""
    kernels, _ = distances.kernels(hyper.kernel(rows))
    blocks = Blocks(rows, kernels, hyper.noise(rows))
    t, variance = rows.trunks, hyper["trunk"] ** 2
    return Covariance(blocks, rows.trunk_matrix, np.eye(t) / variance, t * np.log(variance))


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

    def covariance(self, hyper: Hyper) -> tuple[Covariance, list[Array]]:
        """Covariance of the target, and the smooth part of each domain's kernel."""
        kernels, smooth = self.distances.kernels(hyper.kernel(self.rows))
        blocks = Blocks(self.rows, kernels, hyper.noise(self.rows))
        t = self.rows.trunks
        u = np.concatenate([self.rows.trunk_matrix, self.jacobian], axis=1)
        inverse = np.zeros((u.shape[1], u.shape[1]))
        inverse[:t, :t] = np.eye(t) / hyper["trunk"] ** 2
        prior = self.mean.prior_precision(hyper["correlation"])
        inverse[t:, t:] = prior
        logdet = 2 * t * np.log(hyper["trunk"]) - np.linalg.slogdet(prior)[1]
        return Covariance(blocks, u, inverse, float(logdet)), smooth

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
        t = self.rows.trunks
        inner, pulled = covariance.inverse_of_u, covariance.u.T @ alpha
        if "trunk" in hyper:
            trace = np.trace(inner[:t, :t]) - pulled[:t] @ pulled[:t]
            gradient["trunk"] += float(trace * hyper["trunk"] ** 2)
        if "correlation" in hyper:
            slope, rho = self.mean.prior_slope(), hyper["correlation"]
            trace = (inner[t:, t:] * slope).sum() - pulled[t:] @ slope @ pulled[t:]
            gradient["correlation"] += float(0.5 * trace * rho * (1 - rho))
        penalty, slope = hyper.penalty
        return float(value + penalty), np.array([gradient[n] for n in hyper.names]) + slope

    def _add_kernel(
        self,
        gradient: dict[str, float],
        hyper: Hyper,
        covariance: Covariance,
        alpha: Array,
        smooth: list[Array],
    ) -> None:
        kernel = hyper.kernel(self.rows)
        inverses = covariance.inverse_of_groups(alpha)
        for inverse, part, (squares, products, own) in zip(
            inverses, smooth, self.distances.by_domain, strict=True
        ):
            weighted = inverse * part
            gradient["amplitude"] += float(weighted.sum())
            for j, length in enumerate(kernel.lengths):
                pull = 0.5 * float((weighted * squares[j]).sum()) / float(length) ** 2
                gradient[f"length_{j}"] += pull
            gradient["slope"] += float((inverse * products).sum()) * kernel.slope**2
            if own is not None and "unsplit" in hyper:
                gradient["unsplit"] += float((inverse * own).sum()) * kernel.unsplit**2

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


__all__ = ["Distances", "Hyper", "Likelihood", "squared_exponential", "start_hyper"]
