"""The forms of the default mixtures, and the priors that all forms take theirs from.

Priors are weak and in the units of the fit, in which N, D, D' and the loss are near 1. A loss of 1
is made of a floor E and of terms of a few tenths each; a log standard deviation of 1 allows a
factor of 5 either way. Exponents of language models have been found between 0.05 and 1.2 (Kaplan
et al. 2020, Hoffmann et al. 2022, Hernandez et al. 2021): median 0.3, log standard deviation 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitlaw.laws.dual import Number
from splitlaw.laws.form import Form, Prior, register
from splitlaw.laws.points import Points, Units

FLOOR = Prior(0.4, 1.0)
TERM = Prior(0.3, 1.0)
EXPONENT = Prior(0.3, 0.5)
RATE = Prior(0.3, 1.5)
"""Domain tokens that a general token is worth, times a ratio of units: wider than a term."""
CURVATURE = Prior(0.7, 0.3)
"""Power of D in what general tokens are worth: below 1, since the first ones teach most."""
OFFSET = Prior(0.1, 0.5)
"""Tokens added to D or D', in units of their middle: about half the smallest amount of a grid, and
a fifth to twice it at two standard deviations. A wider prior lets the rows at D' = 0 bend the
dependence on D' beyond the grid."""


SIZE_PRIORS = {"E": FLOOR, "A": TERM, "alpha": EXPONENT}
"""Priors of E + A N^-alpha, with which most forms begin."""


def size_values(p: Any, units: Units) -> dict[str, Any]:
    """E and A of E + A N^-alpha in the user's scale."""
    return {"E": p.E * units.loss, "A": p.A * units.params**p.alpha * units.loss}


def _two_skills(p: Any, x: Points) -> Number:
    effective = x.S + p.kappa * x.D**p.gamma
    return p.E + p.A * x.N**-p.alpha + p.F * x.T**-p.phi + p.B * effective**-p.beta


def _two_skills_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {
        **size_values(p, u),
        "F": p.F * u.tokens**p.phi * u.loss,
        "B": p.B * u.specialize**p.beta * u.loss,
        "kappa": p.kappa * u.specialize / u.pretrain**p.gamma,
    }


register(
    Form(
        name="two_skills",
        formula="E + A N^-alpha + F (D + D')^-phi + B (D' + kappa D^gamma)^-beta",
        source="splitlaw",
        priors={
            **SIZE_PRIORS,
            "F": TERM,
            "phi": EXPONENT,
            "B": FLOOR,
            "beta": EXPONENT,
            "kappa": RATE,
            "gamma": CURVATURE,
        },
        loss=_two_skills,
        to_user=_two_skills_units,
    )
)


def _coupled(p: Any, x: Points) -> Number:
    gap = ((x.D + p.d0) ** -p.phi + p.G) * (x.S + p.s0) ** -p.beta
    return p.E + p.B * (p.rho * x.N**-p.alpha + gap) ** p.gamma


def _coupled_units(p: Any, u: Units) -> Mapping[str, Any]:
    # The sum under the power is stated with the coefficient of D^-phi D'^-beta at 1.
    coefficient = u.pretrain**p.phi * u.specialize**p.beta
    return {
        "E": p.E * u.loss,
        "B": p.B * coefficient**p.gamma * u.loss,
        "rho": p.rho * u.params**p.alpha / coefficient,
        "d0": p.d0 * u.pretrain,
        "G": p.G * u.pretrain**-p.phi,
        "s0": p.s0 * u.specialize,
    }


register(
    Form(
        name="coupled",
        formula="E + B (rho N^-alpha + ((D + d0)^-phi + G) (D' + s0)^-beta)^gamma",
        source="splitlaw; after Kaplan et al. 2020, arXiv:2001.08361, equation 1.5",
        priors={
            "E": FLOOR,
            "B": Prior(0.5, 1.0),
            "rho": Prior(0.5, 1.0),
            "alpha": EXPONENT,
            "d0": OFFSET,
            "phi": EXPONENT,
            "G": TERM,
            "s0": OFFSET,
            "beta": EXPONENT,
            "gamma": Prior(1.0, 0.5),
        },
        loss=_coupled,
        to_user=_coupled_units,
    )
)


def _coupled_one_stage(p: Any, x: Points) -> Number:
    return p.E + p.B * (p.rho * x.N**-p.alpha + x.T**-p.phi) ** p.gamma


def _coupled_one_stage_units(p: Any, u: Units) -> Mapping[str, Any]:
    coefficient = u.tokens**p.phi
    return {
        "E": p.E * u.loss,
        "B": p.B * coefficient**p.gamma * u.loss,
        "rho": p.rho * u.params**p.alpha / coefficient,
    }


register(
    Form(
        name="coupled",
        formula="E + B (rho N^-alpha + (D + D')^-phi)^gamma",
        source="Kaplan et al. 2020, arXiv:2001.08361, equation 1.5, with E",
        priors={
            "E": Prior(0.5, 1.0),
            "B": Prior(0.5, 1.0),
            "rho": Prior(0.7, 1.0),
            "alpha": EXPONENT,
            "phi": EXPONENT,
            "gamma": Prior(1.0, 0.5),
        },
        loss=_coupled_one_stage,
        to_user=_coupled_one_stage_units,
        stages=1,
    ),
    one_stage=True,
)


def _chinchilla(p: Any, x: Points) -> Number:
    return p.E + p.A * x.N**-p.alpha + p.B * x.T**-p.beta


def _chinchilla_units(p: Any, u: Units) -> Mapping[str, Any]:
    return {**size_values(p, u), "B": p.B * u.tokens**p.beta * u.loss}


register(
    Form(
        name="chinchilla",
        formula="E + A N^-alpha + B (D + D')^-beta",
        source="Hoffmann et al. 2022, arXiv:2203.15556, equation 2",
        priors={
            "E": Prior(0.5, 1.0),
            "A": TERM,
            "alpha": EXPONENT,
            "B": TERM,
            "beta": EXPONENT,
        },
        loss=_chinchilla,
        to_user=_chinchilla_units,
        stages=1,
    )
)
