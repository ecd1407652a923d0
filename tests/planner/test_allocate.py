from dataclasses import replace

import numpy as np
import pytest
from laws.planted import MIDDLE, law
from scipy.optimize import minimize

from splitlaw.planner.allocate import Constraint, best_split, losses_at, optimality_gap
from splitlaw.planner.surface import Setting, Surface

LEADING = ("two_skills", "effective_tokens")


def surface_of(fit, *, unique=None, unique_pretrain=np.inf, weights=None, params=MIDDLE.params):
    k = len(fit.domains)
    share = np.ones(k) if weights is None else np.array(weights, dtype=float)
    setting = Setting(
        domains=fit.domains,
        weights=share / share.sum(),
        unique=np.full(k, np.inf) if unique is None else np.array(unique, dtype=float),
        unique_pretrain=unique_pretrain,
        repetitions=fit.repetitions,
    )
    return Surface.of_points(fit.members, np.arange(k), params, setting)


def brute_force(surface, constraint, points=41):
    """The least mean loss over a fine grid of D and shares of two domains, then polished."""
    tokens, c = constraint.tokens, constraint.trunks

    def loss(v):
        pretrain, share = np.clip(v, 0, 1)
        d = pretrain * tokens / c
        rest = tokens - c * d
        least = max(0.0, constraint.min_tokens - d)
        if rest < 2 * least * (1 - 1e-9):
            return 1e9
        free = rest - 2 * least
        s = np.array([[[least + share * free, least + (1 - share) * free]]])
        return float(surface.mean(np.array([[d]]), s)[0, 0])

    grid = np.linspace(0, 1, points)
    found = min(((loss((g, s)), g, s) for g in grid for s in grid), key=lambda t: t[0])
    end = minimize(loss, found[1:], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13})
    return min(found[0], float(end.fun))


@pytest.mark.parametrize(
    "name", [*LEADING, "interaction", "transfer_gap", "transferred_data", "coupled"]
)
@pytest.mark.parametrize("trunks", [1, 2])
def test_plans_are_as_good_as_brute_force(name, trunks):
    surface = surface_of(law(name), weights=(1.0, 2.0))
    for tokens in (4e8, 3e9, 3e10):
        constraint = Constraint(tokens=tokens, trunks=trunks)
        best = best_split(surface, constraint)
        assert best.mean[0] <= brute_force(surface, constraint) + 1e-7
        spent = trunks * best.pretrain[0] + best.specialize[0].sum()
        assert spent == pytest.approx(tokens, rel=1e-9)


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize(
    "limits",
    [
        {"unique": (1e8, np.inf)},
        {"unique_pretrain": 5e7},
        {"unique": (5e7, 2e8), "unique_pretrain": 4e8},
    ],
)
def test_repetition_is_priced_as_brute_force_prices_it(name, limits):
    free, short = surface_of(law(name)), surface_of(law(name), **limits)
    constraint = Constraint(tokens=3e9, trunks=1)
    best = best_split(short, constraint)
    assert best.mean[0] <= brute_force(short, constraint) + 1e-7
    assert best.mean[0] >= best_split(free, constraint).mean[0]


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize("least", [5e8, 1.4e9])
def test_every_model_gets_its_least_tokens(name, least):
    surface = surface_of(law(name))
    constraint = Constraint(tokens=2e9, trunks=1, min_tokens=least)
    best = best_split(surface, constraint)
    assert (best.pretrain[0] + best.specialize[0] >= least * (1 - 1e-9)).all()
    assert best.mean[0] <= brute_force(surface, constraint) + 1e-6


def test_an_impossible_minimum_has_no_split():
    constraint = Constraint(tokens=1e9, trunks=2, min_tokens=2e9)
    assert best_split(surface_of(law("two_skills")), constraint).mean[0] == np.inf


@pytest.mark.parametrize("name", LEADING)
@pytest.mark.parametrize("changes", [{}, {"kappa": -7.0}, {"kappa": 1.5, "gamma": 1.0}])
def test_optimality_conditions_hold_inside_and_at_corners(name, changes):
    surface = surface_of(law(name, 4, **changes))
    for trunks in (1, 4):
        constraint = Constraint(tokens=3e9, trunks=trunks)
        best = best_split(surface, constraint)
        assert optimality_gap(surface, constraint, best) < 1e-3
    if changes.get("kappa") == -7.0:
        assert best.pretrain[0] < 1e-3 * constraint.tokens


def test_a_wrong_split_misses_the_conditions():
    surface = surface_of(law("two_skills"))
    constraint = Constraint(tokens=3e9, trunks=1)
    best = best_split(surface, constraint)
    worse = replace(best, specialize=best.specialize * np.array([[1.3, 0.7]]))
    assert optimality_gap(surface, constraint, worse) > 0.05


def test_a_base_that_exists_costs_nothing():
    surface = surface_of(law("two_skills"))
    constraint = Constraint(tokens=1e9, trunks=1, spent=5e9)
    best = best_split(surface, constraint)
    assert best.pretrain[0] == 5e9 and best.specialize[0].sum() == pytest.approx(1e9)
    assert optimality_gap(surface, constraint, best) < 1e-6


def test_many_sets_of_parameters_are_solved_at_once():
    truth = law("effective_tokens", 3)
    values = truth.members[0].values
    factor = 1 + 0.02 * np.random.default_rng(0).normal(size=(5, *values.shape))
    one = surface_of(truth)
    many = Surface(one.params, one.setting, ((1.0, one.parts[0][1], values * factor),))
    constraint = Constraint(tokens=3e9, trunks=1)
    together = best_split(many, constraint)
    for row in range(5):
        alone = Surface(
            one.params, one.setting, ((1.0, one.parts[0][1], (values * factor)[[row]]),)
        )
        assert together.mean[row] == pytest.approx(best_split(alone, constraint).mean[0], abs=1e-9)


def test_the_frontier_is_lowest_at_the_plan():
    surface = surface_of(law("two_skills"))
    constraint = Constraint(tokens=3e9, trunks=1)
    pretrain = np.linspace(0, 3e9, 101)[None]
    mean, specialize = losses_at(surface, constraint, pretrain)
    assert best_split(surface, constraint).mean[0] <= mean.min() + 1e-12
    np.testing.assert_allclose(pretrain + specialize.sum(axis=2), 3e9)
