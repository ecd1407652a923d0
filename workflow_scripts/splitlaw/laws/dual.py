"""Numbers that carry their derivatives, and numbers that carry their source in JavaScript.

The forms of the law are written once, as Python functions with the operators + - * / **. Called
with arrays they give losses, with `Dual` also the derivatives by every parameter, and with
`Expression` the source of the same function for the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from splitlaw.laws.points import Array


class Dual:
    """An array with its derivatives by named parameters (forward-mode differentiation)."""

    __slots__ = ("parts", "value")
    __array_ufunc__ = None  # array + Dual calls Dual.__radd__, not elementwise addition.

    def __init__(self, value: Any, parts: dict[str, Array] | None = None) -> None:
        self.value = value
        self.parts = parts or {}

    def chain(self, value: Any, slope: Any) -> Dual:
        """A function of this number, from its value and its derivative."""
        return Dual(value, {name: slope * part for name, part in self.parts.items()})

    def __add__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return Dual(self.value + other, self.parts)
        return Dual(self.value + other.value, _sum(self.parts, other.parts))

    def __mul__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return self.chain(self.value * other, other)
        mine = self.chain(0.0, other.value).parts
        return Dual(self.value * other.value, _sum(mine, other.chain(0.0, self.value).parts))

    def __pow__(self, exponent: Any) -> Dual:
        power = exponent if isinstance(exponent, Dual) else Dual(exponent)
        value = self.value**power.value
        parts: dict[str, Array] = {}
        if self.parts:
            # At base 0 a positive power has the value 0, and forms have no other derivative there.
            ratio = np.where(self.value > 0, value / np.where(self.value > 0, self.value, 1.0), 0.0)
            parts = self.chain(0.0, power.value * ratio).parts
        if power.parts:
            parts = _sum(parts, power.chain(0.0, _times_log(value, self.value)).parts)
        return Dual(value, parts)

    def __rpow__(self, base: Any) -> Dual:
        return Dual(base) ** self

    def __neg__(self) -> Dual:
        return self.chain(-self.value, -1.0)

    def __sub__(self, other: Any) -> Dual:
        return self + (-other)

    def __rsub__(self, other: Any) -> Dual:
        return -self + other

    def __truediv__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return self * (1.0 / other)
        return self * other.chain(1.0 / other.value, -1.0 / other.value**2)

    def __rtruediv__(self, other: Any) -> Dual:
        return Dual(other) / self

    __radd__ = __add__
    __rmul__ = __mul__


def _sum(a: dict[str, Array], b: dict[str, Array]) -> dict[str, Array]:
    return {**a, **b, **{name: a[name] + b[name] for name in a.keys() & b.keys()}}


def _times_log(value: Any, base: Any) -> Array:
    """value * log(base), 0 at base 0 where the value is 0."""
    positive = np.asarray(base) > 0
    return np.where(positive, value * np.log(np.where(positive, base, 1.0)), 0.0)


class Expression:
    """The source of a number in JavaScript."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __add__(self, other: Any) -> Expression:
        return Expression(f"({self.text} + {_text(other)})")

    def __radd__(self, other: Any) -> Expression:
        return Expression(f"({_text(other)} + {self.text})")

    def __mul__(self, other: Any) -> Expression:
        return Expression(f"({self.text} * {_text(other)})")

    def __rmul__(self, other: Any) -> Expression:
        return Expression(f"({_text(other)} * {self.text})")

    def __truediv__(self, other: Any) -> Expression:
        return Expression(f"({self.text} / {_text(other)})")

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression(f"({_text(other)} / {self.text})")

    def __sub__(self, other: Any) -> Expression:
        return Expression(f"({self.text} - {_text(other)})")

    def __rsub__(self, other: Any) -> Expression:
        return Expression(f"({_text(other)} - {self.text})")

    def __neg__(self) -> Expression:
        return Expression(f"(-{self.text})")

    def __pow__(self, other: Any) -> Expression:
        return Expression(f"Math.pow({self.text}, {_text(other)})")

    def __rpow__(self, other: Any) -> Expression:
        return Expression(f"Math.pow({_text(other)}, {self.text})")


Number: TypeAlias = Any
"""An array, a `Dual` or an `Expression`."""


def _text(value: Any) -> str:
    return value.text if isinstance(value, Expression) else repr(float(value))


def _function(
    numeric: Callable[[Any], Any], slope: Callable[[Any], Any], name: str
) -> Callable[[Number], Number]:
    def apply(x: Number) -> Number:
        if isinstance(x, Dual):
            return x.chain(numeric(x.value), slope(x.value))
        return Expression(f"Math.{name}({x.text})") if isinstance(x, Expression) else numeric(x)

    return apply


exp = _function(np.exp, np.exp, "exp")
log = _function(np.log, np.reciprocal, "log")
