import numpy as np
import pandas as pd
import pytest
from splitlaw.laws.fit import evaluate
from splitlaw.laws.leading import TwoSkills

from laws.planted import AT_MIDDLE
from splitlaw.laws import FORMS, fit_table, register
from splitlaw.laws.points import Points, Units

N = np.array([0.4, 1.0, 3.0, 1.0, 2.0])
D = np.array([0.3, 1.0, 2.0, 4.0, 0.7])
S = np.array([1.5, 0.2, 1.0, 0.05, 3.0])


def theta_of(name):
    values = {**AT_MIDDLE, "gamma": 0.03} if name == "interaction" else AT_MIDDLE
    return {n: np.array(values[n]) for n in FORMS[name].nonlinear}


def test_the_nine_forms_are_registered_by_name():
    leading = ["two_skills", "effective_tokens"]
    others = {"additive", "multiplicative", "transfer_gap", "interaction", "transferred_data"}
    assert list(FORMS)[:2] == leading
    assert set(FORMS) >= others | {"coupled", "chinchilla"}


@pytest.mark.parametrize("name", FORMS)
def test_gradients_agree_with_finite_differences(name):
    form, theta, x = FORMS[name], theta_of(name), Points.of(N, D, S)
    analytic = form.gradients(theta, x, form.terms(theta, x))
    for by in form.nonlinear:
        up = form.terms({**theta, by: theta[by] + 1e-6}, x)
        down = form.terms({**theta, by: theta[by] - 1e-6}, x)
        for j, linear in enumerate(form.linear):
            numeric = (up[j] - down[j]) / 2e-6
            np.testing.assert_allclose(analytic.get((linear, by), 0 * D), numeric, atol=1e-8)


@pytest.mark.parametrize("name", FORMS)
def test_slopes_agree_with_finite_differences(name):
    form, theta = FORMS[name], theta_of(name)
    x = Points.of(N, D, S)
    by_pretrain, by_domain = form.slopes(theta, x, form.terms(theta, x))
    h = 1e-6
    for j, linear in enumerate(form.linear):
        up, down = (form.terms(theta, Points.of(N, D + e, S))[j] for e in (h, -h))
        analytic = by_pretrain.get((linear, "D"), 0 * D)
        np.testing.assert_allclose(analytic, (up - down) / (2 * h), rtol=1e-5, atol=1e-8)
        up, down = (form.terms(theta, Points.of(N, D, S + e))[j] for e in (h, -h))
        analytic = by_domain.get((linear, "D'"), 0 * D)
        np.testing.assert_allclose(analytic, (up - down) / (2 * h), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", FORMS)
def test_rescaling_keeps_every_loss(name):
    form, units = FORMS[name], Units(params=2e7, tokens=3e9, loss=2.5)
    inner = {**{n: np.array(AT_MIDDLE[n]) for n in form.linear}, **theta_of(name)}
    outer = form.rescale(inner, units)
    outer |= {name: np.log(outer[name]) for name in form.logs & set(outer)}
    there = Points.of(N * 2e7, D * 3e9, S * 3e9)
    as_array = [np.array([float(v[n]) for n in form.names]) for v in (inner, outer)]
    expected = evaluate(form, as_array[0], Points.of(N, D, S)) * 2.5
    np.testing.assert_allclose(evaluate(form, as_array[1], there), expected, rtol=1e-9)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_finite_exactly_where_it_is_declared_finite(name):
    form, theta = FORMS[name], theta_of(name)
    values = np.array([AT_MIDDLE.get(n, 0) for n in form.linear] + [theta[n] for n in theta])
    pretrain, domain = np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0])
    losses = evaluate(form, values, Points.of(1.0, pretrain, domain))
    np.testing.assert_array_equal(np.isfinite(losses), form.usable(pretrain, domain))


def test_two_skills_is_the_formula_of_the_documentation():
    values = np.array([2.0, 5.0, 7.0, 9.0, 0.3, 0.4, 0.5, np.log(3.0), 0.8])
    loss = evaluate(FORMS["two_skills"], values, Points.of(1e6, 2e6, 3e5))
    expected = 2 + 5 * 1e6**-0.3 + 7 * 2.3e6**-0.4 + 9 * (3e5 + 3 * 2e6**0.8) ** -0.5
    assert loss == pytest.approx(expected, rel=1e-12)


def test_coupled_at_a_power_of_one_is_transfer_gap():
    values = np.array([2.0, 9.0, np.log(4.0), 0.3, 0.4, np.log(0.05), 0.35, 1.0])
    loss = evaluate(FORMS["coupled"], values, Points.of(N, D, S))
    same = np.array([2.0, 36.0, 9.0, 0.45, 0.3, 0.4, 0.35])
    np.testing.assert_allclose(loss, evaluate(FORMS["transfer_gap"], same, Points.of(N, D, S)))


def test_adding_a_form_takes_one_object():
    class Mine(TwoSkills):
        name = "mine"

    register(Mine())
    try:
        rng = np.random.default_rng(0)
        d = np.repeat([1e6, 2e6, 4e6, 8e6], 5)
        s = np.tile([1e5, 2e5, 4e5, 8e5, 1.6e6], 4)
        loss = 2 + (d + s) ** -0.1 + (s + 0.3 * d**0.9) ** -0.2 + 0.001 * rng.normal(size=20)
        table = pd.DataFrame(
            {"params": 1e6, "pretrain_tokens": d, "specialize_tokens": s, "loss": loss}
        ).assign(domain="a")
        assert fit_table(table, law="mine", bootstrap=0).law == "mine"
    finally:
        del FORMS["mine"]
