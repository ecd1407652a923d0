"""The Python interface: from a table of losses to a law, from a law to a plan.

The same functions are at the top of the package: `splitlaw.fit_law`, `splitlaw.plan`,
`splitlaw.predict_loss`, `splitlaw.load_law`. They need numpy, pandas, scipy and threadpoolctl, not
torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitlaw import planner
from splitlaw.common.errors import UserError
from splitlaw.laws import FitResult, fit_table
from splitlaw.laws.api import DRAWS
from splitlaw.laws.read import read_points
from splitlaw.planner import Plan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FitResult", "Plan", "fit_law", "load_law", "plan", "predict_loss"]


def fit_law(
    losses: str | os.PathLike[str] | pd.DataFrame,
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
) -> FitResult:
    """Fit a scaling law L(N, D, D') to a table of losses.

    Parameters
    ----------
    losses
        A CSV file or a data frame, one row per model and evaluated domain, with the columns
        `params` (N, parameters), `pretrain_tokens` (D, tokens), `specialize_tokens` (D', tokens),
        `domain` and `loss` (nats per token). Further columns are used where present: `split`
        (rows with `holdout` only measure the error), `train_domain`, `run`, `trunk`, `seed`,
        `flops_per_token`, `unique_pretrain_tokens`, `unique_specialize_tokens`, `replay` (share of
        general tokens in a branch, of which `specialize_tokens` are the domain tokens alone). Rows
        of the domain `general` with a `train_domain` are fitted by a second law, of the general
        loss after specialising.
    law
        Name of a form (see `splitlaw.laws.FORMS`), several names that are averaged, or `auto`:
        `two_skills` and `coupled`, or `chinchilla` and `coupled` for a table of one stage. The
        weights of the forms follow from the predictive density of left-out rows.
    discrepancy
        `on`: each form is corrected by a smooth discrepancy, with the noise of general runs, and
        intervals include both. `none`: the parameters alone, fitted by Huber's loss (Hoffmann et
        al. 2022); intervals are then too narrow where the form is not exact.
    draws
        Number of functions that are drawn from the posterior, from which the 90% intervals are
        computed.
    seed
        Seed of the draws.
    min_tokens_per_param
        Rows with fewer tokens (D + D') per parameter are left out, and counted in a warning.
    drop_invalid
        Leave out rows with a value that cannot be used, and count them in a warning, instead of
        raising an error.
    trajectories
        Accept several points along one run, as the columns `run` and `trunk` show them.
    base_tokens
        Tokens of the base model that all runs continue, which `pretrain_tokens` include; or
        `unknown`, where they do not and are estimated, from a log-normal prior about 20 per
        parameter.
    cooldown_fraction
        Part of each run, at its end, over which its learning rate falls linearly to 0, if the
        schedule is one for D and D' together. In the law of the general loss after specialising,
        tokens of short branches, which fall into it, then count for less.

    Returns
    -------
    FitResult
        The law with its parameters, intervals, held-out errors and warnings.

    Raises
    ------
    UserError
        If the table cannot be used; the message names the file, the row and the remedy.

    Examples
    --------
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> law.law
    'two_skills'
    >>> law.domains
    ('a', 'b')
    >>> law.save("fit.json")

    """
    return fit_table(
        losses,
        law=law,
        discrepancy=discrepancy,
        draws=draws,
        seed=seed,
        min_tokens_per_param=min_tokens_per_param,
        drop_invalid=drop_invalid,
        trajectories=trajectories,
        base_tokens=base_tokens,
        cooldown_fraction=cooldown_fraction,
    )


def load_law(path: str | os.PathLike[str]) -> FitResult:
    """Read a law from the fit.json that `FitResult.save` or the command `fit_law` wrote.

    Raises
    ------
    UserError
        If the file does not exist or is not a fit.

    Examples
    --------
    >>> import splitlaw
    >>> splitlaw.fit_law("losses.csv", law="two_skills", draws=0).save("fit.json")
    >>> splitlaw.load_law("fit.json").law
    'two_skills'

    """
    return FitResult.load(path)


def plan(
    law: FitResult,
    *,
    flops: float,
    params: float | Sequence[float] | None = None,
    domains: Sequence[str] | None = None,
    trunk: str = "shared",
    weights: Mapping[str, float] | None = None,
    unique_tokens: Mapping[str, float] | None = None,
    flops_per_token: float | None = None,
    pretrain_tokens: float | None = None,
    min_tokens_per_model: float = 0.0,
    replay: float | str | Mapping[str, float | str] | None = None,
    max_general_loss_rise: float | None = None,
    limit_confidence: float | None = None,
    base_general_loss: float | None = None,
) -> Plan:
    """The split of a compute budget that minimises the mean loss over the domains.

    Parameters
    ----------
    law
        A fitted law.
    flops
        Training FLOPs of all models together: the general run and all specialists.
    params
        Model size N in parameters, several sizes to choose from, or None for any size.
    domains
        Domains to plan for, in this order; all domains of the law by default.
    trunk
        `shared`: one general run serves all domains; `independent`: each domain has its own.
    weights
        Weights of the domains in the mean loss; equal by default.
    unique_tokens
        Tokens of text that exist, by domain and for `general`; text is repeated beyond them.
        No limit by default.
    flops_per_token
        Training FLOPs per token; by default those of the table, or 6 N.
    pretrain_tokens
        Tokens D of an existing base model, which the budget does not pay for.
    min_tokens_per_model
        Least D + D' of every model, in tokens.
    replay
        Share of general tokens in the branches, `free` where the plan chooses it, or a mapping from
        domains to either; 0 for those that are not named. By default `free` where general loss has
        a limit and the law was fitted to branches with replay, otherwise 0.
    max_general_loss_rise
        Largest rise of the general loss of every specialist, relative to that of the base as it is
        given; without a base, to that of a general run of the whole budget. No limit by default.
    limit_confidence
        Probability with which the general loss of each specialist, measured on a new run, is within
        the limit; 0.9 by default. At 0.5 the prediction itself is within the limit.
    base_general_loss
        Measured general loss of the base, nats per token; by default that of the law without
        further tokens.

    Returns
    -------
    Plan
        The split with its predicted losses, intervals, baselines and warnings.

    Raises
    ------
    UserError
        If no split satisfies the constraints; the message names the one that fails, and for a
        limit on general loss the nearest that can be kept.

    Examples
    --------
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> plan = splitlaw.plan(law, flops=1e18, params=1e7)
    >>> sorted(plan.specialize_tokens)
    ['a', 'b']
    >>> low, high = plan.interval["fraction_general"]
    >>> low <= plan.fraction_general <= high
    True

    """
    options: dict[str, Any] = {
        "flops": flops,
        "params": params,
        "domains": domains,
        "trunk": trunk,
        "weights": weights,
        "unique_tokens": unique_tokens,
        "flops_per_token": flops_per_token,
        "pretrain_tokens": pretrain_tokens,
        "min_tokens_per_model": min_tokens_per_model,
    }
    plain = replay is None and max_general_loss_rise is None and limit_confidence is None
    if plain and law.base is None:
        if base_general_loss is not None:
            raise UserError(
                "base_general_loss: there is neither a base nor a limit on general loss; give "
                "max_general_loss_rise too, or leave it out"
            )
        return planner.plan(law, **options)
    return planner.plan_with_replay(
        law,
        replay=replay,
        max_general_loss_rise=max_general_loss_rise,
        limit_confidence=limit_confidence,
        base_general_loss=base_general_loss,
        **options,
    )


def predict_loss(law: FitResult, points: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Predict the loss of models that were not trained.

    Parameters
    ----------
    law
        A fitted law.
    points
        A CSV file or a data frame with the columns `params` (parameters), `pretrain_tokens` and
        `specialize_tokens` (tokens) and `domain`, and `replay` where general tokens are mixed in.
        Rows of the domain `general` with a `train_domain` have the general loss of that specialist,
        if the law has it. Other columns are kept; none may have the name of a column that is added.

    Returns
    -------
    pandas.DataFrame
        The points with further columns, in nats per token: `loss`, the expectation over seeds;
        `mean_low` and `mean_high`, its 90% interval; `loss_low` and `loss_high`, the 90% interval
        of the loss of a new run.

    Raises
    ------
    UserError
        If the points cannot be used, or name a domain that the law does not have.

    Examples
    --------
    >>> import pandas as pd
    >>> import splitlaw
    >>> law = splitlaw.fit_law("losses.csv", law="two_skills", draws=20)
    >>> point = {"params": 1e7, "pretrain_tokens": 1e9, "specialize_tokens": 2e8, "domain": "a"}
    >>> predicted = splitlaw.predict_loss(law, pd.DataFrame([point]))
    >>> bool((predicted["loss_low"] <= predicted["loss"]).all())
    True

    """
    return law.predict(read_points(points))
