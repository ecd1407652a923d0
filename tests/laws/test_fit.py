import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from splitlaw.laws.fit import Effort, fit_form, fit_sharings, layout_for
from splitlaw.laws.problem import Problem

from laws.planted import cells, law, table
from splitlaw.common.errors import UserError
from splitlaw.laws import FORMS
from splitlaw.laws.read import read_table

TWO_STAGE = [name for name, form in FORMS.items() if form.stages == 2]


@pytest.mark.parametrize("name", TWO_STAGE)
def test_a_planted_law_without_noise_is_recovered(name):
    truth = law(name)
    fit = read_table(table(truth)).fit
    estimate = fit_form(FORMS[name], fit)
    assert estimate.converged
    assert estimate.objective < 1e-9
    far = truth.predict(cells(truth.domains, sizes=(2.4e8,), pretrain=(8e9,), specialize=(2e9,)))
    rows = read_table(far.drop(columns=["loss_low", "loss_high"])).fit
    predicted = estimate.predict(rows.points(estimate.units), rows.domain)
    np.testing.assert_allclose(predicted, rows.loss, rtol=2e-3)


@pytest.mark.parametrize("name", ["two_skills", "effective_tokens"])
@pytest.mark.parametrize("sharing", ["none", "size", "exponents"])
def test_objective_gradient_agrees_with_finite_differences(name, sharing):
    fit = read_table(table(law(name), noise=2e-3)).fit
    layout = layout_for(FORMS[name], fit, sharing)
    problem = Problem(layout, fit, fit.units())
    rng = np.random.default_rng(0)
    objective = problem.objective(rng.uniform(0, 2, (1, len(fit))), delta=0.05)
    x = np.clip(rng.uniform(0.2, 0.6, (1, layout.size)), *layout.bounds)
    _, gradient = objective(x, np.array([0]))
    for i in range(layout.size):
        step = np.zeros_like(x)
        step[0, i] = 1e-6
        up, down = (objective(x + s, np.array([0]))[0][0] for s in (step, -step))
        assert gradient[0, i] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["two_skills", "effective_tokens"])
def test_every_search_ends_in_the_same_optimum(name):
    fit = read_table(table(law(name, 3), noise=3e-3, seed=4)).fit
    for sharing in ("none", "size", "exponents"):
        usual = fit_form(FORMS[name], fit, sharing=sharing)
        hard = fit_form(FORMS[name], fit, sharing=sharing, effort=Effort(samples=2048, starts=60))
        assert usual.converged
        assert usual.objective == pytest.approx(hard.objective, rel=1e-6)


def test_chinchilla_reaches_the_best_of_many_scipy_starts():
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7.5, 10, 120), 10 ** rng.uniform(9, 11.5, 120)
    loss = (1.8 + 480 / n**0.35 + 2100 / d**0.37) * np.exp(0.01 * rng.standard_t(3, 120))
    frame = pd.DataFrame({"params": n, "pretrain_tokens": d, "specialize_tokens": 0, "loss": loss})

    def objective(p):
        e, a, b, alpha, beta = p
        predicted = np.logaddexp.reduce(
            [a - alpha * np.log(n), b - beta * np.log(d), np.full(120, e)], axis=0
        )
        r = np.abs(predicted - np.log(loss))
        return np.where(r < 1e-3, 0.5 * r * r, 1e-3 * (r - 5e-4)).sum()

    starts = [(0.5, a, b, 0.4, 0.4) for a in (4, 7) for b in (5, 9)]
    best = min(minimize(objective, s, method="L-BFGS-B", tol=1e-15).fun for s in starts)
    fit = read_table(frame.assign(domain="x")).fit
    assert fit_form(FORMS["chinchilla"], fit).objective <= best + 1e-9


@pytest.mark.parametrize("name", TWO_STAGE)
def test_units_of_tokens_and_parameters_do_not_matter(name):
    frame = table(law(name), noise=2e-3)
    small = frame.assign(
        params=frame["params"] / 1e6,
        pretrain_tokens=frame["pretrain_tokens"] / 1e9,
        specialize_tokens=frame["specialize_tokens"] / 1e9,
    )
    a = fit_form(FORMS[name], read_table(frame).fit)
    b = fit_form(FORMS[name], read_table(small).fit)
    assert a.objective == pytest.approx(b.objective, rel=1e-9)
    np.testing.assert_allclose(a.values, b.values, rtol=1e-3, atol=1e-3)


def test_shared_exponents_are_the_same_in_every_domain():
    fit = read_table(table(law("two_skills", 3), noise=2e-3)).fit
    fits = fit_sharings(FORMS["two_skills"], fit, ["none", "size", "exponents"])
    names = FORMS["two_skills"].names
    beta, alpha, kappa = (names.index(n) for n in ("beta", "alpha", "kappa"))
    assert np.ptp(fits["exponents"].values[:, beta]) == 0
    assert np.ptp(fits["exponents"].values[:, kappa]) > 0
    assert np.ptp(fits["size"].values[:, alpha]) == 0
    assert np.ptp(fits["size"].values[:, beta]) > 0
    ordered = [fits[s].objective for s in ("none", "size", "exponents")]
    assert ordered == sorted(ordered)


def test_one_size_is_fitted_without_its_parameters():
    fit = read_table(table(law("effective_tokens"), sizes=(1e7,))).fit
    estimate = fit_form(FORMS["effective_tokens"], fit)
    names = FORMS["effective_tokens"].names
    for name in ("A", "alpha", "delta"):
        assert (estimate.values[:, names.index(name)] == 0).all()
    assert estimate.objective < 1e-9


def test_too_few_rows_are_refused_with_the_required_number():
    frame = table(law("two_skills"))
    few = frame.groupby("domain").head(6)
    with pytest.raises(UserError, match=r"domain a: 6 rows .* two_skills, which requires at least"):
        fit_form(FORMS["two_skills"], read_table(few).fit)
