"""Errors of ratios over documents or items, and the bootstrap of paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

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


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """The mean of a quantity over seeds whose models are evaluated on the same documents."""

    value: float
    """The mean."""
    stderr: float
    """Its standard error: that over documents combined with the spread between seeds."""
    reach: float
    """Half of its 90% interval."""
    spread: float | None
    """Standard deviation over seeds; None for one seed."""


def mean_over_seeds(values: Array, document_stderr: float) -> SeedMean:
    """Mean over seeds, with an error that holds for other documents and for other seeds.

    `values` has one value per seed, `[seeds]`; `document_stderr` is the standard error of their
    mean over documents, which all seeds share. The mean of n seeds has the variance
    `document_stderr**2 + spread**2 / n`. The spread of few seeds is itself uncertain, so the
    interval takes the quantile of Student's t with the degrees of freedom of Welch (1947), where
    the part of the documents, estimated from many, counts as exact. One seed has no spread: its
    error is that over documents.
    """
    count = len(values)
    value = float(np.mean(values))
    if count < 2:
        reach = NORMAL_90 * document_stderr
        return SeedMean(value=value, stderr=document_stderr, reach=reach, spread=None)
    spread = float(np.std(values, ddof=1))
    between = spread**2 / count
    variance = document_stderr**2 + between
    stderr = float(np.sqrt(variance))
    freedom = (count - 1) * (variance / between) ** 2 if between > 0 else np.inf
    quantile = float(stdtrit(freedom, 0.95)) if np.isfinite(freedom) else NORMAL_90
    reach = quantile * stderr
    return SeedMean(value=value, stderr=stderr, reach=reach, spread=spread)


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
