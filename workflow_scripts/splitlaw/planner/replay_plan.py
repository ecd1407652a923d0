"""The plan of a budget with a base model, with replay, or with a limit on general loss."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.threads import one_blas_thread
from splitlaw.experiment.strategies import MIXTURE, REPLAY_SHARES
from splitlaw.laws.result import FitResult
from splitlaw.laws.store import base_interval
from splitlaw.planner.constraint import Array, Split, fraction
from splitlaw.planner.draws import DrawnPlan, Points, drawn_plan, ends, most_draws
from splitlaw.planner.pareto import Front
from splitlaw.planner.plan import candidates, check_budget, check_flops, no_split
from splitlaw.planner.problem import COARSE, Problem
from splitlaw.planner.replay import ReplaySurface
from splitlaw.planner.replay_task import ReplayTask, Shares, make_replay_task
from splitlaw.planner.result import NO_LOSS, Baseline, Plan
from splitlaw.planner.search import best_split
from splitlaw.planner.strategies import WHOLE
from splitlaw.planner.task import make_task
from splitlaw.planner.warn import plan_warnings
from splitlaw.planner.within_limit import KEPT, kept_split


@one_blas_thread
def plan_with_replay(
    fit: FitResult,
    *,
    flops: float,
    params: float | Sequence[float] | None = None,
    replay: Shares = None,
    max_general_loss_rise: float | None = None,
    limit_confidence: float | None = None,
    base_general_loss: float | None = None,
    **options: Any,
) -> Plan:
    """The split with the lowest mean loss over the domains within the limit on general loss.

    The options are those of `splitlaw.plan`, which describes them. Raises `UserError` if no split
    satisfies the constraints; for the limit, it names the nearest that can be kept.
    """
    check_flops(flops)
    made = make_replay_task(
        make_task(fit, **options),
        flops=flops,
        params=params,
        replay=replay,
        max_general_loss_rise=max_general_loss_rise,
        limit_confidence=limit_confidence,
        base_general_loss=base_general_loss,
    )
    constraint, surface = made.constraint, made.surface()
    if constraint.pretrain is not None and constraint.pretrain < 0:
        raise UserError(
            f"pretrain_tokens is {made.task.pretrain:g}, fewer than the {made.start:g} of the base"
        )
    check_budget(made.task, flops, made.params, constraint)
    problem = Problem(surface, constraint)
    front = Front(problem, surface, made.reference(surface)) if made.has_general else None
    if front is not None and made.rise is not None and made.rise < front.lowest_rise[0]:
        nearest = np.ceil(1e3 * front.lowest_rise[0]) / 1e3
        raise UserError(
            f"max_general_loss_rise {made.rise:g}: no plan of this budget keeps it with a "
            f"probability of {made.confidence:g}; the nearest limit that one keeps is {nearest:g}"
        )
    best, bound = best_split(problem)
    if not np.isfinite(best.mean):
        raise UserError(no_split(made.task, flops, made.params, constraint))
    split, shares = _kept(made, problem, best, front)
    gap = max(0.0, float(best.mean) - bound) / float(best.mean)
    return _plan(made, problem, split, shares, front, gap)


def _kept(
    made: ReplayTask, problem: Problem, best: Split, front: Front | None
) -> tuple[Split, Array]:
    """The split in whole tokens with its shares of replay, every specialist within the limit."""
    surface = problem.surface
    assert isinstance(surface, ReplaySurface)
    pretrain = np.floor(best.pretrain + WHOLE)
    branch, shares, mean = kept_split(problem, float(pretrain), best.specialize)
    if front is not None and not np.isfinite(mean):
        # The limit is so near the lowest that the search over D passes by the plans that keep it.
        best = front.lowest_rise[1]
        pretrain, branch = np.floor(best.pretrain + WHOLE), np.floor(best.specialize + WHOLE)
        shares = surface.best_shares(float(pretrain), branch)
        mean = float(surface.laws.domain(pretrain, branch, shares) @ surface.setting.weights)
    return Split(pretrain, branch, np.asarray(mean)), shares


def _whole(branch: Array, shares: Array) -> tuple[Array, Array]:
    """Domain tokens and replayed tokens of each branch [k], whole numbers with the sum T."""
    replayed = np.round(branch * shares)
    return branch - replayed, replayed


def _plan(
    made: ReplayTask,
    problem: Problem,
    split: Split,
    shares: Array,
    front: Front | None,
    gap: float,
) -> Plan:
    surface, constraint, names = problem.surface, made.constraint, made.task.setting.domains
    assert isinstance(surface, ReplaySurface)
    strategies = np.stack([shares, *(np.full(len(shares), r) for r in REPLAY_SHARES.values())])
    strategies = np.where(split.specialize > 0, strategies, 0.0)
    points = _points(surface, split, strategies)
    general = _points(surface, split, strategies, general=True) if front else None
    drawn = _drawn(problem, split, shares)
    special, replayed = _whole(split.specialize, shares)
    share = float(fraction(split.pretrain, split.specialize, constraint.trunks))
    pretrain, regret = made.start + float(split.pretrain), drawn.expected_regret
    paid = constraint.trunks * made.start if constraint.pretrain is None else 0.0
    # The law's D counts the base, which the budget does not pay for; its D' does not count replay.
    notes = plan_warnings(
        made.task,
        made.params,
        Split(np.array(pretrain), special, split.mean),
        constraint,
        gap,
        uncounted=float(replayed.sum()) - paid,
        limited=surface.limited,
    )
    return Plan(
        flops=float(made.flops),
        params=made.params,
        flops_per_token=made.task.cost(made.params),
        tokens=constraint.tokens,
        trunk=made.task.trunk,
        pretrain_tokens=int(pretrain),
        specialize_tokens=dict(zip(names, map(int, special), strict=True)),
        fraction_general=share,
        predicted_loss=points.by_domain(0),
        predicted_mean_loss=points.mean(0),
        interval={
            "pretrain_tokens": ends(made.start + drawn.pretrain, pretrain),
            "fraction_general": ends(drawn.fractions, share),
        },
        expected_regret=regret,
        expected_regret_relative=None if regret is None else regret / float(split.mean),
        baselines=tuple(_baselines(made, split, strategies, points, general)),
        candidates=candidates(problem, split),
        weights=dict(zip(names, made.task.setting.weights.tolist(), strict=True)),
        pretrain_tokens_paid=made.task.pretrain is None,
        optimality_gap=gap,
        law=made.fit.law,
        warnings=(*notes, *_warnings(made, shares)),
        unique_tokens=made.task.setting.limits,
        base=_base(made.fit),
        replay=dict(zip(names, shares.tolist(), strict=True)),
        replay_free=tuple(n for n, r in zip(names, made.shares, strict=True) if r is None),
        replay_tokens=dict(zip(names, map(int, replayed), strict=True)),
        general_loss=general.by_domain(0) if general else None,
        general_loss_rise=_rise(made, split, shares, front) if front else None,
        pareto=tuple(front.predicted.points()) if front else None,
    )


def _points(
    surface: ReplaySurface, split: Split, shares: Array, *, general: bool = False
) -> Points:
    """Losses of the branches of the split at each row of shares [points, k]."""
    law = surface.laws.general if general else surface.laws.domain
    pretrain = np.full(len(shares), float(split.pretrain))
    branch = np.tile(split.specialize, (len(shares), 1))
    return Points(surface, law(pretrain, branch, shares), law(pretrain, branch, shares, drawn=True))


def _drawn(problem: Problem, split: Split, shares: Array) -> DrawnPlan:
    """What the draws of the domains' law say, the plan at its own shares of replay."""
    draws = most_draws(problem.domains)
    drawn, few = drawn_plan(problem, split, draws=draws, grid=COARSE), problem.surface.first(draws)
    assert isinstance(few, ReplaySurface)
    means = drawn.means.copy()
    own = few.laws.domain(split.pretrain, split.specialize, shares, drawn=True)
    means[:, 0] = own @ few.setting.weights
    return replace(drawn, means=means)


