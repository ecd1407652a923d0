import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from planner.planted import MIDDLE, law, multiplied, overfitting, rippled
from splitlaw.planner.constraint import Constraint
from splitlaw.planner.optima import tabulated_optima
from splitlaw.planner.problem import Problem
from splitlaw.planner.search import best_shares, best_split
from splitlaw.planner.surface import Setting, Surface

LEADING = ("two_skills", "coupled")


def problem_of(fit, constraint, *, unique=None, unique_pretrain=np.inf, weights=None):
    k = len(fit.domains)
    share = np.ones(k) if weights is None else np.array(weights, dtype=float)
    setting = Setting(
        domains=fit.domains,
        columns=tuple(range(k)),
        weights=share / share.sum(),
        unique=np.full(k, np.inf) if unique is None else np.array(unique, dtype=float),
        unique_pretrain=unique_pretrain,
    )
    return Problem(Surface(fit=fit, params=MIDDLE.params, setting=setting), constraint)


def brute_force(problem, points=61):
    """The lowest mean loss of two domains on a grid of D, shares and spending, then polished."""
    c = problem.constraint

    def splits(pretrain, share, spent):
        d = pretrain * c.tokens / c.trunks
        least = np.maximum(0.0, c.min_tokens - d)
        free = np.maximum(c.tokens - c.trunks * d - 2 * least, 0.0) * spent
        return d, np.stack([least + share * free, least + (1 - share) * free], axis=-1)

    def losses(pretrain, share, spent):
        d, s = splits(pretrain, share, spent)
        short = c.tokens - c.trunks * d < 2 * np.maximum(0.0, c.min_tokens - d) * (1 - 1e-9)
        return np.where(short, np.inf, problem.surface.mean(d, s))

    near = np.geomspace(1e-4, 0.5, points)
    grid = np.concatenate([[0.0], near, 1 - near[-2::-1], [1.0]])
    axes = np.meshgrid(grid, grid, [1.0, 0.8, 0.6, 0.4], indexing="ij")
    table = losses(*axes)
    start = [axis.ravel()[np.argmin(table)] for axis in axes]

    def loss(v):
        return float(np.minimum(losses(*np.clip(v, 0, 1)), 1e9))

    options = {"xatol": 1e-8, "fatol": 1e-14, "maxiter": 4000}
    end = minimize(loss, start, method="Nelder-Mead", options=options)
    return min(float(table.min()), float(end.fun))


@pytest.mark.parametrize(
    "name", [*LEADING, "interaction", "transfer_gap", "transferred_data", "additive"]
)
@pytest.mark.parametrize("trunks", [1, 2])
def test_splits_are_as_good_as_brute_force(name, trunks):
    for tokens in (4e8, 3e9, 3e10):
        constraint = Constraint(tokens=tokens, trunks=trunks)
        problem = problem_of(law(name), constraint, weights=(1.0, 2.0))
        best, bound = best_split(problem)
        assert best.mean <= brute_force(problem) + 1e-7
        assert best.mean - bound < 3e-5
        spent = trunks * best.pretrain + best.specialize.sum()
        assert spent == pytest.approx(tokens, rel=1e-9)


