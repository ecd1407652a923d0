"""Laws that are known, for plans whose optimum can be computed in another way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitlaw.laws import FORMS, FitResult
from splitlaw.laws.points import Units

MIDDLE = Units(params=3e7, pretrain=1e9, specialize=1e9, tokens=1e9)
RANGE = {
    "params": (1e7, 8e7),
    "pretrain_tokens": (0.0, 4e9),
    "specialize_tokens": (0.0, 1e9),
    "loss": (1.0, 9.0),
}

AT_MIDDLE = {
    "E": 1.7,
    "A": 0.5,
    "F": 0.4,
    "B": 0.6,
    "G": 0.3,
    "alpha": 0.35,
    "phi": 0.3,
    "beta": 0.35,
    "kappa": 0.2,
    "rho": 0.6,
    "gamma": 0.75,
    "delta": 0.1,
    "d0": 0.05,
    "s0": 0.05,
}
"""A law defined by the values of its terms at the middle of the grid."""


def law(
    form: str, domains: int = 2, *, draws: int = 0, spread: float = 0.01, **changes: float
) -> FitResult:
    """A known law: domains differ by a few percent, draws by `spread`, in every parameter."""
    rng = np.random.default_rng(0)
    names = [f"{'abcdefghijklmnopqrstuvwxyz'[k % 26]}{k // 26 or ''}" for k in range(domains)]
    own = [_values(form, k, changes) for k in range(domains)]
    scattered = [[_scattered(values, spread, rng) for values in own] for _ in range(draws)]
    return FitResult.of_parameters(
        form,
        dict(zip(names, (_user(form, values) for values in own), strict=True)),
        drawn=[
            dict(zip(names, (_user(form, values) for values in draw), strict=True))
            for draw in scattered
        ],
        range=RANGE,
    )


def _values(form: str, domain: int, changes: dict[str, float]) -> dict[str, float]:
    values = {**AT_MIDDLE, **({"gamma": 0.03} if form == "interaction" else {}), **changes}
    return {
        name: value * (1 + 0.04 * ((domain * 7 + i) % 5 - 2))
        for i, (name, value) in enumerate(values.items())
        if name in FORMS[form].names
    }


def _scattered(
    values: dict[str, float], spread: float, rng: np.random.Generator
) -> dict[str, float]:
    return {name: value * (1 + spread * rng.normal()) for name, value in values.items()}


def _user(form: str, values: dict[str, float]) -> dict[str, float]:
    known = FORMS[form]
    found = known.user_values(known.coordinates(values), MIDDLE)
    return {name: float(value) for name, value in found.items()}


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


def several(*fits: FitResult) -> FitResult:
    """The average of known laws, with equal weights."""
    members = tuple(replace(fit.members[0], weight=1 / len(fits)) for fit in fits)
    return replace(fits[0], members=members)