def _baselines(
    made: ReplayTask, split: Split, shares: Array, points: Points, general: Points | None
) -> Iterator[Baseline]:
    """The strategies at the plan's D and T: each share of replay, and one model on all of it."""
    names, law = made.task.setting.domains, "mean" if len(made.fit.members) > 1 else made.fit.law
    total = int(made.start + split.pretrain)
    for number, strategy in enumerate(REPLAY_SHARES, start=1):
        special, replayed = _whole(split.specialize, shares[number])
        yield Baseline(
            strategy=strategy,
            pretrain_tokens=total,
            specialize_tokens=dict(zip(names, map(int, special), strict=True)),
            predicted_loss=points.by_domain(number),
            predicted_mean_loss=points.mean(number),
            law=law,
            probability_worse=points.probability_worse(number),
            replay=dict(zip(names, shares[number].tolist(), strict=True)),
            replay_tokens=dict(zip(names, map(int, replayed), strict=True)),
            general_loss=general.by_domain(number) if general else None,
        )
    special, replayed = _whole(split.specialize, shares[0])
    trunks = 1 if made.task.pretrain is not None else made.constraint.trunks
    yield Baseline(
        strategy=MIXTURE,
        pretrain_tokens=int(made.start + trunks * split.pretrain + replayed.sum()),
        specialize_tokens=dict(zip(names, map(int, special), strict=True)),
        predicted_loss=dict.fromkeys(names, NO_LOSS),
        predicted_mean_loss=NO_LOSS,
        law=None,
        probability_worse=None,
    )


