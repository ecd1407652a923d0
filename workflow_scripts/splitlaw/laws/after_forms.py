"""Forms of the general loss of a specialist: what a branch of D' domain tokens leaves of D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitlaw.laws.dual import Number
from splitlaw.laws.form import AFTER, Form, Prior
from splitlaw.laws.forms import EXPONENT, RATE, SIZE_PRIORS, TERM, size_values
from splitlaw.laws.points import Points, Units

SHARE = Prior(0.1, 0.7)
"""Replayed tokens for each domain token that halve the effect of a branch, for an exponent of 1."""
POWER = Prior(1.0, 0.5)
MIDDLE = Prior(1.0, 1.0)
"""Domain tokens at which half of an effect is reached, in units of their middle."""


def _protection(p: Any, x: Points) -> Number:
    """The part of a branch's effect that is left at a share of replay: 1 at none, 0 at all.

    It depends on the ratio of general to domain tokens, because a branch of general text alone is
    general training. A power of the share itself leaves an effect there, and bends too little
    between the shares of a grid.
    """
    return (p.r0 / (x.replay / (1 - x.replay) + p.r0)) ** p.q


def _rise(p: Any, x: Points) -> Number:
    grown = x.S**p.nu / (x.S**p.nu + p.s0**p.nu)
    seen = x.D + x.R + p.kappa * x.S
    unsplit = p.E + p.A * x.N**-p.alpha + p.B * seen**-p.beta
    return unsplit + p.F * grown * _protection(p, x)


def _rise_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "B": p.B * u.pretrain**p.beta * u.loss,
        "kappa": p.kappa * u.pretrain / u.specialize,
        "F": p.F * u.loss,
        "s0": p.s0 * u.specialize,
    }


AFTER["rise"] = Form(
    name="rise",
    formula=(
        "E + A N^-alpha + B (D + rT + kappa D')^-beta"
        " + F (r0 / (r / (1 - r) + r0))^q D'^nu / (D'^nu + s0^nu)"
    ),
    source="splitlaw",
    priors={
        **SIZE_PRIORS,
        "B": TERM,
        "beta": EXPONENT,
        "kappa": RATE,
        "F": TERM,
        "s0": MIDDLE,
        "nu": POWER,
        "r0": SHARE,
        "q": POWER,
    },
    loss=_rise,
    to_user=_rise_units,
)


def _forgetting(p: Any, x: Points) -> Number:
    kept = x.D / (1 + x.D**p.mu * (x.S / p.s0) ** p.nu * _protection(p, x))
    seen = kept + x.R + p.kappa * x.S
    return p.E + p.A * x.N**-p.alpha + p.B * seen**-p.beta


def _forgetting_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "B": p.B * u.pretrain**p.beta * u.loss,
        "kappa": p.kappa * u.pretrain / u.specialize,
        "s0": p.s0 * u.specialize * u.pretrain ** (p.mu / p.nu),
    }


AFTER["forgetting"] = Form(
    name="forgetting",
    formula=(
        "E + A N^-alpha + B (D / (1 + D^mu (D' / s0)^nu (r0 / (r / (1 - r) + r0))^q) + rT"
        " + kappa D')^-beta"
    ),
    source="splitlaw; after Hernandez et al. 2021, arXiv:2102.01293: effective tokens",
    priors={
        **SIZE_PRIORS,
        "B": TERM,
        "beta": EXPONENT,
        "kappa": RATE,
        "mu": Prior(0.7, 0.5),
        "s0": MIDDLE,
        "nu": POWER,
        "r0": SHARE,
        "q": POWER,
    },
    loss=_forgetting,
    to_user=_forgetting_units,
)
