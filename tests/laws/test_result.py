"""Parameters, predictions with intervals, the file of a fit and the posterior beside it."""

import json

import numpy as np
import pandas as pd
import pytest

from laws.planted import cells, law, table
from splitlaw.common.errors import UserError
from splitlaw.laws import FitResult, fit_table, store

INTERVALS = ["loss", "loss_low", "loss_high", "mean_low", "mean_high"]


@pytest.fixture(scope="module")
def truth():
    return law("two_skills")


@pytest.fixture(scope="module")
def fit(truth):
    frame = table(truth, noise=2e-3).assign(flops_per_token=lambda f: 7 * f["params"])
    return fit_table(frame, draws=60)


def test_parameters_are_in_their_intervals_and_in_tokens(fit, truth):
    bounds = fit.conf_int()
    for domain, row in fit.params.iterrows():
        for name, value in row.items():
            low, high = bounds.loc[(domain, name)]
            assert low <= value <= high and low < high
            assert low / 3 < truth.params.loc[domain, name] < 3 * high
    assert fit.law == "two_skills"
    np.testing.assert_allclose(fit.params["alpha"], truth.params["alpha"], atol=0.15)


def test_intervals_of_means_are_inside_those_of_new_runs_and_cover_the_truth(fit, truth):
    points = cells(truth.domains)
    predicted = fit.predict(points)
    assert list(predicted.columns) == [*points.columns, *INTERVALS]
    order = predicted[["loss_low", "mean_low", "loss", "mean_high", "loss_high"]].to_numpy()
    assert (np.diff(order, axis=1) >= 0).mean() > 0.99
    exact = truth.predict(points)["loss"]
    assert exact.between(predicted["mean_low"], predicted["mean_high"]).mean() > 0.8
    np.testing.assert_allclose(predicted["loss"], exact, rtol=8e-3)


def test_a_known_law_predicts_its_formula_without_intervals(truth):
    predicted = truth.predict(cells(truth.domains))
    assert predicted["loss"].notna().all() and predicted["loss_low"].isna().all()
    drawn = law("two_skills", draws=30)
    assert drawn.drawn_losses(3e7, 1e9, 1e8, [0, 1]).shape == (30, 2)
    np.testing.assert_allclose(drawn.params, truth.params)
    assert (drawn.predict(cells(truth.domains)).eval("mean_low < loss < mean_high")).all()


def test_one_member_and_fewer_draws(fit):
    alone = fit.only("coupled")
    assert alone.weights == {"coupled": 1.0} and alone.n_draws == np.sum(fit.draw_members == 1)
    parts = [fit.only(law).losses(3e7, 1e9, 1e8, 0) * w for law, w in fit.weights.items()]
    assert fit.losses(3e7, 1e9, 1e8, 0) == pytest.approx(sum(parts))
    few = fit.first(12)
    assert 11 <= few.n_draws <= 13 and set(few.draw_members) == {0, 1}
    assert few.first(100) is few


def test_a_file_gives_back_the_fit(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.json", "fit.posterior.npz"]
    again = FitResult.load(tmp_path / "fit.json")
    points = cells(fit.domains)
    # Mixtures of draws are in single precision.
    pd.testing.assert_frame_equal(fit.predict(points), again.predict(points), rtol=1e-5)
    pd.testing.assert_frame_equal(fit.params, again.params)
    pd.testing.assert_frame_equal(fit.conf_int(), again.conf_int())
    assert store.described(again) == store.described(fit)
    again.save(tmp_path / "again.json")
    assert (
        json.loads((tmp_path / "again.json").read_text())["domains"]
        == store.described(fit)["domains"]
    )


@pytest.mark.parametrize("case", ["missing", "changed", "other"])
def test_a_posterior_that_does_not_belong_to_the_file_is_named(case, fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    beside = tmp_path / "fit.posterior.npz"
    if case == "missing":
        beside.unlink()
    elif case == "changed":
        content = bytearray(beside.read_bytes())
        content[len(content) // 2] ^= 1
        beside.write_bytes(content)
    else:
        fit.first(10).save(tmp_path / "few.json")
        beside.write_bytes((tmp_path / "few.posterior.npz").read_bytes())
    message = "cannot be read" if case == "missing" else "is not the posterior of"
    with pytest.raises(UserError, match=rf"fit\.posterior\.npz: {message}") as error:
        FitResult.load(tmp_path / "fit.json")
    assert "\n" not in str(error.value)


def test_the_file_has_the_keys_of_the_contract(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    names = "law weights domains objective converged formula discrepancy trunk_sd row_sd warnings"
    names += " holdout candidates flops_per_token range repetitions units posterior"
    assert set(content) >= set(names.split())
    for domain in content["domains"].values():
        assert set(domain) == {"parameters", "interval", "n"}
    assert set(content["discrepancy"]) >= {"amplitude", "length_scales", "tau"}
    assert set(content["posterior"]) >= {"file", "sha256", "draws"}
    for entry in content["holdout"]:
        assert set(entry) >= {"kind", "domain", "n", "mre", "max", "bias", "coverage", "source"}
    for entry in content["candidates"]:
        keys = {"law", "objective", "holdout_mre", "log_predictive_density", "n_parameters"}
        assert set(entry) >= keys
    assert content["trunk_sd"] == {"value": 0.004, "identified": False}


def test_the_summary_names_law_parameters_errors_and_warnings(fit):
    text = fit.summary()
    for part in (
        "two_skills",
        "kappa",
        "left out",
        "corner",
        "coupled",
        "warning:",
        "noise of a row",
    ):
        assert part in text
    assert "kappa" in fit._repr_html_() and "coupled" not in repr(fit)


def test_an_unknown_domain_and_files_that_are_no_fit(fit, tmp_path):
    with pytest.raises(UserError, match="domain 'z' is not in the fit; choose from a, b"):
        fit.predict(cells(("z",)))
    for text in ('{"law": "two_skills"}', "[1]", '{"posterior": 3}', "{}"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json: "):
            FitResult.load(tmp_path / "x.json")


def test_files_of_another_version_or_with_other_domains_are_refused(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    more = {**content["domains"], "c": content["domains"]["a"]}
    for change, message in (
        ({"schema_version": 2}, r"schema_version is 2, but this version of splitlaw reads 1"),
        ({"domains": more}, r"is not a fit \(ValueError\('the number of domains'\)"),
    ):
        (tmp_path / "fit.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(UserError, match=message):
            FitResult.load(tmp_path / "fit.json")
    with pytest.raises(UserError, match="is a folder; name an existing JSON file"):
        FitResult.load(tmp_path)


def test_the_seed_decides_the_draws(truth):
    frame = table(truth, noise=2e-3)
    a, b, c = (fit_table(frame, law="two_skills", draws=10, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(a.conf_int(), b.conf_int())
    pd.testing.assert_frame_equal(a.params, c.params)
    assert not np.allclose(a.conf_int(), c.conf_int())
