"""Laws that are known, for plans whose optimum can be computed in another way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from laws.planted import MIDDLE, RANGE, law

from splitlaw.laws import FitResult
from splitlaw.laws.log_loss import REPETITION

__all__ = ["MIDDLE", "RANGE", "law", "multiplied", "overfitting", "rippled", "several"]


@dataclass(frozen=True, kw_only=True)
class Rippled(FitResult):
    """A law whose losses are multiplied by a function, which makes them as uneven as one wants."""

    factor: Callable

    def losses(self, params, pretrain, specialize, domain, **unique):
        plain = super().losses(params, pretrain, specialize, domain, **unique)
        return plain * self.factor(np.asarray(pretrain), np.asarray(specialize), domain)

    def drawn_losses(self, params, pretrain, specialize, domain, **unique):
        plain = super().drawn_losses(params, pretrain, specialize, domain, **unique)
        return plain * self.factor(np.asarray(pretrain), np.asarray(specialize), domain)


def rippled(fit: FitResult, size: float, waves: float = 3.0) -> FitResult:
    """Losses with waves in the logarithms of D and D', which have several local minima."""

    def factor(pretrain, specialize, domain):
        along_s = np.sin(waves * np.log(specialize + 1e7) + domain)
        along_d = np.cos(0.8 * waves * np.log(pretrain + 2e7))
        return 1 + size * (along_s + 0.5 * along_d)

    return multiplied(fit, factor)


def multiplied(fit: FitResult, factor: Callable) -> FitResult:
    """Losses multiplied by a function of D, D' and the number of the domain."""
    return Rippled(**vars(fit), factor=factor)


def overfitting(fit: FitResult, overfit: float) -> FitResult:
    """A law whose log loss rises by `overfit` at the second pass over a text of the middle."""
    place = len(REPETITION) - list(REPETITION).index("overfit")
    members = []
    for member in fit.members:
        vector = member.vector.copy()
        vector[-place] = np.log(overfit)
        members.append(replace(member, vector=vector))
    return replace(fit, members=tuple(members))


def several(*fits: FitResult) -> FitResult:
    """The average of known laws, with equal weights."""
    members = tuple(replace(fit.members[0], weight=1 / len(fits)) for fit in fits)
    return replace(fits[0], members=members)
