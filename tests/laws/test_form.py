"""The forms: gradients, units, where they are finite, and their source in JavaScript."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from laws.planted import in_tokens, law, table, values_of
from splitlaw.laws import FORMS, Form, fit_table, form, register
from splitlaw.laws.dual import Dual
from splitlaw.laws.log_loss import REPETITION, javascript, log_loss
from splitlaw.laws.mean import Mean
from splitlaw.laws.plain import plain_frame
from splitlaw.laws.points import Points, Units

EVERY = [*FORMS.values(), *form.ONE_STAGE.values(), *form.AFTER.values()]
EVERY += [form.with_replay(FORMS[name]) for name in ("two_skills", "coupled")]
UNITS = Units(params=2e7, pretrain=3e9, specialize=4e8, tokens=2e9, loss=2.5)

N = np.array([4e7, 1e7, 3e7, 2e7, 2e7])
D = np.array([3e9, 1e10, 0.0, 6e9, 2e9])
S = np.array([6e8, 8e7, 4e8, 0.0, 1.2e9])
SHARE = np.array([0.0, 0.1, 0.25, 0.0, 0.5])


def identify(one: Form) -> str:
    return f"{one.name}-{one.stages}{'-replay' * ('dilution' in one.names)}"


def some_coordinates(one: Form) -> np.ndarray:
    """Coordinates near the prior's centre, different in every point."""
    rng = np.random.default_rng(1)
    return one.centre + 0.3 * one.spread * rng.standard_normal((len(N), len(one.names)))


def test_the_nine_forms_are_registered_by_name():
    assert list(FORMS)[:2] == ["two_skills", "coupled"]
    others = {"additive", "multiplicative", "transfer_gap", "interaction", "transferred_data"}
    assert set(FORMS) == others | {"two_skills", "coupled", "effective_tokens", "chinchilla"}
    assert list(form.ONE_STAGE) == ["coupled"]


