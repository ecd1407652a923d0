"""Branches with replay, the general loss after specialising, and a base of unknown tokens."""

import json

import numpy as np
import pandas as pd
import pytest

from laws.planted_replay import BASE, PARAMS, domain_loss, general_loss, table
from splitlaw.common.errors import UserError
from splitlaw.laws import FORMS, FitResult, fit_table
from splitlaw.laws.form import with_replay
from splitlaw.laws.mean import Mean
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows


@pytest.fixture(scope="module")
def fit():
    return fit_table(table(), draws=60)


def errors(fit, kind):
    return [e for e in fit.holdout if e["source"] == "split column" and e["kind"] == kind]


@pytest.mark.parametrize("kind", ["specialize_tokens", "replay"])
def test_both_laws_predict_held_out_branches(fit, kind):
    for law in (fit, fit.general_after):
        found = errors(law, kind)
        assert len(found) == 2
        assert np.mean([e["mre"] for e in found]) < 0.01
        assert np.mean([e["coverage"] for e in found]) >= 0.85


def test_both_laws_follow_the_share_of_replay(fit):
    shares, total, branch = np.array([0.0, 0.2, 0.4]), BASE + 1e6, 3e5
    at = PARAMS, total, (1 - shares) * branch
    for law, truth in ((fit, domain_loss), (fit.general_after, general_loss)):
        expected = truth(0, total, branch, shares)
        np.testing.assert_allclose(law.losses(*at, 0, replay=shares), expected, rtol=0.006)
        drawn = law.drawn_losses(*at, 0, replay=shares)
        assert drawn.shape == (60, 3) and (drawn.std(axis=0) > 0).all()


def test_a_file_has_both_laws(fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    assert set(content["general_after"]["domains"]) == {"a", "b"}
    assert content["range"]["replay"] == [0.0, 0.5]
    again = FitResult.load(tmp_path / "fit.json")
    at = PARAMS, BASE, [1e5, 2e5], [0, 1]
    for one, other in ((fit, again), (fit.general_after, again.general_after)):
        np.testing.assert_array_equal(one.losses(*at, replay=0.3), other.losses(*at, replay=0.3))


@pytest.mark.parametrize("changed", ["domains", "general"])
def test_a_file_with_another_formula_of_a_law_is_refused(changed, fit, tmp_path):
    fit.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    law = content if changed == "domains" else content["general_after"]
    law["formula"] = law["formula"].replace("D", "2 D")
    (tmp_path / "fit.json").write_text(json.dumps(content))
    name = next(iter(law["weights"]))
    with pytest.raises(UserError, match=rf"fit\.json: '{name}' was fitted.*fit it again") as error:
        FitResult.load(tmp_path / "fit.json")
    assert "\n" not in str(error.value)


def test_points_have_a_column_of_replay(fit):
    points = pd.DataFrame(
        {
            "params": PARAMS,
            "pretrain_tokens": BASE,
            "specialize_tokens": 2e5,
            "domain": "a",
            "replay": [0.0, 0.4],
        }
    )
    expected = fit.losses(PARAMS, BASE, 2e5, 0, replay=[0.0, 0.4])
    np.testing.assert_array_equal(fit.predict(points)["loss"], expected)


def test_points_of_general_have_the_general_loss_of_the_specialist(fit):
    points = pd.DataFrame(
        {
            "params": PARAMS,
            "pretrain_tokens": BASE,
            "specialize_tokens": 2e5,
            "domain": ["general", "a", "general"],
            "train_domain": ["b", "a", "a"],
        },
        index=[5, 5, 7],
    )
    found = fit.predict(points)
    at = PARAMS, BASE, 2e5
    expected = [
        fit.general_after.losses(*at, 1),
        fit.losses(*at, 0),
        fit.general_after.losses(*at, 0),
    ]
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-12)
    pd.testing.assert_frame_equal(found[points.columns], points)


