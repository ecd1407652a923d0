"""The result of a fit: parameters, intervals, predictions, and the file that holds them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json
from splitlaw.laws.fit import evaluate
from splitlaw.laws.form import FORMS, Form
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.repetition import effective_tokens
from splitlaw.laws.summary import summarise, to_html

LEVEL = (5.0, 95.0)
"""Percentiles at the two ends of a 90% interval."""

DIGITS = 10
"""Significant digits of a draw in fit.json; the rest is far below the spread of the draws."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A law that the fit retains: held-out errors do not distinguish it from the best one."""

    law: str
    """Name of the form."""

    sharing: str
    """Exponents that the domains share: `none`, `size` or `exponents`."""

    weight: float
    """Weight in the mean over the members, for predictions and plans."""

    values: Array
    """Parameters [domains, names] in the user's scale, the form's `logs` as logarithms."""

    draws: Array
    """The same of each bootstrap draw [draws, domains, names]."""

    @property
    def form(self) -> Form:
        """The form of the law."""
        return FORMS[self.law]

    def predict(self, x: Points, domain: Indices, *, draws: bool = False) -> Array:
        """Losses at points [n] of domains [n], or of each draw [draws, n]."""
        values = self.draws[:, domain] if draws else self.values[domain]
        return evaluate(self.form, values, x)

    def named(self, values: Array) -> dict[str, Array]:
        """Parameters by name, with the form's `logs` converted back from logarithms."""
        named = dict(zip(self.form.names, np.moveaxis(values, -1, 0), strict=True))
        return {n: np.exp(v) if n in self.form.logs else v for n, v in named.items()}

    def to_json(self, domains: tuple[str, ...]) -> dict[str, Any]:
        """The member with its draws."""
        values, drawn = self.named(self.values), self.named(self.draws)
        return {
            "law": self.law,
            "sharing": self.sharing,
            "weight": self.weight,
            "parameters": {
                d: {n: float(v[k]) for n, v in values.items()} for k, d in enumerate(domains)
            },
            "draws": {
                d: {n: [float(f"{u:.{DIGITS}g}") for u in v[:, k]] for n, v in drawn.items()}
                for k, d in enumerate(domains)
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], domains: tuple[str, ...]) -> "Member":
        """The inverse of `to_json`."""
        form = FORMS[content["law"]]

        def held(values: Mapping[str, Any], name: str) -> Array:
            array = np.asarray(values[name], dtype=float)
            return np.log(np.maximum(array, 1e-300)) if name in form.logs else array

        def stack(part: Mapping[str, Any]) -> Array:
            by_domain = [[held(part[d], name) for name in form.names] for d in domains]
            return np.moveaxis(np.array(by_domain), (0, 1), (-2, -1))

        return cls(
            law=content["law"],
            sharing=content["sharing"],
            weight=float(content["weight"]),
            values=stack(content["parameters"]),
            draws=stack(content["draws"]),
        )


def interval(draws: Array) -> tuple[Array, Array]:
    """The 90% interval over the first axis; NaN without draws."""
    if not len(draws):
        missing = np.full(draws.shape[1:], np.nan)
        return missing, missing
    # Where a law is infinite the losses have no interval, and numpy warns.
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(draws, LEVEL, axis=0)
    return low, high


