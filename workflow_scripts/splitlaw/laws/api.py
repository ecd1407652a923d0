"""From a table of losses to a law, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.limits import MOST_DRAWS
from splitlaw.laws.fitting import Report, Settings, fit_one
from splitlaw.laws.form import AFTER, FORMS, Form, form_for
from splitlaw.laws.read import read_table
from splitlaw.laws.result import FitResult
from splitlaw.laws.table import Table
from splitlaw.laws.warn import ROUNDING

DRAWS = 300
"""Draws of the posterior: 15 are beyond each end of a 90% interval."""

MIXTURE = {2: ("two_skills", "coupled"), 1: ("chinchilla", "coupled")}
"""Forms that are averaged by default for tables of two stages, and of one."""

AFTER_MIXTURE = tuple(AFTER)
"""Forms that are averaged for the general loss after specialising."""

DISCREPANCIES = ("on", "none")

UNKNOWN = "unknown"
"""Value of `base_tokens` for a base whose tokens are estimated."""

TOKENS_PER_PARAM = 20.0
"""Median of the prior of the tokens of a base per parameter (`splitlaw.laws.log_loss.BASE_SD`)."""


def fit_table(
    table: str | os.PathLike[str] | pd.DataFrame,
    *,
    law: str | Sequence[str] = "auto",
    discrepancy: str = "on",
    draws: int = DRAWS,
    seed: int = 0,
    min_tokens_per_param: float = 0.0,
    drop_invalid: bool = False,
    trajectories: bool = False,
    base_tokens: float | str | None = None,
    cooldown_fraction: float | None = None,
    report: Report | None = None,
) -> FitResult:
    """Fit a scaling law to a table of losses; `splitlaw.fit_law` describes the parameters."""
    _check_numbers(draws, seed, min_tokens_per_param)
    if discrepancy not in DISCREPANCIES:
        raise UserError(f"discrepancy {discrepancy!r} is unknown; give on or none")
    _check_base(base_tokens, discrepancy, min_tokens_per_param)
    _check_cooldown(cooldown_fraction)
    reading = read_table(
        table,
        min_tokens_per_param=min_tokens_per_param,
        drop_invalid=drop_invalid,
        trajectories=trajectories,
        uncounted=base_tokens == UNKNOWN,
    )
    forms = _forms(law, reading.fit)
    start = _base_prior(base_tokens, reading.fit)
    settings = Settings(discrepancy, draws, seed, base_tokens, start)
    show = report or (lambda done, of: None)
    laws = 1 if reading.after is None else 2
    first = fit_one(
        reading.fit, reading.holdout, forms, settings, lambda done, of: show(done, laws * of)
    )
    after = None
    if reading.after is not None:
        general = [AFTER[name] for name in AFTER_MIXTURE]
        after = fit_one(
            reading.after,
            reading.after_holdout,
            general,
            # What a branch forgets depends on its learning rate far more than what it learns.
            replace(
                settings,
                cooldown=None if discrepancy == "none" else cooldown_fraction,
                general=True,
            ),
            lambda done, of: show(of + done, laws * of),
        )
    return replace(
        first,
        warnings=(
            *reading.notes,
            *_unused_cooldown(cooldown_fraction, discrepancy, after),
            *first.warnings,
        ),
        left_out=tuple(reading.left_out),
        general_after=after,
    )


def _check_numbers(draws: int, seed: int, min_tokens_per_param: float) -> None:
    if not 0 <= draws <= MOST_DRAWS:
        raise UserError(f"draws is {draws}; give 0 to {MOST_DRAWS} draws")
    if seed < 0:
        raise UserError(f"seed is {seed}; give a whole number of at least 0")
    if not (np.isfinite(min_tokens_per_param) and min_tokens_per_param >= 0):
        raise UserError(
            f"min_tokens_per_param is {min_tokens_per_param:g}; give a finite number of at least 0"
        )


def _check_cooldown(fraction: float | None) -> None:
    if fraction is not None and not 0 < fraction <= 1:
        raise UserError(f"cooldown_fraction is {fraction}; give a number above 0, at most 1")


def _unused_cooldown(
    fraction: float | None, discrepancy: str, after: FitResult | None
) -> list[str]:
    """A sentence if the fraction is given and no law uses it."""
    if fraction is None or (after is not None and discrepancy != "none"):
        return []
    reason = (
        "the table has no losses on general of models that are trained on a domain"
        if after is None
        else "a fit without discrepancy has no parameter for it"
    )
    return [f"The cooldown fraction is not used: {reason}."]


def _check_base(
    base_tokens: float | str | None, discrepancy: str, min_tokens_per_param: float
) -> None:
    if base_tokens is None:
        return
    if base_tokens == UNKNOWN:
        if discrepancy == "none":
            raise UserError(
                "base_tokens is unknown, and a fit without discrepancy does not estimate them; "
                "give discrepancy on"
            )
        if min_tokens_per_param > 0:
            raise UserError(
                "min_tokens_per_param: the tokens of an unknown base are not counted; leave it out"
            )
        return
    if isinstance(base_tokens, str) or not (np.isfinite(base_tokens) and base_tokens > 0):
        raise UserError(f"base_tokens is {base_tokens}; give a number above 0, or unknown")


def _base_prior(base_tokens: float | str | None, table: Table) -> float:
    """Prior median of the tokens of a base that D does not count; 0 where it does."""
    if base_tokens != UNKNOWN:
        low = float(table.pretrain.min())
        if base_tokens is not None and low < float(base_tokens) * (1 - ROUNDING):
            raise UserError(
                f"base_tokens is {base_tokens:g}, but a row has {low:g} pretrain_tokens, which "
                "include those of the base; correct one of them, or give unknown"
            )
        return 0.0
    if len(table.sizes) > 1:
        raise UserError(
            f"base_tokens is unknown, but the table has {len(table.sizes)} sizes; a base has one"
        )
    return TOKENS_PER_PARAM * float(table.sizes[0])


def _forms(law: str | Sequence[str], table: Table) -> list[Form]:
    """The forms of a name, of several, or of the default mixture."""
    stages, replays = (1 if table.one_stage else 2), bool((table.replay > 0).any())
    names = MIXTURE[stages] if law == "auto" else [law] if isinstance(law, str) else list(law)
    unknown = [name for name in names if name not in FORMS]
    if unknown or not names:
        raise UserError(
            f"law {(unknown or [''])[0]!r} is unknown; choose from auto, {', '.join(FORMS)}"
        )
    forms = [form_for(name, stages, replays=replays) for name in dict.fromkeys(names)]
    two = [form.name for form in forms if form.stages > stages]
    if two:
        raise UserError(
            f"law {two[0]} requires rows with both general and domain tokens; the table has runs "
            f"of one stage: choose from {', '.join(MIXTURE[1])}"
        )
    return forms
