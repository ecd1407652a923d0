"""Fits of tables that determine little, or that have unusual units: warnings and wide intervals."""

import numpy as np
import pandas as pd
import pytest

from laws.planted import GENERAL, SIZES, cells, law, table
from splitlaw.common.errors import UserError
from splitlaw.laws import fit_table


def widths(fit, points: pd.DataFrame) -> np.ndarray:
    """Widths of the intervals of expected losses, relative to the losses."""
    predicted = fit.predict(points)
    return ((predicted["mean_high"] - predicted["mean_low"]) / predicted["loss"]).to_numpy()


def warned(fit, text: str) -> bool:
    return any(text in warning for warning in fit.warnings)


@pytest.mark.parametrize("discrepancy", ["on", "none"])
def test_units_of_parameters_tokens_and_losses_do_not_matter(discrepancy):
    frame = table(law("two_skills"), noise=2e-3)
    factors = {"params": 1e-6, "pretrain_tokens": 1e-9, "specialize_tokens": 1e-9, "loss": 1.4427}
    other = frame.assign(**{c: frame[c] * f for c, f in factors.items()})
    options = {"law": "two_skills", "discrepancy": discrepancy, "draws": 20}
    one, two = fit_table(frame, **options), fit_table(other, **options)
    points = cells(one.domains, sizes=(2e7, 3e8))
    scaled = points.assign(**{c: points[c] * factors[c] for c in points.columns[:3]})
    a, b = one.predict(points), two.predict(scaled)
    for column in ("loss", "mean_low", "mean_high", "loss_high"):
        np.testing.assert_allclose(b[column] / 1.4427, a[column], rtol=1e-4)
    assert one.objective == pytest.approx(two.objective, rel=1e-4, abs=1e-9)


def test_fine_tuning_at_one_large_pretraining():
    """D = 3e11 tokens, D' = 200 to 1.6M: each form fits noiseless data of its own."""
    grid = {"sizes": SIZES, "pretrain": (3e11,), "specialize": tuple(200 * 6.0 ** np.arange(6))}
    for name in ("two_skills", "effective_tokens", "coupled"):
        values = {"E": 0.3, "B": 2.0, "beta": 0.25, "kappa": 1e-4, "s0": 1e-6, "G": 0.1}
        frame = table(law(name, 1, **values), **grid)
        fit = fit_table(frame, law=name, draws=30)
        assert warned(fit, "All rows have pretrain_tokens 3e+11")
        predicted = fit.predict(frame.drop(columns="loss"))
        np.testing.assert_allclose(predicted["loss"], frame["loss"], rtol=0.01)


def test_one_size_is_named_and_other_sizes_are_uncertain():
    frame = table(law("two_skills"), noise=2e-3, sizes=(2e7,))
    fit = fit_table(frame, draws=60)
    assert warned(fit, "All rows have 2e+07 parameters")
    here = widths(fit, cells(fit.domains, sizes=(2e7,), pretrain=GENERAL[1:3]))
    there = widths(fit, cells(fit.domains, sizes=(1e9,), pretrain=GENERAL[1:3]))
    assert here.max() < 0.05 and there.min() > 5 * here.max()


def test_two_sizes_are_said_to_be_few():
    fit = fit_table(table(law("two_skills"), noise=2e-3, sizes=(1e7, 2e7)), draws=0)
    assert warned(fit, "Two sizes hardly determine E, A and alpha")


@pytest.mark.parametrize("column", ["pretrain_tokens", "specialize_tokens"])
def test_a_column_that_does_not_vary_is_named(column):
    frame = table(law("two_skills"), noise=2e-3)
    one = frame[frame[column] == 1e9]
    fit = fit_table(one, law="two_skills", draws=60)
    assert warned(fit, f"All rows have {column} 1e+09: the table says nothing about other values")
    points = cells(fit.domains).query("pretrain_tokens > 0 and specialize_tokens > 0")
    points = points.assign(**{column: 1e9})
    far = widths(fit, points.assign(**{column: 1e10})).mean()
    assert far > 3 * widths(fit, points).mean()


