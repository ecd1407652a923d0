import numpy as np
import pandas as pd
import pytest

from laws.planted import cells, law, table
from splitlaw.common.errors import UserError
from splitlaw.laws import FitResult, fit_table


@pytest.fixture(scope="module")
def truth():
    return law("effective_tokens")


@pytest.fixture(scope="module")
def fit(truth):
    frame = table(truth, noise=2e-3).assign(flops_per_token=lambda f: 7 * f["params"])
    return fit_table(frame, law=("two_skills", "effective_tokens"), share="none", bootstrap=60)


def test_parameters_lie_in_their_intervals(fit):
    bounds = fit.conf_int()
    for domain, row in fit.params.iterrows():
        for name, value in row.items():
            low, high = bounds.loc[(domain, name)]
            assert low <= high and low * 0.7 <= value <= high * 1.3


def test_parameters_are_reported_in_tokens(fit, truth):
    assert fit.law == "effective_tokens"
    found = fit.params.loc["a", ["beta", "gamma"]]
    expected = truth.params.loc["a", ["beta", "gamma"]]
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_predictions_have_intervals_that_hold_them(fit, truth):
    points = cells(truth.domains)
    predicted = fit.predict(points)
    assert list(predicted.columns) == [*points.columns, "loss", "loss_low", "loss_high"]
    assert (predicted["loss_low"] <= predicted["loss_high"]).all()
    inside = predicted["loss"].between(predicted["loss_low"], predicted["loss_high"])
    assert inside.mean() > 0.9
    np.testing.assert_allclose(predicted["loss"], truth.predict(points)["loss"], rtol=5e-3)


def test_a_file_gives_back_the_fit(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    again = FitResult.load(tmp_path / "fit.json")
    points = cells(fit.domains)
    pd.testing.assert_frame_equal(fit.predict(points), again.predict(points), rtol=1e-6)
    pd.testing.assert_frame_equal(fit.params, again.params)
    pd.testing.assert_frame_equal(fit.conf_int(), again.conf_int(), rtol=1e-6)
    assert again.flops_per_token == fit.flops_per_token


def test_the_file_holds_what_the_contract_names(fit):
    content = fit.to_json()
    names = "law domains objective converged warnings holdout candidates flops_per_token range"
    assert set(content) >= {*names.split(), "bootstrap", "units"}
    for domain in content["domains"].values():
        assert set(domain) == {"parameters", "interval", "n"}
    for entry in content["holdout"]:
        assert set(entry) >= {"kind", "domain", "n", "mre", "max", "bias"}
    for entry in content["candidates"]:
        assert set(entry) >= {"law", "objective", "holdout_mre", "n_parameters"}


def test_the_summary_names_law_parameters_and_warnings(fit):
    text = fit.summary()
    for part in ("effective_tokens", "kappa", "held out", "corner", "candidate", "warning:"):
        assert part in text


def test_the_limits_of_the_intervals_are_reported(fit):
    assert any("one seed per size" in warning for warning in fit.warnings)


def test_two_sizes_are_said_to_be_too_few(truth):
    frame = table(truth, noise=2e-3, sizes=(1e7, 2e7))
    warnings = fit_table(frame, law="effective_tokens", bootstrap=20).warnings
    assert any("Two sizes do not determine E, A and alpha" in w for w in warnings)
    assert any("can change together" in w or "hardly determines" in w for w in warnings)


def test_an_unknown_domain_and_a_file_that_is_no_fit(fit, tmp_path):
    with pytest.raises(UserError, match="domain 'z' is not in the fit"):
        fit.predict(cells(("z",)))
    (tmp_path / "x.json").write_text('{"law": "two_skills"}')
    with pytest.raises(UserError, match=r"x\.json: is not a fit"):
        FitResult.load(tmp_path / "x.json")


def test_the_seed_decides_the_draws(truth):
    frame = table(truth, noise=2e-3)
    kinds = {"law": "effective_tokens", "share": "none", "bootstrap": 10}
    a, b, c = (fit_table(frame, seed=seed, **kinds) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(a.conf_int(), b.conf_int())
    assert not np.allclose(a.conf_int(), c.conf_int())
