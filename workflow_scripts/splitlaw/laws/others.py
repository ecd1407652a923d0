"""The forms that stand beside the leading ones."""

from typing import ClassVar

import numpy as np

from splitlaw.laws.form import (
    CONCAVE,
    EXPONENT,
    INTERACTION,
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
        by_total = -theta["beta"] * terms[2] / (x.pretrain + x.specialize)
        return {("B", "D"): by_total}, {("B", "D'"): by_total}

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        return v


class Additive(Form):
    """Each stage teaches on its own.

    L = E + A N^-alpha + F D^-phi + B D'^-beta; nats per token, N in parameters, tokens in
    tokens. Infinite at D = 0 and at D' = 0.
    """

    name = "additive"
    formula = "E + A N^-alpha + F D^-phi + B D'^-beta"
    source = "Hoffmann et al. 2022, arXiv:2203.15556, with a term for each stage"
    linear = ("E", "A", "F", "B")
    bounds: ClassVar[Bounds] = {"alpha": EXPONENT, "phi": EXPONENT, "beta": EXPONENT}
    search: ClassVar[Bounds] = EVERYDAY
    needs_pretrain = True
    needs_domain = True

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, D^-phi, D'^-beta."""
        pretrain = power(x.log_pretrain, theta["phi"])
        domain = power(x.log_specialize, theta["beta"])
        size = power(x.log_params, theta["alpha"])
        return [np.ones_like(pretrain + domain), size, pretrain, domain]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("F", "phi"): -x.log_pretrain * terms[2],
            ("B", "beta"): -x.log_specialize * terms[3],
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        return (
            {("F", "D"): -theta["phi"] * terms[2] / x.pretrain},
            {("B", "D'"): -theta["beta"] * terms[3] / x.specialize},
        )

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["F"] = grow(v["F"], units.tokens, v["phi"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        return v


class Multiplicative(Form):
    """Each stage scales what the other leaves.

    L = E + A N^-alpha + B D^-phi D'^-beta; nats per token, N in parameters, tokens in tokens.
    Infinite at D = 0 and at D' = 0. Zhang et al. scale one factor at a time; N's term is ours.
    """

    name = "multiplicative"
    formula = "E + A N^-alpha + B D^-phi D'^-beta"
    source = "Zhang et al. 2024, arXiv:2402.17193"
    linear = ("E", "A", "B")
    bounds: ClassVar[Bounds] = {"alpha": EXPONENT, "phi": EXPONENT, "beta": EXPONENT}
    search: ClassVar[Bounds] = EVERYDAY
    needs_pretrain = True
    needs_domain = True

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, D^-phi D'^-beta."""
        both = np.exp(-theta["phi"] * x.log_pretrain - theta["beta"] * x.log_specialize)
        return [np.ones_like(both), power(x.log_params, theta["alpha"]), both]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("B", "phi"): -x.log_pretrain * terms[2],
            ("B", "beta"): -x.log_specialize * terms[2],
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        return (
            {("B", "D"): -theta["phi"] * terms[2] / x.pretrain},
            {("B", "D'"): -theta["beta"] * terms[2] / x.specialize},
        )

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["phi"] + v["beta"]) * units.loss
        return v


class TransferGap(Form):
    """Pretraining lowers what specialising has to close, down to a gap.

    L = E + A N^-alpha + (F D^-phi + G) D'^-beta; nats per token, N in parameters, tokens in
    tokens. Infinite at D = 0 and at D' = 0. Barnett has one model size; N's term is ours.
    """

    name = "transfer_gap"
    formula = "E + A N^-alpha + (F D^-phi + G) D'^-beta"
    source = "Barnett 2024, arXiv:2408.16947"
    linear = ("E", "A", "F", "G")
    bounds: ClassVar[Bounds] = {"alpha": EXPONENT, "phi": EXPONENT, "beta": EXPONENT}
    search: ClassVar[Bounds] = EVERYDAY
    needs_pretrain = True
    needs_domain = True

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, D^-phi D'^-beta, D'^-beta."""
        gap = power(x.log_specialize, theta["beta"])
        both = power(x.log_pretrain, theta["phi"]) * gap
        return [np.ones_like(both), power(x.log_params, theta["alpha"]), both, gap]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("F", "phi"): -x.log_pretrain * terms[2],
            ("F", "beta"): -x.log_specialize * terms[2],
            ("G", "beta"): -x.log_specialize * terms[3],
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        rate = -theta["beta"] / x.specialize
        return (
            {("F", "D"): -theta["phi"] * terms[2] / x.pretrain},
            {("F", "D'"): rate * terms[2], ("G", "D'"): rate * terms[3]},
        )

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["F"] = grow(v["F"], units.tokens, v["phi"] + v["beta"]) * units.loss
        v["G"] = grow(v["G"], units.tokens, v["beta"]) * units.loss
        return v


class Interaction(Form):
    """The more pretraining, the flatter specialising: saturation.

    L = E + A N^-alpha + B D^-phi D'^(-beta + gamma ln D); nats per token, N in parameters,
    tokens in tokens. Infinite at D = 0 and at D' = 0, and not convex: planned by global search.
    """

    name = "interaction"
    formula = "E + A N^-alpha + B D^-phi D'^(-beta + gamma ln D)"
    source = "Liew and Kato 2025, arXiv:2510.06548"
    linear = ("E", "A", "B")
    bounds: ClassVar[Bounds] = {
        "alpha": EXPONENT,
        "phi": EXPONENT,
        "beta": EXPONENT,
        "gamma": INTERACTION,
    }
    search: ClassVar[Bounds] = {**EVERYDAY, "gamma": (-0.05, 0.15)}
    needs_pretrain = True
    needs_domain = True

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, D^-phi D'^(-beta + gamma ln D)."""
        slope = theta["gamma"] * x.log_pretrain - theta["beta"]
        both = np.exp(-theta["phi"] * x.log_pretrain + slope * x.log_specialize)
        return [np.ones_like(both), power(x.log_params, theta["alpha"]), both]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("B", "phi"): -x.log_pretrain * terms[2],
            ("B", "beta"): -x.log_specialize * terms[2],
            ("B", "gamma"): x.log_pretrain * x.log_specialize * terms[2],
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        gamma = theta["gamma"]
        by_pretrain = (gamma * x.log_specialize - theta["phi"]) * terms[2] / x.pretrain
        by_specialize = (gamma * x.log_pretrain - theta["beta"]) * terms[2] / x.specialize
        return {("B", "D"): by_pretrain}, {("B", "D'"): by_specialize}

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`; the exponents phi and beta are told at D' = 1 and at D = 1."""
        v = dict(values)
        log_unit = np.log(units.tokens)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        power_of_unit = v["phi"] + v["beta"] + v["gamma"] * log_unit
        v["B"] = grow(v["B"], units.tokens, power_of_unit) * units.loss
        v["phi"] = v["phi"] + v["gamma"] * log_unit
        v["beta"] = v["beta"] + v["gamma"] * log_unit
        return v


class TransferredData(Form):
    """Pretraining is worth domain tokens in proportion to powers of D', N and D.

    L = E + A N^-alpha + B (D' + kappa D'^gamma D^phi N^delta)^-beta; nats per token, N in
    parameters, tokens in tokens. Infinite at D' = 0. Hernandez et al. have one pretraining
    set; the power of D is ours.
    """

    name = "transferred_data"
    formula = "E + A N^-alpha + B (D' + kappa D'^gamma D^phi N^delta)^-beta"
    source = "Hernandez et al. 2021, arXiv:2102.01293, equation 1.2"
    linear = ("E", "A", "B")
    bounds: ClassVar[Bounds] = {
        "alpha": EXPONENT,
        "beta": EXPONENT,
        "kappa": LOG_KAPPA,
        "gamma": CONCAVE,
        "phi": CONCAVE,
        "delta": SIZE_EXPONENT,
    }
    search: ClassVar[Bounds] = {**EVERYDAY, "phi": (0.1, 1.0)}
    needs_domain = True

    @staticmethod
    def _transferred(theta: Theta, x: Points) -> Array:
        return np.exp(
            theta["kappa"]
            + theta["gamma"] * x.log_specialize
            + theta["phi"] * x.log_pretrain
            + theta["delta"] * x.log_params
        )

    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """1, N^-alpha, (D' + kappa D'^gamma D^phi N^delta)^-beta."""
        effective = x.specialize + self._transferred(theta, x)
        skill = power(np.log(effective), theta["beta"])
        return [np.ones_like(skill), power(x.log_params, theta["alpha"]), skill]

    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """See `Form.gradients`."""
        transferred = self._transferred(theta, x)
        effective = x.specialize + transferred
        by_kappa = -theta["beta"] * terms[2] * transferred / effective
        return {
            ("A", "alpha"): -x.log_params * terms[1],
            ("B", "beta"): -np.log(effective) * terms[2],
            ("B", "kappa"): by_kappa,
            ("B", "gamma"): by_kappa * x.log_specialize,
            ("B", "phi"): by_kappa * x.log_pretrain,
            ("B", "delta"): by_kappa * x.log_params,
        }

    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """See `Form.slopes`."""
        transferred = self._transferred(theta, x)
        by_effective = -theta["beta"] * terms[2] / (x.specialize + transferred)
        by_pretrain = by_effective * theta["phi"] * transferred / x.pretrain
        by_specialize = by_effective * (1 + theta["gamma"] * transferred / x.specialize)
        return {("B", "D"): by_pretrain}, {("B", "D'"): by_specialize}

    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """See `Form.rescale`."""
        v = dict(values)
        v["E"] = v["E"] * units.loss
        v["A"] = grow(v["A"], units.params, v["alpha"]) * units.loss
        v["B"] = grow(v["B"], units.tokens, v["beta"]) * units.loss
        v["kappa"] = (
            np.exp(v["kappa"])
            * units.tokens ** (1 - v["gamma"] - v["phi"])
            / units.params ** v["delta"]
        )
        return v


register(Additive())
register(Multiplicative())
register(TransferGap())
register(Interaction())
register(TransferredData())
register(Chinchilla())
