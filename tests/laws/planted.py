"""Laws that are known, and tables drawn from them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from splitlaw.laws.repetition import REPETITIONS

from splitlaw.laws import FORMS, FitResult, Member
from splitlaw.laws.points import Units

MIDDLE = Units(params=3e7, tokens=1e9)
SIZES = (1e7, 2e7, 4e7, 8e7)
GENERAL = (2.5e8, 5e8, 1e9, 2e9, 4e9)
SPECIAL = (0.0, 6.25e7, 2.5e8, 5e8, 1e9)
COLUMNS = ["params", "pretrain_tokens", "specialize_tokens", "domain"]

AT_MIDDLE = {
    "E": 1.7,
    "A": 0.5,
    "F": 0.4,
    "B": 0.6,
    "G": 0.3,
    "alpha": 0.35,
    "phi": 0.3,
    "beta": 0.35,
    "kappa": np.log(0.4),
    "rho": np.log(0.6),
    "gamma": 0.75,
    "delta": 0.1,
}
"""A law defined by the values of its terms at the middle of the grid."""


def law(form: str, domains: int = 2, **changes: float) -> FitResult:
    """A law without draws: domains differ by a few percent in every parameter."""
    rows = []
    for k in range(domains):
        values = {**AT_MIDDLE, **({"gamma": 0.03} if form == "interaction" else {}), **changes}
        values = {
            n: np.array(v * (1 + 0.04 * ((k * 7 + i) % 5 - 2)))
            for i, (n, v) in enumerate(values.items())
            if n in FORMS[form].names
        }
        told = FORMS[form].rescale(values, MIDDLE)
        told |= {name: np.log(told[name]) for name in FORMS[form].logs & set(told)}
        rows.append([float(told[name]) for name in FORMS[form].names])
    member = Member(
        law=form,
        sharing="none",
        weight=1.0,
        values=np.array(rows),
        draws=np.zeros((0, *np.shape(rows))),
    )
    return FitResult(
        domains=tuple("abcdefghijklmnopqrstuvwxyz"[k] for k in range(domains))
        if domains <= 26
        else tuple(f"domain{k:02}" for k in range(domains)),
        members=(member,),
        others=(),
        stand_ins=(),
        counts=(0,) * domains,
        objective=0.0,
        converged=True,
        warnings=(),
        holdout=(),
        candidates=(),
        reference={},
        flops_per_token={},
        range={
            "params": (SIZES[0], SIZES[-1]),
            "pretrain_tokens": (GENERAL[0], GENERAL[-1]),
            "specialize_tokens": (SPECIAL[0], SPECIAL[-1]),
        },
        repetitions=REPETITIONS,
        seed=0,
    )


def with_draws(fit: FitResult, draws: int, spread: float = 0.01, seed: int = 0) -> FitResult:
    """The same law with draws scattered around it."""
    rng = np.random.default_rng(seed)
    member = fit.members[0]
    factor = 1 + spread * rng.normal(size=(draws, *member.values.shape))
    return replace(fit, members=(replace(member, draws=member.values * factor),))


def cells(
    domains: tuple[str, ...],
    sizes: tuple[float, ...] = SIZES,
    pretrain: tuple[float, ...] = GENERAL,
    specialize: tuple[float, ...] = SPECIAL,
) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [sizes, pretrain, specialize, domains],
        names=["params", "pretrain_tokens", "specialize_tokens", "domain"],
    )
    frame = index.to_frame(index=False)
    return frame[frame["pretrain_tokens"] + frame["specialize_tokens"] > 0]


def table(truth: FitResult, noise: float = 0.0, seed: int = 0, **grid: tuple) -> pd.DataFrame:
    """The losses of a grid under a law, with `noise` of relative error."""
    frame = truth.predict(cells(truth.domains, **grid))[[*COLUMNS, "loss"]]
    frame = frame[np.isfinite(frame["loss"])].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    return frame.assign(loss=frame["loss"] * np.exp(noise * rng.normal(size=len(frame))))
