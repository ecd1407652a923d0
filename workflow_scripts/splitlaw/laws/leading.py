"""The two forms that lead: general tokens count as domain tokens, at a rate."""

from typing import ClassVar

import numpy as np

from splitlaw.laws.form import (
    CONCAVE,
    EXPONENT,
    LOG_KAPPA,
    SIZE_EXPONENT,
    Bounds,
    Form,
    Gradients,
    Theta,
    grow,
    power,
    register,
)
from splitlaw.laws.points import Array, Points, Units

EVERYDAY = {
    "alpha": (0.05, 1.0),
    "phi": (0.05, 1.2),
    "beta": (0.05, 1.2),
    "kappa": (-6.0, 1.0),
    "gamma": (0.2, 1.0),
    "delta": (-0.5, 0.5),
}
"""Where exponents of language models have been found; starts are drawn from here."""


class TwoSkills(Form):
    """What every token teaches, and what general tokens teach of the domain.

    L = E + A N^-alpha + F (D + D')^-phi + B (D' + kappa D^gamma)^-beta, in nats per token with
    N in parameters and tokens in tokens. 0 < gamma <= 1 keeps it convex in (D, D').
    """

    name = "two_skills"
    formula = "E + A N^-alpha + F (D + D')^-phi + B (D' + kappa D^gamma)^-beta"
    source = "splitlaw"
    linear = ("E", "A", "F", "B")
    bounds: ClassVar[Bounds] = {
        "alpha": EXPONENT,
        "phi": EXPONENT,
        "beta": EXPONENT,
        "kappa": LOG_KAPPA,
        "gamma": CONCAVE,
    }
    search: ClassVar[Bounds] = EVERYDAY

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, (D + D')^-phi, (D' + kappa D^gamma)^-beta."""
        effective = x.specialize + np.exp(theta["kappa"] + theta["gamma"] * x.log_pretrain)
        return [
            np.ones_like(effective),
            power(x.log_params, theta["alpha"]),
            power(x.log_total, theta["phi"]),
            power(np.log(effective), theta["beta"]),
        ]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        _, size, total, skill = terms
        transferred = np.exp(theta["kappa"] + theta["gamma"] * x.log_pretrain)
        effective = x.specialize + transferred
        by_kappa = -theta["beta"] * skill * transferred / effective
        return {
            ("A", "alpha"): -x.log_params * size,
            ("F", "phi"): -x.log_total * total,
            ("B", "beta"): -np.log(effective) * skill,
            ("B", "kappa"): by_kappa,
            ("B", "gamma"): by_kappa * x.log_pretrain,
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        _, _, total, skill = terms
        gamma = theta["gamma"]
        effective = x.specialize + np.exp(theta["kappa"] + gamma * x.log_pretrain)
        by_total = -theta["phi"] * total / (x.pretrain + x.specialize)
        by_specialize = -theta["beta"] * skill / effective
        rate = gamma * np.exp(theta["kappa"] + (gamma - 1) * x.log_pretrain)
        return (
            {("F", "D"): by_total, ("B", "D"): by_specialize * rate},
            {("F", "D'"): by_total, ("B", "D'"): by_specialize},
        )

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["F"] = grow(v["F"], units.tokens, v["phi"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        v["kappa"] = np.exp(v["kappa"]) * units.tokens ** (1 - v["gamma"])
        return v


class EffectiveTokens(Form):
    """General tokens count as kappa D^gamma N^delta domain tokens.

    L = E + A N^-alpha + B (D' + kappa D^gamma N^delta)^-beta, in nats per token with N in
    parameters and tokens in tokens. 0 < gamma <= 1 keeps it convex in (D, D') at a fixed N.
    """

    name = "effective_tokens"
    formula = "E + A N^-alpha + B (D' + kappa D^gamma N^delta)^-beta"
    source = "splitlaw; after Hernandez et al. 2021, arXiv:2102.01293"
    linear = ("E", "A", "B")
    bounds: ClassVar[Bounds] = {
        "alpha": EXPONENT,
        "beta": EXPONENT,
        "kappa": LOG_KAPPA,
        "gamma": CONCAVE,
        "delta": SIZE_EXPONENT,
    }
    search: ClassVar[Bounds] = EVERYDAY

    @staticmethod
    def _transferred(theta: Theta, x: Points) -> Array:
        return np.exp(
            theta["kappa"] + theta["gamma"] * x.log_pretrain + theta["delta"] * x.log_params
        )

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, (D' + kappa D^gamma N^delta)^-beta."""
        effective = x.specialize + self._transferred(theta, x)
        return [
            np.ones_like(effective),
            power(x.log_params, theta["alpha"]),
            power(np.log(effective), theta["beta"]),
        ]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        _, size, skill = terms
        transferred = self._transferred(theta, x)
        effective = x.specialize + transferred
        by_kappa = -theta["beta"] * skill * transferred / effective
        return {
            ("A", "alpha"): -x.log_params * size,
            ("B", "beta"): -np.log(effective) * skill,
            ("B", "kappa"): by_kappa,
            ("B", "gamma"): by_kappa * x.log_pretrain,
            ("B", "delta"): by_kappa * x.log_params,
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        gamma = theta["gamma"]
        effective = x.specialize + self._transferred(theta, x)
        by_specialize = -theta["beta"] * terms[2] / effective
        rate = gamma * np.exp(
            theta["kappa"] + (gamma - 1) * x.log_pretrain + theta["delta"] * x.log_params
        )
        return {("B", "D"): by_specialize * rate}, {("B", "D'"): by_specialize}

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        v["kappa"] = (
            np.exp(v["kappa"]) * units.tokens ** (1 - v["gamma"]) / units.params ** v["delta"]
        )
        return v


register(TwoSkills())
register(EffectiveTokens())