@pytest.mark.parametrize("one", EVERY, ids=identify)
def test_gradients_agree_with_finite_differences_also_at_zero_tokens(one):
    where = one.usable(D, S)
    assert where[:2].all() and (one.finite == where.all())
    x = Points.of(UNITS, N[where], D[where], S[where], replay=SHARE[where])
    coordinates = some_coordinates(one)[where]
    value = one.loss(one.duals(coordinates), x)
    np.testing.assert_allclose(value.value, one.evaluate(coordinates, x), rtol=1e-14)
    for j, name in enumerate(one.names):
        step = np.zeros(len(one.names))
        step[j] = 1e-5
        up, down = (one.evaluate(coordinates + s, x) for s in (step, -step))
        np.testing.assert_allclose(value.parts[name], (up - down) / 2e-5, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("one", EVERY, ids=identify)
def test_parameters_in_tokens_give_the_same_losses(one):
    coordinates = some_coordinates(one)
    points = Points.of(UNITS, N, D, S, replay=SHARE)
    inner = one.evaluate(coordinates, points) * UNITS.loss
    outer = one.coordinates(one.user_values(coordinates, UNITS))
    points = Points.of(Units(), N, D, S, replay=SHARE)
    np.testing.assert_allclose(one.evaluate(outer, points), inner, rtol=1e-10)


@pytest.mark.parametrize("one", EVERY, ids=identify)
def test_a_form_is_finite_exactly_where_it_is_declared_finite(one):
    losses = one.evaluate(one.centre, Points.of(UNITS, N, D, S))
    np.testing.assert_array_equal(np.isfinite(losses), one.usable(D, S))
    assert (losses > 0).all()


def test_the_default_forms_are_the_formulas_of_the_documentation():
    point = Points.of(Units(), 1e6, 2e6, 3e5)
    two = {"E": 2.0, "A": 5.0, "alpha": 0.3, "F": 7.0, "phi": 0.4, "B": 9.0, "beta": 0.5}
    two |= {"kappa": 3.0, "gamma": 0.8}
    found = FORMS["two_skills"].evaluate(FORMS["two_skills"].coordinates(two), point)
    expected = 2 + 5 * 1e6**-0.3 + 7 * 2.3e6**-0.4 + 9 * (3e5 + 3 * 2e6**0.8) ** -0.5
    assert found == pytest.approx(expected, rel=1e-12)
    one = {"E": 2.0, "B": 9.0, "rho": 4.0, "alpha": 0.3, "d0": 1e5, "phi": 0.4, "G": 0.05}
    one |= {"s0": 2e4, "beta": 0.35, "gamma": 0.8}
    found = FORMS["coupled"].evaluate(FORMS["coupled"].coordinates(one), point)
    gap = (2.1e6**-0.4 + 0.05) * 3.2e5**-0.35
    assert found == pytest.approx(2 + 9 * (4 * 1e6**-0.3 + gap) ** 0.8, rel=1e-12)


def test_coupled_at_a_power_of_one_and_without_offsets_is_transfer_gap():
    same = {"E": 2.0, "A": 36.0, "alpha": 0.3, "F": 9.0, "phi": 0.4, "G": 0.45, "beta": 0.35}
    coupled = {"E": 2.0, "B": 9.0, "rho": 4.0, "alpha": 0.3, "phi": 0.4, "G": 0.05, "beta": 0.35}
    coupled |= {"gamma": 1.0, "d0": 1e-9, "s0": 1e-9}
    x = Points.of(Units(), N[:2], D[:2], S[:2])
    np.testing.assert_allclose(
        *(
            FORMS[n].evaluate(FORMS[n].coordinates(v), x)
            for n, v in (("coupled", coupled), ("transfer_gap", same))
        ),
        rtol=1e-12,
    )


def test_a_number_with_derivatives_divides_and_subtracts():
    a, b = (Dual(np.array([v]), {n: np.ones(1)}) for n, v in (("a", 3.0), ("b", 2.0)))
    ratio = 1 - a / b
    assert ratio.value == pytest.approx(-0.5)
    assert ratio.parts["a"] == pytest.approx(-0.5) and ratio.parts["b"] == pytest.approx(0.75)
    assert (1 / b).parts["b"] == pytest.approx(-0.25)
    assert (2.0**b).parts["b"] == pytest.approx(4 * np.log(2))


def test_a_repeated_text_is_worth_less_and_finally_harms():
    mean = Mean(FORMS["two_skills"], plain_frame(2), 1)
    own = in_tokens("two_skills", values_of("two_skills", 0, {}))
    vector = np.concatenate([mean.form.coordinates(own), np.log([15.4, 0.003, 1.0, 0.3])])
    passes = np.array([1.0, 2.0, 4.0, 16.0, 64.0, 400.0])
    unique = 1e8
    x = Points.of(Units(), 3e7, 0.0 * passes, passes * unique, None, np.full(6, unique))
    domain = np.zeros(6, dtype=int)
    losses = mean.evaluate(vector, x, domain)
    fresh = mean.evaluate(vector, Points.of(Units(), 3e7, 0.0 * passes, passes * unique), domain)
    assert losses[0] == fresh[0] and (losses[1:] > fresh[1:]).all()
    assert losses[2] < losses[1] < losses[0] and losses[-1] > losses.min()
    value, jacobian = mean.jacobian(vector, x, domain)
    np.testing.assert_allclose(value, losses, rtol=1e-14)
    for j in range(mean.size):
        step = np.zeros(mean.size)
        step[j] = 1e-5
        up, down = (mean.evaluate(vector + s, x, domain) for s in (step, -step))
        np.testing.assert_allclose(jacobian[:, j], (up - down) / 2e-5, rtol=1e-5, atol=1e-9)


@pytest.mark.skipif(shutil.which("node") is None, reason="requires node")
def test_the_javascript_source_gives_the_same_losses():
    frame = replace(plain_frame(2), units=UNITS)
    common = {name: prior.median for name, prior in REPETITION.items()}
    x = Points.of(UNITS, N, D, S, D / 3, S / 2)
    expressions, expected = [], []
    for one in EVERY:
        parameters = one.values(one.centre)
        at = {"p": {n: float(v) for n, v in parameters.items()}, "c": common}
        points = [
            dict(zip(("N", "D", "S", "T", "PD", "PS"), map(float, values), strict=True))
            for values in zip(
                x.N, x.D, x.S, x.T, x.pretrain_passes, x.specialize_passes, strict=True
            )
        ]
        names = "p, c, N, D, S, T, PD, PS, r, R"
        call = f"(({names}) => {javascript(one, frame)})"
        plain = f"(({names}) => {one.javascript()})"
        given = json.dumps([{**at, **point} for point in points])
        arguments = "q.p, q.c, q.N, q.D, q.S, q.T, q.PD, q.PS, 0, 0"
        expressions += [f"{given}.map(q => {f}({arguments}))" for f in (call, plain)]
        with np.errstate(divide="ignore"):
            mean = Mean(one, frame, 1)
            vector = np.concatenate([one.centre, np.log(list(common.values()))])
            expected += [mean.evaluate(vector, x, np.zeros(len(N), dtype=int))]
            expected += [one.evaluate(one.centre, x)]
    script = f"console.log(JSON.stringify([{','.join(expressions)}]))"
    ran = subprocess.run(["node"], input=script, capture_output=True, text=True, check=True)
    found = [np.array(v, dtype=float) for v in json.loads(ran.stdout)]
    for values, right in zip(found, expected, strict=True):
        # JSON has null for infinity and for NaN.
        np.testing.assert_array_equal(np.isnan(values), ~np.isfinite(right))
        np.testing.assert_allclose(values[~np.isnan(values)], right[np.isfinite(right)], rtol=1e-12)


def test_repetition_takes_part_only_where_a_text_is_repeated():
    one, frame = FORMS["two_skills"], plain_frame(2)
    values = one.duals(one.centre[None])
    x = Points.of(Units(), 1.0, 1.0, 1.0)
    assert set(log_loss(one, values, None, x, frame).parts) == set(one.names)


def test_adding_a_form_takes_one_object():
    register(replace(FORMS["two_skills"], name="mine"))
    try:
        assert fit_table(table(law("two_skills", 1)), law="mine", draws=0).law == "mine"
    finally:
        del FORMS["mine"]