def test_a_domain_with_few_rows_borrows_and_is_uncertain():
    truth = law("two_skills", 3)
    frame = table(truth, noise=2e-3)
    few = frame[frame["domain"] == "c"].iloc[[3, 22, 48, 70]]
    fit = fit_table(pd.concat([frame[frame["domain"] != "c"], few]), draws=60)
    assert warned(fit, "Few rows for c (4): these domains rely on the prior and on the other")
    points = cells(truth.domains)
    own = points["domain"] == "c"
    assert widths(fit, points[own]).mean() > 2 * widths(fit, points[~own]).mean()
    exact, found = truth.predict(points[own])["loss"], fit.predict(points[own])["loss"]
    assert np.abs(found / exact - 1).mean() < 0.06


def test_one_row_and_equal_losses_are_fitted_with_warnings():
    frame = table(law("two_skills"))
    one = fit_table(frame.iloc[[10]], draws=30)
    assert warned(one, "Few rows for a (1)")
    same = fit_table(frame.assign(loss=3.0), draws=30)
    assert warned(same, "All losses are equal: the table determines no parameter")
    assert np.abs(same.predict(cells(same.domains))["loss"] - 3).max() < 0.2


def test_few_draws_have_a_warning_and_none_no_interval():
    frame = table(law("chinchilla", 1), noise=1e-3, specialize=(0.0,))
    assert warned(fit_table(frame, law="chinchilla", draws=2), "The fit has 2 draws")
    none = fit_table(frame, law="chinchilla", draws=0)
    assert warned(none, "The fit has no draws") and "nan" not in none.summary()


def test_a_table_too_small_to_leave_rows_out_says_so():
    frame = table(law("two_skills", 1), sizes=(1e7, 2e7), pretrain=(1e9,), specialize=(1e8, 5e8))
    assert "left out: none; the table is too small" in fit_table(frame, draws=20).summary()


def test_a_form_that_is_infinite_at_zero_leaves_rows_out_and_says_so():
    frame = table(law("two_skills"), noise=2e-3)
    fit = fit_table(frame, law="additive", draws=20)
    at_zero = int((frame["specialize_tokens"] == 0).sum())
    assert warned(fit, f"additive is infinite at D = 0 or D' = 0: {at_zero} of {len(frame)} rows")
    predicted = fit.predict(cells(fit.domains))
    at_zero = predicted["specialize_tokens"] == 0
    np.testing.assert_array_equal(np.isinf(predicted["loss"]), at_zero)
    assert predicted.loc[at_zero, ["loss_low", "loss_high", "mean_low"]].isna().all(axis=None)
    unsplit = frame[(frame["specialize_tokens"] == 0) | (frame["domain"] == "a")]
    with pytest.raises(UserError, match="a domain has no other rows; choose a law that is finite"):
        fit_table(unsplit, law="additive")


def test_one_stage_has_its_own_forms():
    frame = table(law("chinchilla", 1), noise=1e-3, specialize=(0.0,))
    fit = fit_table(frame, draws=30)
    assert set(fit.weights) == {"chinchilla", "coupled"} and fit.stages == 1
    names = ["E", "B", "rho", "alpha", "phi", "gamma"]
    assert fit.only("coupled").params.columns.to_list() == names
    with pytest.raises(UserError, match="law additive requires rows with both general and domain"):
        fit_table(frame, law="additive")


def test_repeated_text_is_fitted_and_many_passes_are_uncertain():
    truth = law("two_skills", 1)
    frame = table(truth, noise=1e-3)
    short = frame[frame["specialize_tokens"] >= 2.5e8].assign(unique_specialize_tokens=6.25e7)
    passes = short["specialize_tokens"] / 6.25e7
    worth = 6.25e7 * (1 + 5 * (1 - np.exp(-(passes - 1) / 5)))
    short["loss"] = truth.predict(short.assign(specialize_tokens=worth))["loss"]
    fit = fit_table(pd.concat([frame, short]), law="two_skills", draws=60)
    predicted = fit.predict(short)
    np.testing.assert_allclose(predicted["loss"], short["loss"], rtol=0.01)
    many = short.assign(specialize_tokens=120 * 6.25e7)
    assert widths(fit, many).mean() > 2.5 * widths(fit, short).mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "none"}, "law 'none' is unknown; choose from auto, two_skills"),
        ({"law": []}, "law '' is unknown"),
        ({"draws": -1}, "draws is -1"),
        ({"draws": 10**9}, "draws is 1000000000; give 0 to 10000"),
        ({"seed": -1}, "seed is -1"),
        ({"min_tokens_per_param": np.nan}, "min_tokens_per_param is nan"),
        ({"discrepancy": "off"}, "discrepancy 'off' is unknown; give on or none"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        fit_table(table(law("two_skills", 1)), **options)
