"""What a form of the law is: terms, which parameters are linear, bounds, gradients."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from splitlaw.laws.points import Array, Mask, Points, Units

Theta = Mapping[str, Array]
"""Values of the nonlinear parameters, arrays that broadcast against the points'."""

Bounds = Mapping[str, tuple[float, float]]

Gradients = dict[tuple[str, str], Array]
"""Derivative of the term of a linear parameter by a nonlinear one; absent where it is zero."""

EXPONENT = (0.02, 3.0)
CONCAVE = (0.05, 1.0)
LOG_KAPPA = (-14.0, 6.0)
LOG_RATIO = (-14.0, 14.0)
SIZE_EXPONENT = (-1.5, 1.5)
INTERACTION = (-0.5, 0.5)

FORMS: dict[str, "Form"] = {}
"""Every form by its name, the leading ones first."""


class Form(ABC):
    """A law L(N, D, D') = sum over terms of (linear parameter) * (term of the nonlinear ones).

    Linear parameters are not negative. Those in `logs` are held as their logarithms inside a
    fit and told as themselves. Subclasses are stateless; an instance given to `register` is all
    a form needs.
    """

    name: str
    formula: str
    source: str
    linear: tuple[str, ...]
    """Linear parameters, each with one term, in nats per token at N = D = D' = 1."""

    bounds: ClassVar[Bounds]
    """Nonlinear parameters and their bounds at the units of the fit; those of `logs` of the log."""

    search: ClassVar[Bounds] = MappingProxyType({})
    """Where starts are drawn from, where that is narrower than the bounds."""

    logs: frozenset[str] = frozenset({"kappa"})
    """Coefficients among the nonlinear parameters: positive, and each domain's own."""

    needs_pretrain = False
    """Whether the loss is infinite at D = 0."""

    needs_domain = False
    """Whether the loss is infinite at D' = 0."""

    stages = 2
    """2 for a form of D and D', 1 for a form of their sum."""

    @property
    def finite(self) -> bool:
        """Whether the loss is finite at D = 0 and at D' = 0."""
        return not (self.needs_pretrain or self.needs_domain)

    @property
    def nonlinear(self) -> tuple[str, ...]:
        """Names of the nonlinear parameters."""
        return tuple(self.bounds)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters, the linear ones first."""
        return self.linear + self.nonlinear

    @property
    def size_only(self) -> frozenset[str]:
        """Parameters that mean nothing in a table of one model size."""
        return frozenset({"A", "alpha", "delta"} & set(self.names))

    @property
    def exponents(self) -> frozenset[str]:
        """Parameters that can be shared across domains: the nonlinear ones but coefficients."""
        return frozenset(self.nonlinear) - self.logs

    @abstractmethod
    def terms(self, theta: Theta, x: Points) -> list[Array]:
        """The term of each linear parameter at the points."""

    @abstractmethod
    def gradients(self, theta: Theta, x: Points, terms: list[Array]) -> Gradients:
        """Derivatives of the terms by the nonlinear parameters (by the log of `logs`)."""

    @abstractmethod
    def slopes(self, theta: Theta, x: Points, terms: list[Array]) -> tuple[Gradients, Gradients]:
        """Derivatives of the terms by D and by D', keyed (linear parameter, "D" or "D'").

        Finite at D' = 0 wherever the form is; at D = 0 the derivative by D may be infinite.
        """

    @abstractmethod
    def rescale(self, values: dict[str, Array], units: Units) -> dict[str, Array]:
        """Parameters fitted in `units`, told in the user's scale (`logs` as themselves)."""

    def usable(self, pretrain: Array, domain: Array) -> Mask:
        """Which rows the form is finite on, as booleans."""
        seen: Mask = pretrain + domain > 0
        if self.needs_pretrain:
            seen &= pretrain > 0
        if self.needs_domain:
            seen &= domain > 0
        return seen


def register(form: Form) -> Form:
    """Add `form` to `FORMS`, which is all that the fit, the planner and the commands read."""
    FORMS[form.name] = form
    return form


def power(log_x: Array, exponent: Array) -> Array:
    """x**-exponent from log x."""
    return np.exp(-exponent * log_x)


def grow(coefficient: Array, unit: float, exponent: Array) -> Array:
    """The coefficient of (x / unit)**-exponent as that of x**-exponent."""
    return coefficient * unit**exponent
