"""Errors of ratios over documents or items, and the bootstrap of paired differences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NORMAL_90 = 1.6448536269514722
"""Standard errors on either side of a 90% interval: the 95% quantile of the normal distribution."""


def ratio_stderr(numerator: Array, denominator: Array) -> float:
    """Standard error of sum(numerator) / sum(denominator) over independent pairs.

    The linearised ratio estimator (Cochran 1977, section 2.11). NaN for a single pair.
    """
    count = len(numerator)
    if count < 2:
        return float("nan")
    residual = numerator - numerator.sum() / denominator.sum() * denominator
    spread = count / (count - 1) * (residual**2).sum()
    return float(np.sqrt(spread) / denominator.sum())


def resample(count: int, *, generator: np.random.Generator, draws: int = 2000) -> Array:
    """Number of times that each of `count` documents is drawn in each sample with replacement.

    `[draws, count]`; NaN for a single document, which has no other sample.
    """
    if count < 2:
        return np.full((draws, count), np.nan)
    return generator.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def paired_bootstrap(difference: Array, denominator: Array, times: Array) -> Array:
    """Draws of sum(difference) / sum(denominator), `[draws]`, for `times` of `resample`.

    `difference` is the value of one model minus that of another on each document, `[documents]`, so
    that both see the same documents in every draw (Efron and Tibshirani 1993, chapter 8).
    """
    return np.asarray((times @ difference) / (times @ denominator))
