"""Which runs would reduce the expected regret of a plan most for their cost."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.stats.qmc import Sobol

from splitlaw.common.errors import UserError
from splitlaw.common.threads import one_blas_thread
from splitlaw.experiment.columns import NEXT_RUNS
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.hyper import UNSPLIT
from splitlaw.laws.kernel import UNSPLIT_TREND
from splitlaw.laws.result import FitResult
from splitlaw.planner.constraint import Array
from splitlaw.planner.draws import DrawnPlan, drawn_plan
from splitlaw.planner.knowledge import Knowledge
from splitlaw.planner.plan import check_budget, check_flops
from splitlaw.planner.pool import RUN, Costs, read_pool
from splitlaw.planner.problem import Problem
from splitlaw.planner.search import best_split
from splitlaw.planner.sizes import check_params
from splitlaw.planner.task import Task, check_no_base, check_size, make_task

CANDIDATES = 150
"""Splits, optima of draws, between which the value of a run is computed."""

STREAM = 1
"""Number of the stream of random numbers, so that they differ from those of a law with the same
seed."""

NOTHING = 1e-6
"""Expected regret, relative to the loss, that counts as 0: a tenth of the error with which the
optima of draws are known."""

Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame


@one_blas_thread
def next_runs(
    fit: FitResult,
    *,
    flops: float,
    params: float,
    pool: Source | None = None,
    trained: Source | None = None,
    runs: int | None = None,
    domains: Sequence[str] | None = None,
    trunk: str = "shared",
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The runs of a pool that would reduce the expected regret of a plan most for their cost.

    Parameters
    ----------
    fit
        A fitted law with draws.
    flops, params, domains, trunk, weights
        The plan that the runs are for, as in `splitlaw.plan`.
    pool
        The runs to choose from, a CSV file or a data frame with the columns `params`,
        `pretrain_tokens`, `specialize_tokens`, `domain` and optionally `size` and `seed`. A run of
        the domain `general`, with D' = 0, is evaluated on every domain. By default the grid of the
        law's sizes, and of D and D' in factors of 2 within its range.
    trained
        The runs that are trained already, for instance losses.csv: they are not chosen again, and
        their trunks are not paid for again. None by default.
    runs
        Number of runs to choose; the number of domains by default.
    seed
        Seed of the scenarios over which gains are averaged.

    Returns
    -------
    pandas.DataFrame
        A row per run in the order of the choice, with the columns of next_runs.csv. A batch has at
        most one run per domain. `flops` are those of the branch and of what its trunk lacks. The
        expected regrets are in nats per token, before and after the run and all those above it.
        There are fewer rows than `runs`, or none, where no other run would lower the regret.

    Raises
    ------
    UserError
        If the pool cannot be used, or the law has no draws.

    """
    check_no_base(fit, "next_runs")
    task = make_task(fit, domains=domains, trunk=trunk, weights=weights)
    count = len(task.setting.domains) if runs is None else runs
    if fit.n_draws < 2:
        raise UserError("the fit has no draws, so every run has the same value; fit with --draws")
    if count < 1:
        raise UserError(f"runs is {count}; give 1 or more")
    check_flops(flops)
    check_params(params)
    check_size(fit, params)
    frame, costs = read_pool(fit, pool, trained, task.setting.domains)
    drawn = _drawn(task, flops, params)
    rng = np.random.default_rng((seed, STREAM))
    knowledge, observed = _knowledge(task, drawn, frame, count, rng)
    return _chosen(frame, costs, knowledge, observed, count, drawn)


def _drawn(task: Task, flops: float, params: float) -> DrawnPlan:
    constraint = task.constraint(flops, params)
    check_budget(task, flops, params, constraint)
    problem = Problem(task.surface(params), constraint)
    return drawn_plan(problem, best_split(problem)[0], draws=task.fit.n_draws)


