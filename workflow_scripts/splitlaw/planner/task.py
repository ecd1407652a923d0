"""What is asked of the planner, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.points import Indices
from splitlaw.laws.result import FitResult
from splitlaw.planner.allocate import Constraint
from splitlaw.planner.costs import flops_per_token_at
from splitlaw.planner.surface import Setting, Surface

TRUNKS = ("shared", "independent")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of the planner, checked."""

    fit: FitResult
    setting: Setting
    columns: Indices
    """Numbers of the planned domains in the fit [k]."""

    trunk: str
    flops_per_token: float | None
    spent: float | None
    min_tokens: float

    def cost(self, params: float) -> float:
        """FLOPs per token at a size."""
        return self.flops_per_token or flops_per_token_at(self.fit.flops_per_token, params)

    def constraint(self, flops: float, params: float) -> Constraint:
        """The budget in tokens at a size."""
        trunks = 1 if self.trunk == "shared" else len(self.columns)
        return Constraint(
            tokens=flops / self.cost(params),
            trunks=trunks,
            spent=self.spent,
            min_tokens=self.min_tokens,
        )

    def point(self, params: float) -> Surface:
        """The mean of the laws' point estimates."""
        return Surface.of_points(self.fit.members, self.columns, params, self.setting)

    def draws(self, params: float) -> list[Surface]:
        """The draws of each law."""
        return [
            Surface.of_draws(member, self.columns, params, self.setting)
            for member in self.fit.members
            if len(member.draws)
        ]


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
    names = tuple(domains) if domains else fit.domains
    if not 1 <= len(names) <= 64 or len(set(names)) < len(names):
        raise UserError(f"domains {', '.join(names)}: give 1 to 64 different names")
    unknown = [name for name in names if name not in fit.domains]
    if unknown:
        raise UserError(
            f"domain {unknown[0]!r} is not in the fit; choose from {', '.join(fit.domains)}"
        )
    if trunk not in TRUNKS:
        raise UserError(f"trunk {trunk!r} is unknown; give shared or independent")
    for key, value in (
        ("flops_per_token", flops_per_token),
        ("pretrain_tokens", pretrain_tokens),
        ("min_tokens_per_model", min_tokens_per_model),
    ):
        least_is_bad = value is not None and (value < 0 or not np.isfinite(value))
        if least_is_bad or (key == "flops_per_token" and value == 0):
            raise UserError(f"{key} is {value}; give a finite number above 0")
    given, unique = dict(weights or {}), dict(unique_tokens or {})
    _check_keys("weights", given, names)
    _check_keys("unique tokens", unique, (*names, GENERAL))
    share = np.array([given.get(name, 1.0) for name in names])
    setting = Setting(
        domains=names,
        weights=share / share.sum(),
        unique=np.array([unique.get(name, np.inf) for name in names]),
        unique_pretrain=unique.get(GENERAL, np.inf),
        repetitions=fit.repetitions,
    )
    return Task(
        fit=fit,
        setting=setting,
        columns=np.array([fit.domains.index(name) for name in names]),
        trunk=trunk,
        flops_per_token=flops_per_token,
        spent=pretrain_tokens,
        min_tokens=min_tokens_per_model,
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
    if all(member.form.stages == 1 for member in fit.members):
        raise UserError(f"the law {fit.law} describes runs of one stage, {remedy}")


def _check_keys(what: str, given: Mapping[str, float], names: Sequence[str]) -> None:
    for name, value in given.items():
        if name not in names:
            raise UserError(f"{what}: domain {name!r} is not planned; give {', '.join(names)}")
        if not (np.isfinite(value) and value > 0):
            raise UserError(f"{what}: {name}={value:g}; give a finite number above 0")