@dataclass(frozen=True, kw_only=True, repr=False)
class FitResult:
    """A fitted law, with the other laws that held-out errors do not distinguish from it.

    `members[0]` is the law of `params`. Predictions are the weighted mean of the members; their
    intervals are those of all draws of all members.

    Examples
    --------
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> bool(law.params.loc["a", "alpha"] > 0)
    True
    >>> law.conf_int().columns.to_list()
    ['low', 'high']

    """

    domains: tuple[str, ...]
    """Names of the domains, in alphabetical order."""

    members: tuple[Member, ...]
    """The laws that predictions average, the simplest first."""

    others: tuple[Member, ...]
    """The candidates with larger held-out errors; their weight is 0, and they have no draws."""

    stand_ins: tuple[Member, ...]
    """Where a member is infinite (D = 0 or D' = 0), the first of these that is finite predicts."""

    counts: tuple[int, ...]
    """Rows of each domain."""

    objective: float
    """Sum over rows of the Huber loss of the error in log loss, of `members[0]`."""

    converged: bool
    """Whether the optimizer met its tolerance."""

    warnings: tuple[str, ...]
    """Sentences that users should read before they rely on the law."""

    holdout: tuple[dict[str, Any], ...]
    """Held-out errors by kind and domain: `kind`, `domain`, `n`, `mre`, `max`, `bias`, `source`."""

    candidates: tuple[dict[str, Any], ...]
    """The forms that were compared: `law`, `objective`, `holdout_mre`, `n_parameters` and more."""

    reference: Mapping[str, Any]
    """Values of the linear terms, and of kappa, at the geometric mean of the table."""

    flops_per_token: Mapping[float, float]
    """Training FLOPs per token by N, where the table has them."""

    range: Mapping[str, tuple[float, float]]
    """Lowest and highest value of each column in the fit."""

    repetitions: float
    """Number of repetitions after which another pass is worth 1/e of the first."""

    seed: int
    """Seed of the draws."""

    left_out: tuple[str, ...] = ()
    """Sentences about rows of the table that never take part; fit.json does not have them."""

    @property
    def law(self) -> str:
        """Name of the chosen law."""
        return self.members[0].law

    @property
    def n_draws(self) -> int:
        """Number of draws of each member."""
        return len(self.members[0].draws)

    @property
    def params(self) -> pd.DataFrame:
        """Parameters of the chosen law, a row per domain; N in parameters, tokens in tokens."""
        first = self.members[0]
        return pd.DataFrame(first.named(first.values), index=list(self.domains))

    def conf_int(self) -> pd.DataFrame:
        """The 90% interval of each parameter: index (domain, parameter), columns low, high."""
        first = self.members[0]
        rows = {}
        for name, drawn in first.named(first.draws).items():
            low, high = interval(drawn)
            for k, domain in enumerate(self.domains):
                rows[domain, name] = (low[k], high[k])
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["low", "high"])
        frame.index = pd.MultiIndex.from_tuples(frame.index, names=["domain", "parameter"])
        return frame.sort_index(level="domain", sort_remaining=False)

    def domain_numbers(self, names: pd.Series) -> Indices:
        """The number of each named domain; `UserError` for one that is not in the fit."""
        unknown = sorted(set(names.astype(str)) - set(self.domains))
        if unknown:
            raise UserError(
                f"domain {unknown[0]!r} is not in the fit; choose from {', '.join(self.domains)}"
            )
        return np.array([self.domains.index(str(name)) for name in names], dtype=np.intp)

    def predict(self, points: pd.DataFrame) -> pd.DataFrame:
        """Add `loss`, `loss_low`, `loss_high` to a frame of points.

        `points` has params, pretrain_tokens, specialize_tokens, domain, and unique tokens
        where they repeat. The loss is the expected loss of a new run in nats per token, with
        its 90% interval. Where a member is infinite (D = 0 or D' = 0) the first of `stand_ins`
        that is not predicts; the loss is infinite where there is none.
        """
        numbers = self.domain_numbers(points["domain"])
        x = _points(points, self.repetitions)
        value, low, high = _predict(self.members, x, numbers)
        for stand_in in self.stand_ins:
            none = ~np.isfinite(value)
            if none.any():
                other = _predict([stand_in], x.take(none), numbers[none])
                value[none], low[none], high[none] = other
        return points.assign(loss=value, loss_low=low, loss_high=high)

    def summary(self) -> str:
        """The parameters, the held-out errors, the candidates and the warnings, as plain text."""
        return summarise({**self._described(), "left_out": self.left_out})

    def __repr__(self) -> str:
        return f"FitResult(law={self.law!r}, domains={self.domains}, draws={self.n_draws})"

    def _repr_html_(self) -> str:
        return to_html(self._described())

    def _described(self) -> dict[str, Any]:
        """The content of fit.json without the draws."""
        bounds = self.conf_int()
        domains = {
            domain: {
                "parameters": {name: float(v) for name, v in row.items()},
                "interval": {
                    name: [_or_none(v) for v in bounds.loc[(domain, name)]] for name in row.index
                },
                "n": n,
            }
            for (domain, row), n in zip(self.params.iterrows(), self.counts, strict=True)
        }
        return {
            "law": self.law,
            "formula": FORMS[self.law].formula,
            "domains": domains,
            "objective": self.objective,
            "converged": self.converged,
            "warnings": list(self.warnings),
            "holdout": list(self.holdout),
            "candidates": list(self.candidates),
            "flops_per_token": {f"{n:.15g}": f for n, f in self.flops_per_token.items()},
            "range": {column: list(ends) for column, ends in self.range.items()},
            "repetitions": self.repetitions,
            "reference": dict(self.reference),
            "units": {
                "params": "parameters",
                "pretrain_tokens": "tokens",
                "specialize_tokens": "tokens",
                "loss": "nats per token",
                "flops_per_token": "training FLOPs per token",
                "interval": "90%",
            },
        }

    def to_json(self) -> dict[str, Any]:
        """The content of fit.json."""
        return {
            **self._described(),
            "bootstrap": {
                "draws": self.n_draws,
                "seed": self.seed,
                "clusters": "(size, seed, pretrain_tokens), stratified by size",
                "members": [member.to_json(self.domains) for member in self.members],
                "stand_ins": [member.to_json(self.domains) for member in self.stand_ins],
                "others": [member.to_json(self.domains) for member in self.others],
            },
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write fit.json."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FitResult":
        """Read fit.json; `UserError` where it is not one."""
        content = read_json(path)
        try:
            domains = tuple(content["domains"])
            drawn = content["bootstrap"]
            return cls(
                domains=domains,
                members=tuple(Member.from_json(m, domains) for m in drawn["members"]),
                others=tuple(Member.from_json(m, domains) for m in drawn["others"]),
                stand_ins=tuple(Member.from_json(m, domains) for m in drawn["stand_ins"]),
                reference=content["reference"],
                counts=tuple(content["domains"][d]["n"] for d in domains),
                objective=content["objective"],
                converged=content["converged"],
                warnings=tuple(content["warnings"]),
                holdout=tuple(content["holdout"]),
                candidates=tuple(content["candidates"]),
                flops_per_token={float(n): f for n, f in content["flops_per_token"].items()},
                range={column: tuple(ends) for column, ends in content["range"].items()},
                repetitions=content["repetitions"],
                seed=content["bootstrap"]["seed"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise UserError(
                f"{path}: is not a fit ({cause!r} is wrong or missing); write it with fit_law"
            ) from None


def _points(points: pd.DataFrame, repetitions: float) -> Points:
    """Rows of a frame as points of a form, with effective tokens where text repeats."""
    tokens = []
    for column in ("pretrain_tokens", "specialize_tokens"):
        seen = points[column].to_numpy(dtype=float)
        unique = points.get(f"unique_{column}", points[column]).to_numpy(dtype=float)
        unique = np.where(np.isnan(unique), seen, unique)
        tokens.append(effective_tokens(seen, unique, repetitions))
    pretrain, specialize = tokens
    return Points.of(points["params"].to_numpy(dtype=float), pretrain, specialize)


def _predict(members: Sequence[Member], x: Points, numbers: Indices) -> tuple[Array, Array, Array]:
    """The mean of the members at points [n], and the interval of all their draws."""
    total = sum(m.weight for m in members)
    shares = [m.weight / total if total else 1 / len(members) for m in members]
    parts = [s * m.predict(x, numbers) for s, m in zip(shares, members, strict=True)]
    drawn = np.concatenate([m.predict(x, numbers, draws=True) for m in members])
    low, high = interval(drawn)
    return np.sum(parts, axis=0), low, high


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
