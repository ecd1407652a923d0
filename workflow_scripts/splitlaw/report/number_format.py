"""Numbers as people read them."""

import math

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "−"
NBSP = "\u00a0"
"""A space at which no line breaks."""


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
    """A share as a percentage; a dash where it is not known."""
    if value is None or not known(value):
        return "–"
    return f"{_cut(100 * value, digits):.{digits}f}%".replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """A share as a percentage that shows its sign."""
    if value is None or not known(value):
        return "–"
    return f"{_cut(100 * value, digits):+.{digits}f}%".replace("-", MINUS)


def _cut(value: float, digits: int) -> float:
    """The rounded value; adding zero turns -0 into 0."""
    return round(value, digits) + 0.0


def loss(value: float | None, digits: int = 3) -> str:
    """A loss, or a difference of losses; a dash where it is not known."""
    return "–" if not known(value) else f"{value:.{digits}f}".replace("-", MINUS)


def bounds(value: float, low: float, high: float, digits: int = 3) -> str:
    """A loss with its interval, which does not break across lines; the loss alone without one."""
    if not low < high:
        return loss(value, digits)
    return f"{loss(value, digits)} ({loss(low, digits)}{NBSP}to{NBSP}{loss(high, digits)})"


def error(value: float | None, stderr: float | None, digits: int = 4) -> str:
    """A loss with its standard error, where that is known."""
    told = f"{NBSP}±{NBSP}{loss(stderr, digits)}" if known(stderr) else ""
    return loss(value, digits) + told


def known(value: float | None) -> bool:
    """Whether there is such a number."""
    return value is not None and math.isfinite(value)


def listing(parts: list[str]) -> str:
    """Parts as a list in a sentence."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
