"""log f: a form of the law with the effects of repeated text, of a base and of the cooldown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from splitlaw.laws.dual import Expression, Number, exp, log
from splitlaw.laws.form import Form, Prior
from splitlaw.laws.points import Points
from splitlaw.laws.rows import Frame

REPETITION: Mapping[str, Prior] = {
    "repetitions": Prior(15.4, 1.0),
    "overfit": Prior(0.003, 1.5),
    "overfit_power": Prior(1.0, 0.3),
    "overfit_size": Prior(0.3, 0.5),
}
"""Parameters of repeated text, common to all domains. Up to a few passes, a repeated token is worth
nearly a new one; `repetitions` is R* of Muennighoff et al. 2023 (arXiv:2305.16264), where it is
15.4. Beyond, the loss rises: by `overfit` of itself at the second pass over a text of the middle of
the table, as a power of the number of further passes and of parameters per unique token. A table
without repeated text leaves them at their priors, so that plans with many passes are uncertain."""

BASE = "base"
"""Common parameter: tokens of a base model that D does not count, in units of D."""

BASE_SD = 2.0
"""Standard deviation of the logarithm of these tokens about 20 per parameter, which is optimal for
one model by itself (Hoffmann et al. 2022). Published models have 2 to 2,000 tokens per parameter,
which are within 2.3 standard deviations."""

REWARMING: Mapping[str, Prior] = {"rewarm": Prior(0.02, 1.0), "rewarm_tokens": Prior(0.05, 1.0)}
"""Common parameters of runs that continue from a base: the rise of log loss by which a learning
rate that rises again sets a model back, and the tokens over which half of it is made up, in units
of D + D'. On a base of 25 thousand parameters the rise was some 2% after 65 thousand tokens."""

COOLDOWN: Mapping[str, Prior] = {"annealing": Prior(0.7, 0.5)}
"""Common parameter of runs whose cooldown is known: the exponent of the mean learning rate of a
branch. A branch of D' tokens counts as D' times that power of it, because the schedule is one for D
and D', and a short branch falls into its end. At 1, a token counts in proportion to its learning
rate; at 0, all tokens count alike."""

WARMED = 1e-6
"""Tokens after the base, in units of D + D', that separate a base as it is given, without any, from
one whose learning rate rose again: far fewer than those of one step."""

TINY = 1e-30
"""Unique tokens of a stage without tokens, where a power of them is multiplied by 0."""


def common_parameters(frame: Frame) -> dict[str, Prior]:
    """Parameters that domains have in common: of a base, of the cooldown, `REPETITION` last."""
    found: dict[str, Prior] = {}
    if frame.base:
        found[BASE] = Prior(frame.base / frame.units.pretrain, BASE_SD)
    if frame.start is not None:
        found |= REWARMING
    if frame.cooldown is not None:
        found |= COOLDOWN
    return {**found, **REPETITION}


def log_loss(form: Form, p: Any, common: Any, x: Points, frame: Frame) -> Number:
    """log f at points: the form at effective tokens, and two costs that all forms have.

    Parameters
    ----------
    form
        The form of the law.
    p
        Parameters of the form at each point, as attributes.
    common
        Those of `common_parameters`, as attributes.
    x
        The points, in the units of the fit.
    frame
        The units, and which of the parts below the table has.

    Returns
    -------
    Array, Dual or Expression
        The kind of number that parameters and points are.

    """
    units = frame.units
    pretrain, specialize = units.pretrain / units.tokens, units.specialize / units.tokens
    repeated = [_repeated(x.pretrain_passes), _repeated(x.specialize_passes)]
    seen = _effective(x, repeated, common, frame) if any(repeated) else x
    if frame.base:
        base = getattr(common, BASE)
        seen = replace(seen, D=seen.D + base, T=seen.T + base * pretrain)
    branch = x.R * pretrain + x.S * specialize
    after_base = x.D * pretrain + branch - (frame.start or 0.0) / units.tokens
    if frame.cooldown is not None:
        rate = mean_rate(branch / (after_base + TINY), frame.cooldown)
        seen = replace(seen, S=seen.S * rate**common.annealing)
    value = log(form.loss(p, seen))
    if frame.start is not None:
        value = value + _rewarming(after_base, common)
    if repeated[0]:
        value = value + _overfitting(x.N, x.D, x.pretrain_passes, common)
    if repeated[1]:
        value = value + _overfitting(x.N, x.S, x.specialize_passes, common)
    return value


def _effective(x: Points, repeated: Sequence[bool], common: Any, frame: Frame) -> Points:
    """The points with the unique tokens that would teach as much as the repeated ones."""
    units, repetitions = frame.units, common.repetitions
    pretrain, specialize = units.pretrain / units.tokens, units.specialize / units.tokens
    d = effective_tokens(x.D, x.pretrain_passes, repetitions) if repeated[0] else x.D
    s = effective_tokens(x.S, x.specialize_passes, repetitions) if repeated[1] else x.S
    total = d * pretrain + s * specialize
    return replace(x, D=d, S=s, T=total + x.R * pretrain if frame.replays else total)


def _rewarming(after_base: Number, common: Any) -> Number:
    """Rise of log loss by warming a base up again, after so many tokens in units of D + D'."""
    warmed = after_base / (after_base + WARMED)
    return common.rewarm * warmed / (1 + after_base / common.rewarm_tokens)


def _overfitting(params: Number, tokens: Number, passes: Number, common: Any) -> Number:
    """Rise of log loss by the passes of one stage over its text after the first."""
    per_token = params / (tokens / passes + TINY)
    further = (passes - 1) ** common.overfit_power
    return common.overfit * further * per_token**common.overfit_size


def mean_rate(share: Number, cooldown: float) -> Number:
    """Mean learning rate of the last `share` of a run, relative to its peak.

    The rate is constant and then falls linearly to 0 over the part `cooldown` of the run.
    """
    if isinstance(share, Expression):
        within, beyond = share / (2 * cooldown), 1 - cooldown / 2 / share
        return Expression(f"({share.text} < {cooldown!r} ? {within.text} : {beyond.text})")
    share = np.asarray(share)
    beyond = 1 - cooldown / 2 / np.maximum(share, cooldown)
    return np.where(share < cooldown, share / (2 * cooldown), beyond)


def _repeated(passes: Number) -> bool:
    """Whether any point has more than one pass; always for an `Expression`."""
    return isinstance(passes, Expression) or bool(np.any(np.asarray(passes) > 1))


def effective_tokens(tokens: Number, passes: Number, repetitions: Number) -> Number:
    """Unique tokens that would teach as much: U + U R (1 - exp(-(T / U - 1) / R)).

    Equation 5 of Muennighoff et al. 2023: no more than U (1 + R) together.
    """
    again = -exp(-(passes - 1) / repetitions)
    return tokens / passes * (1 + repetitions * (1 + again))


def javascript(form: Form, frame: Frame) -> str:
    """Source of an expression for log f, of `p.<parameter>`, `c.<common>` and the points.

    The points are N, D, S, T (in the units of the fit), PD, PS (passes), r and R (replay).
    """
    p = SimpleNamespace(**{name: Expression(f"p.{name}") for name in form.names})
    common = SimpleNamespace(
        **{name: Expression(f"c.{name}") for name in (BASE, *REWARMING, *COOLDOWN, *REPETITION)}
    )
    x = Points(*(Expression(name) for name in ("N", "D", "S", "T", "PD", "PS", "r", "R")))
    return str(log_loss(form, p, common, x, frame).text)
