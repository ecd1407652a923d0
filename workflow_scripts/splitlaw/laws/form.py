"""A form of the law: its function, the priors of its parameters, and its units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from splitlaw.laws.dual import Dual, Expression, Number
from splitlaw.laws.points import Array, Mask, Points, Units

FORMS: dict[str, Form] = {}
"""Every form by its name, those of the default mixture first."""

AFTER: dict[str, Form] = {}
"""Forms of the general loss after specialising, by their names."""

ONE_STAGE: dict[str, Form] = {}
"""Forms that replace those of the same name where a table has one stage."""


@dataclass(frozen=True)
class Prior:
    """A log-normal prior, or a normal one where `log` is false, in the units of the fit."""

    median: float
    sd: float
    """Standard deviation of the logarithm (of the parameter itself where `log` is false)."""
    log: bool = True

    @property
    def centre(self) -> float:
        """Median of the unbounded coordinate."""
        return float(np.log(self.median)) if self.log else self.median


@dataclass(frozen=True, kw_only=True)
class Form:
    """A law L(N, D, D') = `loss(parameters, points)`, in nats per token.

    Parameters are held in unbounded coordinates: the logarithm, or the value itself for the few
    that may be negative.
    """

    name: str
    formula: str
    source: str
    priors: Mapping[str, Prior]
    """Prior of each parameter, which also gives the names and their order."""
    loss: Callable[[Any, Points], Number]
    """The law, of parameters as attributes and points: arrays, `Dual` or `Expression`."""
    to_user: Callable[[Any, Units], Mapping[str, Array]]
    """Parameters in the user's scale (N in parameters, tokens in tokens) from those of a fit."""
    stages: int = 2
    """2 for a form of D and D', 1 for a form of their sum."""
    needs_pretrain: bool = False
    """Whether the loss is infinite at D = 0."""
    needs_specialize: bool = False
    """Whether the loss is infinite at D' = 0."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self.priors)

    @property
    def finite(self) -> bool:
        """Whether the loss is finite at D = 0 and at D' = 0."""
        return not (self.needs_pretrain or self.needs_specialize)

    @property
    def centre(self) -> Array:
        """Prior medians of the coordinates [p]."""
        return np.array([prior.centre for prior in self.priors.values()])

    @property
    def spread(self) -> Array:
        """Prior standard deviations of the coordinates [p]."""
        return np.array([prior.sd for prior in self.priors.values()])

    def usable(self, pretrain: Array, specialize: Array) -> Mask:
        """Points where the form is finite."""
        seen: Mask = pretrain + specialize > 0
        if self.needs_pretrain:
            seen = seen & (pretrain > 0)
        return seen & (specialize > 0) if self.needs_specialize else seen

    def values(self, coordinates: Array) -> dict[str, Array]:
        """Parameters by name from coordinates [..., p], in the units of the fit."""
        return {
            name: np.exp(coordinates[..., j]) if prior.log else coordinates[..., j]
            for j, (name, prior) in enumerate(self.priors.items())
        }

    def coordinates(self, values: Mapping[str, Any]) -> Array:
        """The inverse of `values`."""
        return np.stack(
            [
                np.log(np.asarray(values[name], dtype=float))
                if prior.log
                else np.asarray(values[name], dtype=float)
                for name, prior in self.priors.items()
            ],
            axis=-1,
        )

    def user_values(self, coordinates: Array, units: Units) -> dict[str, Array]:
        """Parameters by name in the user's scale, from coordinates [..., p] of a fit in `units`."""
        values = self.values(coordinates)
        changed = self.to_user(SimpleNamespace(**values), units)
        return {name: np.asarray(changed.get(name, values[name])) for name in self.names}

    def evaluate(self, coordinates: Array, x: Points) -> Array:
        """Losses at points [...] for coordinates [..., p]; infinite where the form is."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = self.loss(SimpleNamespace(**self.values(coordinates)), x)
        return np.where(np.isnan(value), np.inf, value)

    def duals(self, coordinates: Array) -> SimpleNamespace:
        """Parameters [...] from coordinates [..., p], each with its derivative by its own."""
        return SimpleNamespace(
            **{
                name: Dual(value, {name: value if self.priors[name].log else np.ones_like(value)})
                for name, value in self.values(coordinates).items()
            }
        )

    def javascript(self) -> str:
        """Source of the expression of the loss, of `p.<name>` and of N, D, S, T."""
        p = SimpleNamespace(**{name: Expression(f"p.{name}") for name in self.names})
        x = Points(*(Expression(name) for name in ("N", "D", "S", "T")))
        return str(self.loss(p, x).text)


def register(form: Form, *, one_stage: bool = False) -> Form:
    """Add `form` to `FORMS`, or to `ONE_STAGE`; a form is known everywhere once it is there."""
    (ONE_STAGE if one_stage else FORMS)[form.name] = form
    return form


def form_for(name: str, stages: int, *, replays: bool = False) -> Form:
    """The form of a name for tables of one or of two stages, of which some may replay text."""
    form = ONE_STAGE.get(name, FORMS[name]) if stages == 1 else FORMS[name]
    return with_replay(form) if replays else form


REPLAY = {"replay_value": Prior(1.0, 0.7), "dilution": Prior(0.0, 0.5, log=False)}
"""Parameters of replayed text: general tokens before the branch that one in it is worth, and the
power of 1 - r in what domain tokens are worth when they are mixed with general ones. At r = 50% a
domain token is worth 0.4 to 2.6 times as much at two standard deviations."""


def with_replay(form: Form) -> Form:
    """The form for branches of which a share r of the tokens is general text."""

    def loss(p: Any, x: Points) -> Number:
        general, domain = x.D + p.replay_value * x.R, x.S * (1 - x.replay) ** p.dilution
        return form.loss(p, replace(x, D=general, S=domain))

    return replace(
        form,
        formula=f"{form.formula}, D + replay_value r T for D, D' (1 - r)^dilution for D'",
        priors={**form.priors, **REPLAY},
        loss=loss,
    )