@pytest.mark.parametrize("size", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("trunks", [1, 2])
def test_splits_on_uneven_surfaces_are_as_good_as_brute_force(size, trunks):
    for name, tokens in itertools.product(LEADING, (4e8, 3e9, 3e10)):
        constraint = Constraint(tokens=tokens, trunks=trunks)
        problem = problem_of(rippled(law(name), size), constraint)
        best, bound = best_split(problem)
        lowest = brute_force(problem)
        assert best.mean <= lowest + 2e-6
        # The bound is computed by interpolation.
        assert bound <= lowest + 3e-5


def test_a_domain_takes_a_range_of_tokens_as_a_whole_or_not_at_all():
    # The loss of each domain falls only once it has 1e9 tokens: there are enough for one of them.
    def step(pretrain, specialize, domain):
        return 1 - 0.2 / (1 + np.exp(-(np.log(specialize + 1.0) - np.log(1e9)) * 8))

    constraint = Constraint(tokens=1.6e9, trunks=1)
    problem = problem_of(multiplied(law("two_skills"), step), constraint)
    best = best_split(problem)[0]
    assert best.mean <= brute_force(problem) + 1e-6
    assert best.specialize.max() > 1e9 and best.specialize.min() < 0.6e9


def test_tokens_that_would_raise_every_loss_are_left_over():
    def rise(pretrain, specialize, domain):
        return 1 + 0.05 * (specialize / 2e8) ** 2

    constraint = Constraint(tokens=8e9, trunks=1, pretrain=1e9)
    problem = problem_of(multiplied(law("two_skills"), rise), constraint)
    best, _ = best_split(problem)
    grid = np.linspace(1e6, 2e9, 100_001)
    for k in range(2):
        losses = problem.surface.fit.losses(MIDDLE.params, 1e9, grid, k)
        assert best.specialize[k] == pytest.approx(grid[np.argmin(losses)], rel=1e-2)
    assert best.specialize.sum() < 0.2 * constraint.tokens


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize(
    "limits",
    [
        {"unique": (1e8, np.inf)},
        {"unique_pretrain": 5e7},
        {"unique": (5e7, 2e8), "unique_pretrain": 4e8},
    ],
)
def test_repetition_has_the_price_that_brute_force_finds(name, limits):
    constraint = Constraint(tokens=3e9, trunks=1)
    free, short = (problem_of(law(name), constraint, **some) for some in ({}, limits))
    best = best_split(short)[0]
    assert best.mean <= brute_force(short) + 1e-6
    assert best.mean >= best_split(free)[0].mean


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize("unique", [(1e7, 1e7), (3e6, np.inf)])
@pytest.mark.parametrize("unique_pretrain", [np.inf, 1e8])
def test_text_whose_repetition_raises_the_loss_is_repeated_less(name, unique, unique_pretrain):
    limits = {"unique": unique, "unique_pretrain": unique_pretrain}
    constraint = Constraint(tokens=3e9, trunks=1)
    steep = problem_of(overfitting(law(name), 0.03), constraint, **limits)
    best = best_split(steep)[0]
    # The kinks of this law are between nodes: 2e-5 is a fiftieth of the regret that matters.
    assert best.mean <= brute_force(steep) * (1 + 2e-5)
    free = best_split(problem_of(law(name), constraint))[0]
    assert unique[0] <= best.specialize[0] * 1.2 < 0.5 * free.specialize[0]
    # Without a limit of its own, general text takes the tokens that the domains leave.
    spent = best.pretrain + best.specialize.sum()
    assert (spent < 0.9 * constraint.tokens) == np.isfinite([*unique, unique_pretrain]).all()


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize("least", [5e8, 1.4e9])
def test_every_model_gets_its_least_tokens(name, least):
    constraint = Constraint(tokens=2e9, trunks=1, min_tokens=least)
    problem = problem_of(law(name), constraint)
    best = best_split(problem)[0]
    assert (best.pretrain + best.specialize >= least * (1 - 1e-9)).all()
    assert best.mean <= brute_force(problem) + 1e-6


def test_an_impossible_minimum_has_no_split():
    constraint = Constraint(tokens=1e9, trunks=2, min_tokens=2e9)
    assert best_split(problem_of(law("two_skills"), constraint))[0].mean == np.inf


def test_a_base_that_exists_costs_nothing():
    constraint = Constraint(tokens=1e9, trunks=1, pretrain=5e9)
    best = best_split(problem_of(law("two_skills"), constraint))[0]
    assert best.pretrain == 5e9 and best.specialize.sum() == pytest.approx(1e9)


def test_the_general_fraction_is_precise_to_a_tenth_of_a_percentage_point():
    constraint = Constraint(tokens=3e9, trunks=1)
    problem = problem_of(law("coupled", 4), constraint)
    best = best_split(problem)[0]
    pretrain = best.pretrain + 1e-3 * constraint.tokens * np.array([-1.0, 0.0, 1.0])
    mean = best_shares(problem, pretrain)[1]
    assert 0.05 < best.pretrain / constraint.tokens < 0.95
    assert mean[1] < min(mean[0], mean[2])


def test_the_optima_of_many_draws_are_those_of_each_alone():
    fit = law("coupled", 3, draws=6)
    constraint = Constraint(tokens=3e9, trunks=1)
    together = tabulated_optima(problem_of(fit, constraint), drawn=True)
    member = fit.members[0]
    for draw in range(6):
        alone = replace(member, vector=member.vectors[draw])
        one = problem_of(replace(fit, members=(alone,)), constraint)
        best = best_split(one)[0]
        assert together.mean[draw] == pytest.approx(best.mean, abs=2e-5)
        assert together.pretrain[draw] == pytest.approx(best.pretrain, abs=2e-3 * 3e9)