def _knowledge(
    task: Task, drawn: DrawnPlan, frame: pd.DataFrame, count: int, rng: np.random.Generator
) -> tuple[Knowledge, list[list[int]]]:
    """Draws of the candidates and of the pool's observations, and each run's observations."""
    # Optima of draws may be where other draws are infinite, such as at D = D' = 0.
    means = drawn.means[:, np.isfinite(drawn.means).all(axis=0)]
    step = max(1, means.shape[1] // CANDIDATES)
    numbers = dict(zip(task.setting.domains, task.setting.columns, strict=True))
    rows: list[int] = []
    domain: list[int] = []
    observed: list[list[int]] = []
    for row, name in enumerate(frame["domain"]):
        seen = list(numbers.values()) if name == GENERAL else [numbers[name]]
        observed.append(list(range(len(rows), len(rows) + len(seen))))
        rows += [row] * len(seen)
        domain += seen
    points = frame.iloc[rows]
    n, d, s = (points[c].to_numpy(dtype=float) for c in RUN[:3])
    logs = np.log(task.fit.drawn_losses(n, d, s, np.array(domain)))
    row_sd = task.fit.noise_sd(np.zeros(len(s)), s)
    trunk_sd = np.sqrt(np.maximum(task.fit.noise_sd(d, s) ** 2 - row_sd**2, 0.0))
    logs += trunk_sd * _trunks(points, len(logs), rng)
    seen_together = max(len(run) for run in observed)
    most = count * seen_together
    if most > Sobol.MAXDIM:
        raise UserError(f"runs is {count}; give at most {Sobol.MAXDIM // seen_together}")
    noise = row_sd**2 + _unknown_unsplit(task.fit, s)
    known = Knowledge.of(means[:, ::step], logs, noise, most=most, rng=rng)
    return known, observed


def _unknown_unsplit(fit: FitResult, specialize: Array) -> Array:
    """Variance of log loss at D' = 0 that a law without such rows does not have [n].

    Its first rows at D' = 0 have a discrepancy of their own, of the size of the prior.
    """
    alone = (specialize == 0) & (not fit.frame.unsplit)
    return np.where(alone, UNSPLIT.median**2 * (1 + UNSPLIT_TREND**2), 0.0)


def _trunks(points: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
    """A standard normal number of each draw for the trunk, a size and a seed, of each point."""
    names = pd.MultiIndex.from_frame(points[["params", "seed"]])
    number, known = pd.factorize(names)
    return rng.standard_normal((draws, len(known)))[:, number]


def _chosen(
    frame: pd.DataFrame,
    costs: Costs,
    knowledge: Knowledge,
    observed: list[list[int]],
    count: int,
    drawn: DrawnPlan,
) -> pd.DataFrame:
    """Choose the run with the largest gain for its price, again and again.

    The price is the run's FLOPs plus the mean of the pool, so that the cheapest runs do not come
    first whatever their gain. Gains hold for one estimate of the hyperparameters; those of small
    runs, which tell about the plan through the form alone, are the first to be lost with another.
    """
    regret, nothing = float(drawn.regrets.mean()), NOTHING * float(drawn.means[:, 0].mean())
    # Regrets are not normal: their mean is what all knowledge would gain.
    scale = regret / max(knowledge.full_gain(), np.finfo(float).tiny)
    left, used, batch = set(range(len(frame))), set[str](), 1
    rows: list[tuple[Any, ...]] = []
    runs = list(frame.itertuples(index=False))
    fixed = float(np.mean([costs.flops(*_about(run)) for run in runs]))
    while len(rows) < count and left and regret > nothing:
        possible = sorted(i for i in left if runs[i].domain not in used)
        gains = knowledge.gains([observed[i] for i in possible]) if possible else np.zeros(0)
        if not (gains > 0).any():
            if not used:
                break
            used, batch = set(), batch + 1
            continue
        about = [_about(runs[i]) for i in possible]
        flops = np.array([costs.flops(*run) for run in about])
        best = int(np.argmax(gains / (flops + fixed)))
        after = max(0.0, regret - scale * knowledge.choose(observed[possible[best]]))
        chosen = runs[possible[best]]
        rows.append((batch, *chosen, flops[best], regret, after))
        costs.add(*about[best])
        left.remove(possible[best])
        used.add(chosen.domain)
        regret = after
    columns = ["batch", *frame.columns, *NEXT_RUNS[-3:]]
    return pd.DataFrame(rows, columns=columns)[NEXT_RUNS]


def _about(run: Any) -> tuple[float, int, float, float]:
    return run.params, run.seed, run.pretrain_tokens, run.specialize_tokens
