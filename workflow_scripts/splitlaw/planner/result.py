"""The result of the planner: a split with its predicted losses, and the file that holds it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, write_json
from splitlaw.planner.summary import summarise, to_html

Loss: TypeAlias = tuple[float, float, float] | tuple[None, None, None]
"""A loss and its 90% interval, in nats per token; None where the law has no finite value."""
NO_LOSS: Loss = (None, None, None)
Multiplier: TypeAlias = tuple[float | None, float | None, float | None]
"""A multiple of a budget and its 90% interval; None where no budget up to 1,000 times suffices."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A recipe that the plan is compared with, at the same FLOPs."""

    strategy: str
    pretrain_tokens: int
    """D, tokens."""
    specialize_tokens: Mapping[str, int]
    """D' of each domain, tokens."""
    predicted_loss: Mapping[str, Loss]
    """Loss of each domain; None where no law covers the strategy, and where the law is infinite."""
    predicted_mean_loss: Loss
    """Weighted mean over the domains."""
    law: str | None
    """Law that predicts these losses, `mean` for the mean of several forms; None where there is no
    prediction."""
    probability_worse: float | None
    """Share of the draws in which the mean loss exceeds the plan's; None without draws, and where
    there is no predicted loss."""
    compute_multiplier: Multiplier | None = None
    """How many times the plan's FLOPs this recipe needs to reach the plan's predicted loss, with
    its 90% interval. An entry is None where no budget does; None where no law covers the
    strategy."""
    replay: Mapping[str, float] | None = None
    """Share of replay in the branch of each domain, in a plan with replay."""
    replay_tokens: Mapping[str, int] | None = None
    """General tokens in the branch of each domain."""
    general_loss: Mapping[str, Loss] | None = None
    """General loss of the specialist of each domain."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The optimum under one of the forms that are averaged."""

    law: str
    weight: float
    """Weight of the form in the average."""
    fraction_general: float
    pretrain_tokens: float
    """D, tokens."""
    regret: float | None
    """Mean loss of the plan under this law less the law's own optimum, nats per token; None where
    it is infinite."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """The compute-optimal split of a budget, in the order of plan.json.

    Examples
    --------
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> plan = splitlaw.plan(law, flops=1e18, params=1e7)
    >>> plan.save("plan.json")
    >>> splitlaw.Plan.load("plan.json") == plan
    True

    """

    flops: float
    """Training FLOPs of all models together."""
    params: float
    """Model size N, parameters."""
    flops_per_token: float
    """Training FLOPs per token at that size."""
    tokens: float
    """Tokens that the budget pays for."""
    trunk: str
    """`shared` or `independent`."""
    pretrain_tokens: int
    """D, general tokens before the split."""
    specialize_tokens: Mapping[str, int]
    """D' of each domain, tokens after the split."""
    fraction_general: float
    """c D / (c D + sum of D'); c = 1 for a shared trunk, else the number of domains."""
    predicted_loss: Mapping[str, Loss]
    """Loss of each domain."""
    predicted_mean_loss: Loss
    """Weighted mean loss over the domains."""
    interval: Mapping[str, tuple[float, float]]
    """90% intervals of `pretrain_tokens` and `fraction_general`."""
    expected_regret: float | None
    """Mean over the draws of the plan's mean loss less that of the draw's own optimum, nats per
    token; None without draws."""
    expected_regret_relative: float | None
    """`expected_regret` divided by the predicted mean loss."""
    baselines: tuple[Baseline, ...]
    """Recipes that the plan is compared with, at the same FLOPs."""
    candidates: tuple[Candidate, ...]
    """The optimum under each form that is averaged."""
    weights: Mapping[str, float]
    """Weight of each domain in the mean loss; they sum to 1."""
    pretrain_tokens_paid: bool
    """Whether the budget pays for D; not where a base model exists."""
    optimality_gap: float
    """Difference between the mean loss of the split and a lower bound on that of every split (the
    dual of the Lagrangian, the least over D), relative to the former. About 1e-6 where the law is
    convex; otherwise a better split may exist, but by no more than this."""
    law: str
    """Name of the law with the largest weight."""
    warnings: tuple[str, ...]
    """Sentences on extrapolation and on conditions that are not met."""
    unique_tokens: Mapping[str, float] = field(default_factory=dict)
    """Limits on the unique tokens of domains and of `general`, as they were given. If further
    passes over the text would raise the loss, a plan leaves tokens unspent."""
    base: Mapping[str, Any] | None = None
    """Tokens of the base and their estimate, as in fit.json; None without a base. `pretrain_tokens`
    include those of a base whose tokens are known, which the budget does not pay for."""
    replay: Mapping[str, float] | None = None
    """Share r of general tokens in the branch of each domain; None where replay is not planned."""
    replay_free: tuple[str, ...] | None = None
    """Domains whose share of replay the plan has chosen."""
    replay_tokens: Mapping[str, int] | None = None
    """General tokens in the branch of each domain, beside `specialize_tokens`."""
    general_loss: Mapping[str, Loss] | None = None
    """General loss of the specialist of each domain; None where no law describes it."""
    general_loss_rise: Mapping[str, Any] | None = None
    """Rise of general loss relative to the base, or to the general run of the whole budget:
    `domains` {domain: rise}, `mean`, `worst`, the `limit` of the plan, and the `reference`, the
    general loss from which rises are counted. With a limit also `confidence`, the probability with
    which each specialist is to keep it; `margins` {domain: part of its general loss} by which
    predictions are below the limit for that; `probability_kept` {domain: probability} and
    `probability_all_kept`, those of new runs of this plan under the draws of the law; and
    `domain_loss_cost`, by how much the mean domain loss is higher than if the predictions
    themselves were at the limit."""
    pareto: tuple[Mapping[str, Any], ...] | None = None
    """Splits with the lowest mean loss at a limit on general loss: `fraction_general`, `replay`
    {domain: r}, `domain_loss` with its interval `low`, `high`, and `general_loss`, means over the
    domains."""

    def to_json(self) -> dict[str, Any]:
        """The content of plan.json; without a base and replay it has no fields of them."""
        return _fields(self)

    def summary(self) -> str:
        """The split, the expected losses beside those of the baselines, and the warnings."""
        return summarise(self.to_json())

    def __repr__(self) -> str:
        return (
            f"Plan(flops={self.flops:.4g}, params={self.params:.4g}, "
            f"pretrain_tokens={self.pretrain_tokens}, specialize_tokens={self.specialize_tokens})"
        )

    def _repr_html_(self) -> str:
        return to_html(self.to_json())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write plan.json."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """Read plan.json; `UserError` if the file does not exist or is not a plan."""
        content = read_json(path)
        content.pop("schema_version", None)
        try:
            return cls.from_json(content)
        except (KeyError, TypeError, AttributeError) as cause:
            raise UserError(
                f"{path}: is not a plan ({cause} is wrong or missing); write it with choose_split"
            ) from None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """The inverse of `to_json`."""
        plan = dict(content)
        plan["baselines"] = tuple(
            Baseline(
                **{
                    **entry,
                    "predicted_loss": _tuples(entry["predicted_loss"]),
                    "predicted_mean_loss": tuple(entry["predicted_mean_loss"]),
                    "compute_multiplier": _tuple(entry.get("compute_multiplier")),
                    "general_loss": entry.get("general_loss") and _tuples(entry["general_loss"]),
                }
            )
            for entry in plan["baselines"]
        )
        plan["candidates"] = tuple(Candidate(**entry) for entry in plan["candidates"])
        for name in ("predicted_loss", "interval"):
            plan[name] = _tuples(plan[name])
        for name in ("predicted_mean_loss", "warnings"):
            plan[name] = tuple(plan[name])
        if plan.get("general_loss") is not None:
            plan["general_loss"] = _tuples(plan["general_loss"])
        for name in ("pareto", "replay_free"):
            if plan.get(name) is not None:
                plan[name] = tuple(plan[name])
        return cls(**plan)


def _tuples(lists: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(values) for name, values in lists.items()}


def _tuple(values: Any) -> Any:
    return None if values is None else tuple(values)


REPLAY_FIELDS = (
    "base",
    "replay",
    "replay_free",
    "replay_tokens",
    "general_loss",
    "general_loss_rise",
    "pareto",
)
"""Fields that only plans with a base, with replay or with a limit on general loss have."""


def _fields(value: Any) -> dict[str, Any]:
    found = {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
    return {n: v for n, v in found.items() if v is not None or n not in REPLAY_FIELDS}


def _to_json(value: Any) -> Any:
    """A field as JSON has it: objects as mappings, tuples as lists."""
    if isinstance(value, (Baseline, Candidate)):
        return _fields(value)
    if isinstance(value, Mapping):
        return {name: _to_json(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_to_json(part) for part in value]
    return value