def test_rows_of_the_general_loss_enter_the_second_law_alone():
    data = table(("a", "b"))
    reading = read_table(data)
    general = data[(data["domain"] == "general") & (data["split"] == "fit")]
    assert not reading.left_out
    assert len(reading.fit) == ((data["domain"] != "general") & (data["split"] == "fit")).sum()
    assert reading.after.domains == ("a", "b")
    unsplit = reading.after.specialize == 0
    # A general run is where the branches of both domains begin.
    assert unsplit.sum() == 2 * (general["specialize_tokens"] == 0).sum()
    assert (~unsplit).sum() == (general["specialize_tokens"] > 0).sum()
    assert reading.after.replay.max() == 0.5 and not reading.after.replay[unsplit].any()


@pytest.mark.parametrize(("share", "remedy"), [(1.0, "give a share below 1"), (-0.1, "give 0")])
def test_a_share_of_replay_outside_0_to_1_names_its_row(share, remedy):
    data = table()
    data.loc[7, "replay"] = share
    with pytest.raises(UserError, match=rf"row 8 .*replay is {share:g}; {remedy}"):
        read_table(data)


def test_the_derivative_by_the_tokens_of_the_base_is_exact():
    data = read_table(table(counted=False), uncounted=True).fit
    rows = make_rows(data, make_frame(data, 20 * PARAMS, start=0.0))
    mean = Mean(with_replay(FORMS["two_skills"]), rows.frame, rows.domains)
    vector = mean.centre + 0.1
    value, jacobian = mean.jacobian(vector, rows.x, rows.domain)
    # The first parameter of a domain, the base, re-warming and its tokens, and repetition.
    for j in (0, *range(mean.size - 7, mean.size - 4), mean.size - 1):
        step = np.zeros(mean.size)
        step[j] = 1e-5
        up, down = (mean.evaluate(vector + s, rows.x, rows.domain) for s in (step, -step))
        np.testing.assert_allclose(jacobian[:, j], (up - down) / 2e-5, rtol=1e-5, atol=1e-9)
    assert np.isfinite(value).all() and np.abs(jacobian[:, mean.size - 7]).min() > 0


def test_the_tokens_of_an_unknown_base_are_estimated(tmp_path):
    fit = fit_table(table(counted=False), law="coupled", draws=100, base_tokens="unknown")
    fit.save(tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    for law in (content, content["general_after"]):
        assert law["base"]["pretrain_tokens"] == "unknown"
        value, low, high = law["base"]["effective_tokens"]
        assert BASE / 2 < value < 2 * BASE and low < value < high < 4 * low
        assert 0 < law["base"]["rewarm"] < 0.02
    assert "tokens of the base" in fit.summary()
    at = PARAMS, 1e6, 2e5, 0
    expected = domain_loss(0, BASE + 1e6, 2e5 / 0.9, 0.1)
    assert fit.losses(*at, replay=0.1) == pytest.approx(expected, rel=0.01)
    again = FitResult.load(tmp_path / "fit.json")
    assert again.losses(*at) == fit.losses(*at)


@pytest.mark.parametrize("tokens", [0.0, -1.0, np.nan, "many"])
def test_the_tokens_of_a_base_are_a_number_or_unknown(tokens):
    with pytest.raises(UserError, match="base_tokens is"):
        fit_table(table(), base_tokens=tokens)


def test_a_row_with_fewer_tokens_than_its_base_is_refused():
    with pytest.raises(UserError, match="include those of the base"):
        fit_table(table(), base_tokens=2 * BASE)


def test_the_cooldown_is_that_of_the_law_of_the_general_loss():
    made = fit_table(table(), draws=0, cooldown_fraction=0.2)
    assert made.frame.cooldown is None and made.general_after.frame.cooldown == 0.2
    assert not [note for note in made.warnings if "not used" in note]
    assert fit_table(table(), draws=0).general_after.frame.cooldown is None
