"""The form in which size and tokens bind each other."""

from typing import ClassVar

import numpy as np

from splitlaw.laws.form import EXPONENT, LOG_RATIO, Bounds, Form, Gradients, Theta, register
from splitlaw.laws.leading import EVERYDAY
from splitlaw.laws.points import Array, Points, Units


class Coupled(Form):
    """What a model is too small for and what it has not seen share one power.

    L = E + B (rho N^-alpha + (D^-phi + G) D'^-beta)^gamma; nats per token, N in parameters,
    tokens in tokens. More tokens help a large model more than a small one; gamma = 1 is
    `transfer_gap`, where they help both alike. Infinite at D = 0 and at D' = 0. Kaplan et al.
    have one stage and E = 0; both stages, the gap G and a free gamma are ours.
    """

    name = "coupled"
    formula = "E + B (rho N^-alpha + (D^-phi + G) D'^-beta)^gamma"
    source = "splitlaw; after Kaplan et al. 2020, arXiv:2001.08361, equation 1.5"
    linear = ("E", "B")
    logs = frozenset({"rho", "G"})
    bounds: ClassVar[Bounds] = {
        "rho": LOG_RATIO,
        "alpha": EXPONENT,
        "phi": EXPONENT,
        "G": LOG_RATIO,
        "beta": EXPONENT,
        "gamma": (0.05, 4.0),
    }
    search: ClassVar[Bounds] = {
        **EVERYDAY,
        "rho": (-4.0, 4.0),
        "G": (-4.0, 1.0),
        "gamma": (0.2, 2.0),
    }
    needs_pretrain = True
    needs_domain = True

    @staticmethod
    def _parts(theta: Theta, x: Points) -> tuple[Array, Array, Array]:
        """rho N^-alpha, D^-phi D'^-beta, G D'^-beta."""
        size = theta["rho"] - theta["alpha"] * x.log_params
        domain = -theta["beta"] * x.log_specialize
        both = domain - theta["phi"] * x.log_pretrain
        return np.exp(size), np.exp(both), np.exp(theta["G"] + domain)

    @staticmethod
    def _rate(theta: Theta, parts: tuple[Array, Array, Array], terms: list[Array]) -> Array:
        """Derivative of the second term by what stands under the power."""
        slope: Array = theta["gamma"] * terms[1] / sum(parts)
        return slope

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, (rho N^-alpha + (D^-phi + G) D'^-beta)^gamma."""
        together = np.exp(theta["gamma"] * np.log(sum(self._parts(theta, x))))
        return [np.ones_like(together), together]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        parts = size, both, gap = self._parts(theta, x)
        rate = self._rate(theta, parts, terms)
        return {
            ("B", "rho"): rate * size,
            ("B", "alpha"): -rate * size * x.log_params,
            ("B", "phi"): -rate * both * x.log_pretrain,
            ("B", "G"): rate * gap,
            ("B", "beta"): -rate * (both + gap) * x.log_specialize,
            ("B", "gamma"): terms[1] * np.log(sum(parts)),
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        parts = _, both, gap = self._parts(theta, x)
        rate = self._rate(theta, parts, terms)
        return (
            {("B", "D"): -rate * theta["phi"] * both / x.pretrain},
            {("B", "D'"): -rate * theta["beta"] * (both + gap) / x.specialize},
        )

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`; what stands under the power is told with D^-phi D'^-beta at 1."""
        v = dict(values)
        worth = units.tokens ** (v["phi"] + v["beta"])
        v["E"] = v["E"] * units.loss
        v["B"] = v["B"] * units.loss * worth ** v["gamma"]
        v["rho"] = np.exp(v["rho"]) * units.params ** v["alpha"] / worth
        v["G"] = np.exp(v["G"]) * units.tokens ** -v["phi"]
        return v


register(Coupled())
