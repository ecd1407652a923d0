"""Numbers as text."""

import math

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "−"
NBSP = "\u00a0"
"""A space that does not break lines."""


def count(value: float) -> str:
    """Tokens or parameters with three digits: 3.67M, 129k, 512."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * scale:
            return f"{_three(value / scale)}{letter}"
    return _three(value)


def _three(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def power(value: float) -> str:
    """A large number as 2.87 × 10¹²."""
    exponent = math.floor(math.log10(value)) if value > 0 else 0
    return f"{value / 10**exponent:.3g}{NBSP}×{NBSP}10{str(exponent).translate(SUPERSCRIPT)}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; a dash for None and NaN."""
    if value is None or not known(value):
        return "–"
    return f"{_cut(100 * value, digits):.{digits}f}%".replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """A share as a percentage with its sign; a dash for None and NaN."""
    if value is None or not known(value):
        return "–"
    return f"{_cut(100 * value, digits):+.{digits}f}%".replace("-", MINUS)


def _cut(value: float, digits: int) -> float:
    """The rounded value; adding zero turns -0 into 0."""
    return round(value, digits) + 0.0


def loss(value: float | None, digits: int = 3) -> str:
    """A loss, or a difference of losses; a dash for None and NaN."""
    return "–" if not known(value) else f"{value:.{digits}f}".replace("-", MINUS)


def bounds(value: float, low: float, high: float, digits: int = 3) -> str:
    """A loss with its interval on one line; the loss alone where there is no interval."""
    if not low < high:
        return loss(value, digits)
    return f"{loss(value, digits)} ({loss(low, digits)}{NBSP}to{NBSP}{loss(high, digits)})"


def error(value: float | None, stderr: float | None, digits: int = 4) -> str:
    """A loss with its standard error, if that is known."""
    margin = f"{NBSP}±{NBSP}{loss(stderr, digits)}" if known(stderr) else ""
    return loss(value, digits) + margin


def known(value: float | None) -> bool:
    """Whether a value is a finite number."""
    return value is not None and math.isfinite(value)


def listing(parts: list[str]) -> str:
    """Join parts to a list within a sentence."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
