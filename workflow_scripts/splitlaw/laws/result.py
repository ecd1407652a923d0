"""The result of a fit: parameters, intervals, and losses as functions of (N, D, D', domain)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws import store
from splitlaw.laws.form import form_for
from splitlaw.laws.functions import Functions
from splitlaw.laws.log_loss import REPETITION
from splitlaw.laws.mean import Mean
from splitlaw.laws.member import Member
from splitlaw.laws.plain import plain_frame, plain_member
from splitlaw.laws.points import Array, Indices
from splitlaw.laws.summary import summarise, to_html

NOISE_DRAWS = 16
"""Draws of the noise of a new run for each draw of the law: enough for the ends of an interval."""


def interval(draws: Array) -> tuple[Array, Array]:
    """The 90% interval over the first axis; NaN without draws."""
    if not len(draws):
        missing = np.full(draws.shape[1:], np.nan)
        return missing, missing
    # Where a law is infinite the losses have no interval, and numpy warns.
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(draws, store.LEVEL, axis=0)
    return low, high


@dataclass(frozen=True, kw_only=True, repr=False)
class FitResult(Functions):
    """A fitted law: forms averaged by their weights, with functions drawn from the posterior.

    Predictions are the weighted mean of the members; intervals are those of all draws, of which
    each member has a number in proportion to its weight.

    Examples
    --------
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> bool(law.params.loc["a", "alpha"] > 0)
    True
    >>> law.conf_int().columns.to_list()
    ['low', 'high']

    """

    counts: tuple[int, ...]
    """Rows of each domain."""

    objective: float
    """Sum over rows of Huber (delta 1e-3) on log loss, of the parameters of `members[0]`."""

    converged: bool
    """Whether the search for the parameters met its tolerance."""

    warnings: tuple[str, ...]
    """Sentences that users should read before they rely on the law."""

    holdout: tuple[Mapping[str, Any], ...]
    """Errors on left-out rows: `kind, domain, n, mre, max, bias, coverage, source`."""

    candidates: tuple[Mapping[str, Any], ...]
    """The forms: `law`, `objective`, `holdout_mre`, `log_predictive_density`, `n_parameters`."""

    flops_per_token: Mapping[float, float]
    """Training FLOPs per token by N, where the table has them."""

    range: Mapping[str, tuple[float, float]]
    """Lowest and highest value of each column in the fit; `passes` over the text of a domain."""

    identified: Mapping[str, bool]
    """Whether the table determines `trunk_sd` and `row_sd`."""

    seed: int = 0
    """Seed of the draws."""

    left_out: tuple[str, ...] = ()
    """Sentences about rows of the table that never take part; fit.json does not have them."""

    base: float | str | None = None
    """Tokens of the base model from which all runs continue, `unknown`, or None without a base."""

    general_after: FitResult | None = None
    """The law of the general loss after specialising, of the same N, D, D' and domains; None where
    the table has no such rows."""

    @property
    def law(self) -> str:
        """Name of the form with the largest weight."""
        return self.members[0].law

    @cached_property
    def params(self) -> pd.DataFrame:
        """Parameters of `law`, a row per domain; N in parameters, tokens in tokens."""
        return pd.DataFrame(
            _user_values(self.members[0], self.members[0].vector), index=list(self.domains)
        )

    def conf_int(self) -> pd.DataFrame:
        """The 90% interval of each parameter: index (domain, parameter), columns low, high."""
        first, rows = self.members[0], {}
        drawn = _user_values(first, first.vectors)
        for name, values in drawn.items():
            low, high = interval(values)
            for k, domain in enumerate(self.domains):
                value = self.params.loc[domain, name]
                # Few draws may all be on one side of the estimate.
                rows[domain, name] = (np.fmin(low[k], value), np.fmax(high[k], value))
                if not first.draws:
                    rows[domain, name] = (np.nan, np.nan)
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
        """Add `loss`, `loss_low`, `loss_high`, `mean_low`, `mean_high` to a frame of points.

        `points` has params, pretrain_tokens, specialize_tokens, domain, unique tokens where they
        repeat, and `replay` where general tokens are mixed in. `loss` is the expectation over seeds
        in nats per token and `mean_low`, `mean_high` its 90% interval; `loss_low`, `loss_high` is
        that of the loss of a new run. Both are NaN without draws. Rows of the domain `general` with
        a `train_domain` have the general loss of that specialist.
        """
        if self.general_after is not None and "train_domain" in points:
            special = (points["domain"] == GENERAL) & (points["train_domain"] != GENERAL)
            if special.any():
                return self._with_general(points, np.flatnonzero(special))
        d, s = (points[c].to_numpy(dtype=float) for c in ("pretrain_tokens", "specialize_tokens"))
        options = {
            name: _filled(points, f"{name}_tokens", seen)
            for name, seen in (("unique_pretrain", d), ("unique_specialize", s))
        }
        if "replay" in points:
            options["replay"] = np.nan_to_num(points["replay"].to_numpy(dtype=float))
        at = (points["params"].to_numpy(dtype=float), d, s, self.domain_numbers(points["domain"]))
        value = self.losses(*at, **options)
        drawn = self.drawn_losses(*at, **options)
        mean_low, mean_high = interval(drawn)
        low, high = interval(_with_noise(drawn, self.noise_sd(d, s), self.seed))
        # Draws of a wide posterior may all be above its mean, or below. Where one of the forms is
        # infinite, so is the loss, and the draws of the others are no interval of it.
        known = np.where(np.isfinite(value), value, np.nan)
        return points.assign(
            loss=value,
            loss_low=np.minimum(low, known),
            loss_high=np.maximum(high, known),
            mean_low=np.minimum(mean_low, known),
            mean_high=np.maximum(mean_high, known),
        )

    def _with_general(self, points: pd.DataFrame, special: Indices) -> pd.DataFrame:
        """Predictions of which some rows are of the general loss of specialists."""
        assert self.general_after is not None
        own, rest = points.iloc[special], np.setdiff1d(np.arange(len(points)), special)
        found = self.general_after.predict(own.assign(domain=own["train_domain"]))
        parts = [found.assign(domain=GENERAL)]
        parts += [self.predict(points.iloc[rest])] if len(rest) else []
        return pd.concat(parts).iloc[np.argsort(np.concatenate([special, rest]))]

    def summary(self) -> str:
        """The parameters, the left-out errors, the forms and the warnings, as plain text."""
        return summarise({**store.described(self), "left_out": self.left_out})

    def __repr__(self) -> str:
        return f"FitResult(law={self.law!r}, domains={self.domains}, draws={self.n_draws})"

    def _repr_html_(self) -> str:
        return to_html(store.described(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write fit.json and beside it {stem}.posterior.npz."""
        store.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FitResult:
        """Read fit.json and its posterior; `UserError` where they are not a fit."""
        return cls(**store.load(path, lambda fields: cls(**fields)))

    @classmethod
    def of_parameters(
        cls,
        law: str,
        parameters: Mapping[str, Mapping[str, float]],
        *,
        drawn: Sequence[Mapping[str, Mapping[str, float]]] = (),
        range: Mapping[str, tuple[float, float]] | None = None,
        flops_per_token: Mapping[float, float] | None = None,
        repetition: Mapping[str, float] | None = None,
    ) -> FitResult:
        """A known law without discrepancy or noise, for simulations.

        `parameters` are by domain and name in the user's scale, `drawn` those of each draw;
        `repetition` are those of `REPETITION` in `splitlaw.laws.log_loss` that differ from their
        medians.
        """
        domains = tuple(sorted(parameters))
        form = form_for(law, 2)
        mean = Mean(form, plain_frame(form.stages), len(domains))
        common = [float(np.log((repetition or {}).get(n, p.median))) for n, p in REPETITION.items()]

        def vector(values: Mapping[str, Mapping[str, float]]) -> Array:
            own = np.stack([form.coordinates(values[name]) for name in domains])
            return np.concatenate([own.ravel(), common])

        vectors = [vector(values) for values in drawn]
        member = plain_member(
            mean, vector(parameters), np.array(vectors).reshape(len(vectors), mean.size)
        )
        anything = (0.0, np.inf)
        return cls(
            domains=domains,
            members=(member,),
            counts=(0,) * len(domains),
            objective=0.0,
            converged=True,
            warnings=(),
            holdout=(),
            candidates=(),
            flops_per_token=dict(flops_per_token or {}),
            range=dict(
                range
                or dict.fromkeys(
                    ("params", "pretrain_tokens", "specialize_tokens", "loss"), anything
                )
            ),
            identified={"trunk_sd": True, "row_sd": True},
        )


def _user_values(member: Member, vectors: Array) -> dict[str, Array]:
    """Parameters by name in the user's scale [..., domains] of vectors [..., size]."""
    mean = member.mean
    return mean.form.user_values(mean.by_domain(vectors), mean.frame.units)


def _with_noise(drawn: Array, sd: Array, seed: int) -> Array:
    """Losses of new runs [draws, n]: drawn expectations with drawn noise, the same each time."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((NOISE_DRAWS if len(drawn) else 0, len(drawn), 1))
    return (drawn * np.exp(noise * sd)).reshape(-1, drawn.shape[1])


def _filled(points: pd.DataFrame, column: str, seen: Array) -> Array:
    """A column of unique tokens, all of `seen` where it is absent or empty."""
    given = points.get(column)
    if given is None:
        return seen
    numbers = given.to_numpy(dtype=float)
    return np.where(np.isnan(numbers), seen, np.minimum(numbers, seen))
