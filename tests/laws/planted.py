"""Laws that are known, and tables drawn from them."""

import numpy as np
import pandas as pd

from splitlaw.laws import FORMS, FitResult
from splitlaw.laws.points import Units

MIDDLE = Units(params=3e7, pretrain=1e9, specialize=1e9, tokens=1e9)
SIZES = (1e7, 2e7, 4e7, 8e7)
GENERAL = (2.5e8, 5e8, 1e9, 2e9, 4e9)
SPECIAL = (0.0, 6.25e7, 2.5e8, 5e8, 1e9)
COLUMNS = ["params", "pretrain_tokens", "specialize_tokens", "domain"]
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
    own = [values_of(form, k, changes) for k in range(domains)]
    scattered = [[_scattered(values, spread, rng) for values in own] for _ in range(draws)]
    return FitResult.of_parameters(
        form,
        dict(zip(names, (in_tokens(form, values) for values in own), strict=True)),
        drawn=[
            dict(zip(names, (in_tokens(form, values) for values in draw), strict=True))
            for draw in scattered
        ],
        range=RANGE,
    )


def values_of(form: str, domain: int, changes: dict[str, float]) -> dict[str, float]:
    """Parameters of a form in units of `MIDDLE`."""
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


def in_tokens(form: str, values: dict[str, float]) -> dict[str, float]:
    """Parameters in the user's scale, from those in units of `MIDDLE`."""
    known = FORMS[form]
    found = known.user_values(known.coordinates(values), MIDDLE)
    return {name: float(value) for name, value in found.items()}


def cells(
    domains: tuple[str, ...],
    sizes: tuple[float, ...] = SIZES,
    pretrain: tuple[float, ...] = GENERAL,
    specialize: tuple[float, ...] = SPECIAL,
) -> pd.DataFrame:
    """The points of a grid."""
    index = pd.MultiIndex.from_product([sizes, pretrain, specialize, domains], names=COLUMNS)
    frame = index.to_frame(index=False)
    return frame[frame["pretrain_tokens"] + frame["specialize_tokens"] > 0]


def table(truth: FitResult, noise: float = 0.0, seed: int = 0, **grid: tuple) -> pd.DataFrame:
    """The losses of a grid under a law, with `noise` of relative error."""
    frame = truth.predict(cells(truth.domains, **grid))[[*COLUMNS, "loss"]]
    frame = frame[np.isfinite(frame["loss"])].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    return frame.assign(loss=frame["loss"] * np.exp(noise * rng.normal(size=len(frame))))
