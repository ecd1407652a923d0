"""The forms that stand beside the leading ones."""

from typing import ClassVar

import numpy as np

from splitlaw.laws.form import EXPONENT, Bounds, Form, Gradients, Theta, grow, power, register
from splitlaw.laws.leading import EVERYDAY
from splitlaw.laws.points import Array, Points, Units


class Chinchilla(Form):
    """One stage: L = E + A N^-alpha + B (D + D')^-beta.

    Nats per token, N in parameters, tokens in tokens; Hoffmann et al. 2022, equation 2.
    """

    name = "chinchilla"
    formula = "E + A N^-alpha + B (D + D')^-beta"
    source = "Hoffmann et al. 2022, arXiv:2203.15556"
    linear = ("E", "A", "B")
    bounds: ClassVar[Bounds] = {"alpha": EXPONENT, "beta": EXPONENT}
    search: ClassVar[Bounds] = EVERYDAY
    stages = 1

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, (D + D')^-beta."""
        size = power(x.log_params, theta["alpha"])
        data = power(x.log_total, theta["beta"])
        return [np.ones_like(data), size, data]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("B", "beta"): -x.log_total * terms[2],
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        by_total = -theta["beta"] * terms[2] / (x.general + x.domain)
        return {("B", "D"): by_total}, {("B", "D'"): by_total}

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        return v


CHINCHILLA = register(Chinchilla())
