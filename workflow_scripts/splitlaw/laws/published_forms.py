"""Further forms, from the literature; `--law NAME` takes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitlaw.laws.dual import Number, log
from splitlaw.laws.form import Form, Prior, register
from splitlaw.laws.forms import CURVATURE, EXPONENT, FLOOR, RATE, SIZE_PRIORS, TERM, size_values
from splitlaw.laws.points import Points, Units

LOCAL_EXPONENT = Prior(0.3, 0.2, log=False)
"""Exponent at one value of the other variable: in other units of tokens it may be negative."""
SIGNED = Prior(0.0, 0.3, log=False)
"""Powers that may have either sign, and interactions."""


def _effective_tokens(p: Any, x: Points) -> Number:
    effective = x.S + p.kappa * x.D**p.gamma * x.N**p.delta
    return p.E + p.A * x.N**-p.alpha + p.B * effective**-p.beta


def _effective_tokens_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "B": p.B * u.specialize**p.beta * u.loss,
        "kappa": p.kappa * u.specialize / u.pretrain**p.gamma / u.params**p.delta,
    }


register(
    Form(
        name="effective_tokens",
        formula="E + A N^-alpha + B (D' + kappa D^gamma N^delta)^-beta",
        source="splitlaw; after Hernandez et al. 2021, arXiv:2102.01293",
        priors={
            **SIZE_PRIORS,
            "B": FLOOR,
            "beta": EXPONENT,
            "kappa": RATE,
            "gamma": CURVATURE,
            "delta": SIGNED,
        },
        loss=_effective_tokens,
        to_user=_effective_tokens_units,
    )
)


def _additive(p: Any, x: Points) -> Number:
    return p.E + p.A * x.N**-p.alpha + p.F * x.D**-p.phi + p.B * x.S**-p.beta


def _additive_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "F": p.F * u.pretrain**p.phi * u.loss,
        "B": p.B * u.specialize**p.beta * u.loss,
    }


register(
    Form(
        name="additive",
        formula="E + A N^-alpha + F D^-phi + B D'^-beta",
        source="Hoffmann et al. 2022, arXiv:2203.15556, with a term for each stage",
        priors={
            **SIZE_PRIORS,
            "F": TERM,
            "phi": EXPONENT,
            "B": TERM,
            "beta": EXPONENT,
        },
        loss=_additive,
        to_user=_additive_units,
        needs_pretrain=True,
        needs_specialize=True,
    )
)


def _multiplicative(p: Any, x: Points) -> Number:
    return p.E + p.A * x.N**-p.alpha + p.B * x.D**-p.phi * x.S**-p.beta


def _multiplicative_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "B": p.B * u.pretrain**p.phi * u.specialize**p.beta * u.loss,
    }


register(
    Form(
        name="multiplicative",
        formula="E + A N^-alpha + B D^-phi D'^-beta",
        source="Zhang et al. 2024, arXiv:2402.17193; the term of N is added",
        priors={
            **SIZE_PRIORS,
            "B": FLOOR,
            "phi": EXPONENT,
            "beta": EXPONENT,
        },
        loss=_multiplicative,
        to_user=_multiplicative_units,
        needs_pretrain=True,
        needs_specialize=True,
    )
)


def _transfer_gap(p: Any, x: Points) -> Number:
    return p.E + p.A * x.N**-p.alpha + (p.F * x.D**-p.phi + p.G) * x.S**-p.beta


def _transfer_gap_units(p: Any, u: Units) -> Mapping[str, Any]:
    gap = u.specialize**p.beta * u.loss
    return {
        **size_values(p, u),
        "F": p.F * u.pretrain**p.phi * gap,
        "G": p.G * gap,
    }


register(
    Form(
        name="transfer_gap",
        formula="E + A N^-alpha + (F D^-phi + G) D'^-beta",
        source="Barnett 2024, arXiv:2408.16947; the term of N is added",
        priors={
            **SIZE_PRIORS,
            "F": TERM,
            "phi": EXPONENT,
            "G": TERM,
            "beta": EXPONENT,
        },
        loss=_transfer_gap,
        to_user=_transfer_gap_units,
        needs_pretrain=True,
        needs_specialize=True,
    )
)


def _interaction(p: Any, x: Points) -> Number:
    flatter = x.S ** (p.gamma * log(x.D) - p.beta)
    return p.E + p.A * x.N**-p.alpha + p.B * x.D**-p.phi * flatter


def _interaction_units(p: Any, u: Units) -> Mapping[str, Any]:
    # (S/s)^(gamma ln(D/d) - beta) (D/d)^-phi, with its powers collected at D = D' = 1.
    log_d, log_s = log(u.pretrain), log(u.specialize)
    constant = u.pretrain**p.phi * u.specialize ** (p.beta + p.gamma * log_d)
    return {
        **size_values(p, u),
        "B": p.B * constant * u.loss,
        "phi": p.phi + p.gamma * log_s,
        "beta": p.beta + p.gamma * log_d,
    }


register(
    Form(
        name="interaction",
        formula="E + A N^-alpha + B D^-phi D'^(-beta + gamma ln D)",
        source="Liew and Kato 2025, arXiv:2510.06548; the term of N is added",
        priors={
            **SIZE_PRIORS,
            "B": FLOOR,
            "phi": LOCAL_EXPONENT,
            "beta": LOCAL_EXPONENT,
            "gamma": Prior(0.0, 0.1, log=False),
        },
        loss=_interaction,
        to_user=_interaction_units,
        needs_pretrain=True,
        needs_specialize=True,
    )
)


def _transferred_data(p: Any, x: Points) -> Number:
    effective = x.S + p.kappa * x.S**p.gamma * x.D**p.phi * x.N**p.delta
    return p.E + p.A * x.N**-p.alpha + p.B * effective**-p.beta


def _transferred_data_units(p: Any, u: Units) -> Mapping[str, Any]:
    worth = u.specialize ** (1 - p.gamma) / u.pretrain**p.phi / u.params**p.delta
    return {
        **size_values(p, u),
        "B": p.B * u.specialize**p.beta * u.loss,
        "kappa": p.kappa * worth,
    }


register(
    Form(
        name="transferred_data",
        formula="E + A N^-alpha + B (D' + kappa D'^gamma D^phi N^delta)^-beta",
        source="Hernandez et al. 2021, arXiv:2102.01293, equation 1.2; the power of D is added",
        priors={
            **SIZE_PRIORS,
            "B": FLOOR,
            "beta": EXPONENT,
            "kappa": RATE,
            "gamma": Prior(0.5, 0.5),
            "phi": EXPONENT,
            "delta": SIGNED,
        },
        loss=_transferred_data,
        to_user=_transferred_data_units,
        needs_specialize=True,
    )
)