def _base(fit: FitResult) -> dict[str, Any] | None:
    """The base as fit.json has it: of the general loss, which depends on its tokens most."""
    if fit.base is None:
        return None
    tokens = base_interval(fit.general_after or fit)
    return {"pretrain_tokens": fit.base, "effective_tokens": tokens}


def _rise(made: ReplayTask, split: Split, shares: Array, front: Front) -> dict[str, Any]:
    """Rise of general loss relative to the model without specialising."""
    at = np.asarray(split.pretrain), split.specialize, shares
    rises = front.surface.laws.general(*at) / front.reference - 1
    return {
        "domains": dict(zip(made.task.setting.domains, rises.tolist(), strict=True)),
        "mean": float(rises.mean()),
        "worst": float(rises.max()),
        "limit": made.rise,
        "reference": float(front.reference.mean()),
        **(_certainty(made, split, shares, front) if made.rise is not None else {}),
    }


def _certainty(made: ReplayTask, split: Split, shares: Array, front: Front) -> dict[str, Any]:
    """The probability that new specialists keep the limit, and what it costs in domain loss."""
    names, at = made.task.setting.domains, (np.asarray(split.pretrain), split.specialize, shares)
    laws = front.surface.laws
    margins = laws.general_bound(*at) / laws.general(*at) - 1
    found: dict[str, Any] = {
        "confidence": made.confidence,
        "margins": dict(zip(names, margins.tolist(), strict=True)),
    }
    if laws.fit.general_after is not None and laws.fit.general_after.n_draws:
        kept, together = laws.probability_below(front.surface.limit, *at)
        found["probability_kept"] = dict(zip(names, kept.tolist(), strict=True))
        found["probability_all_kept"] = together
    if made.confidence > 0.5 and made.rise is not None:
        looser = front.predicted.split(made.rise)[0]
        found["domain_loss_cost"] = max(0.0, float(split.mean - looser.mean))
    return found


def _warnings(made: ReplayTask, shares: Array) -> list[str]:
    """Shares of replay beyond the measured ones."""
    most = made.fit.range.get("replay", (0.0, 0.0))[1]
    if shares.max() <= most * (1 + KEPT):
        return []
    name = made.task.setting.domains[int(np.argmax(shares))]
    return [
        f"The plan replays {shares.max():.3g} in the branch of {name}, more than the largest "
        f"measured share ({most:.3g})."
    ]
