"""The arguments of a plan, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Constraint
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.planner.surface import Setting, Surface

TRUNKS = ("shared", "independent")

SAME = 1e-3
"""Relative difference of two model sizes, or of two numbers of tokens, that count as the same: far
below the steps of any grid, and above the rounding of a number that a user types."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The arguments of a plan, checked."""

    fit: FitResult
    setting: Setting
    trunk: str
    flops_per_token: float | None
    pretrain: float | None
    """D where it is given and not paid for."""
    specialize: float | None
    """D' where the law knows no other."""
    min_tokens: float
    notes: tuple[str, ...]
    """Warnings about columns that do not vary."""

    def cost(self, params: float) -> float:
        """FLOPs per token at a size."""
        return self.flops_per_token or flops_per_token_at(self.fit.flops_per_token, params)

    def constraint(self, flops: float, params: float) -> Constraint:
        """The budget in tokens at a size."""
        return Constraint(
            tokens=flops / self.cost(params),
            trunks=1 if self.trunk == "shared" else len(self.setting.domains),
            pretrain=self.pretrain,
            specialize=self.specialize,
            min_tokens=self.min_tokens,
        )

    def surface(self, params: float, law: str | None = None) -> Surface:
        """The losses at a size, under the mean of the forms or under one of them."""
        fit = self.fit if law is None else self.fit.only(law)
        return Surface(fit=fit, params=params, setting=self.setting)


def check_no_base(fit: FitResult, what: str) -> None:
    """Refuse a law of a base, whose tokens a budget does not pay for."""
    if fit.base is not None:
        raise UserError(f"{what} does not plan with a base; give a law without one")


def make_task(
    fit: FitResult,
    *,
    domains: Sequence[str] | None = None,
    trunk: str = "shared",
    weights: Mapping[str, float] | None = None,
    unique_tokens: Mapping[str, float] | None = None,
    flops_per_token: float | None = None,
    pretrain_tokens: float | None = None,
    min_tokens_per_model: float = 0.0,
) -> Task:
    """Check the arguments; raises `UserError` with the key that cannot be used."""
    _check_two_stages(fit)
    if trunk not in TRUNKS:
        raise UserError(f"trunk {trunk!r} is unknown; give shared or independent")
    _check_numbers(flops_per_token, pretrain_tokens, min_tokens_per_model)
    pretrain, specialize, notes = _held(fit, pretrain_tokens)
    return Task(
        fit=fit,
        setting=_setting(fit, domains, weights or {}, unique_tokens or {}),
        trunk=trunk,
        flops_per_token=flops_per_token,
        pretrain=pretrain,
        specialize=specialize,
        min_tokens=min_tokens_per_model,
        notes=notes,
    )


def _setting(
    fit: FitResult,
    domains: Sequence[str] | None,
    weights: Mapping[str, float],
    unique: Mapping[str, float],
) -> Setting:
    names = tuple(domains) if domains else fit.domains
    if not 1 <= len(names) <= 64 or len(set(names)) < len(names):
        raise UserError(f"domains {', '.join(names)}: give 1 to 64 different names")
    unknown = [name for name in names if name not in fit.domains]
    if unknown:
        raise UserError(
            f"domain {unknown[0]!r} is not in the fit; choose from {', '.join(fit.domains)}"
        )
    _check_keys("weights", weights, names)
    _check_keys("unique tokens", unique, (*names, GENERAL))
    share = np.array([weights.get(name, 1.0) for name in names])
    return Setting(
        domains=names,
        columns=tuple(fit.domains.index(name) for name in names),
        weights=share / share.sum(),
        unique=np.array([unique.get(name, np.inf) for name in names]),
        unique_pretrain=unique.get(GENERAL, np.inf),
    )


def _check_two_stages(fit: FitResult) -> None:
    """Refuse a law that does not distinguish general tokens from domain tokens."""
    remedy = (
        "so the law knows no split; fit a law to runs with both pretrain_tokens and "
        "specialize_tokens"
    )
    for column in ("pretrain_tokens", "specialize_tokens"):
        if fit.range[column][1] == 0:
            raise UserError(f"all rows of the fit have {column} 0, {remedy}")
    if fit.stages == 1:
        raise UserError(f"the law {fit.law} describes runs of one stage, {remedy}")


def _held(
    fit: FitResult, pretrain_tokens: float | None
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """D and D' that a plan has to keep, because the table has one value of them only."""
    notes, specialize = [], None
    low, high = fit.range["pretrain_tokens"]
    if low == high:
        if pretrain_tokens is not None and not _same(pretrain_tokens, high):
            raise UserError(
                f"pretrain_tokens is {pretrain_tokens:g}, but all rows of the fit have {high:g}, "
                "so the law does not know how the loss depends on it; give that value"
            )
        if pretrain_tokens is None:
            notes.append(
                f"All rows of the fit have pretrain_tokens {high:g}: the plan keeps that value, "
                "as if it were given, and the budget pays for the domain tokens alone."
            )
        pretrain_tokens = high
    low, high = fit.range["specialize_tokens"]
    if low == high:
        specialize = high
        rest = ", and general tokens get the rest of the budget" if pretrain_tokens is None else ""
        notes.append(
            f"All rows of the fit have specialize_tokens {high:g}: the plan keeps that value{rest}."
        )
    return pretrain_tokens, specialize, tuple(notes)


def _same(value: float, other: float) -> bool:
    return abs(value - other) <= SAME * other


def check_size(fit: FitResult, params: float) -> None:
    """Refuse another size than that of the table where there is only one.

    Nothing in such a table says how the loss depends on N: a prediction at another size would be
    the prior alone, however it is worded, so there is no plan to warn about.
    """
    low, high = fit.range["params"]
    if low == high and not _same(params, high):
        raise UserError(
            f"params is {params:g}, but all rows of the fit have {high:g} parameters, so the law "
            "does not know how the loss depends on params; plan at that size, or measure another"
        )


def _check_numbers(
    flops_per_token: float | None, pretrain_tokens: float | None, min_tokens: float
) -> None:
    for key, value in (
        ("flops_per_token", flops_per_token),
        ("pretrain_tokens", pretrain_tokens),
        ("min_tokens_per_model", min_tokens),
    ):
        if value is not None and (value < 0 or not np.isfinite(value)):
            raise UserError(f"{key} is {value}; give a finite number of at least 0")
    if flops_per_token == 0:
        raise UserError("flops_per_token is 0; give a number above 0")


def _check_keys(argument: str, given: Mapping[str, float], names: Sequence[str]) -> None:
    for name, value in given.items():
        if name not in names:
            raise UserError(f"{argument}: domain {name!r} is not planned; give {', '.join(names)}")
        if not (np.isfinite(value) and value > 0):
            raise UserError(f"{argument}: {name}={value:g}; give a finite number above 0")
