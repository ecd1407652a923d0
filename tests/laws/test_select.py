import numpy as np
import pandas as pd
import pytest
from splitlaw.laws.bootstrap import draw_weights

from laws.planted import GENERAL, SIZES, SPECIAL, law, table
from splitlaw.common.errors import UserError
from splitlaw.laws import FitResult, fit_table
from splitlaw.laws.holdout import held_out_rows
from splitlaw.laws.read import read_table
from splitlaw.planner import plan

LEADING = ("two_skills", "effective_tokens")


def test_hold_outs_are_the_top_of_each_column():
    fit = read_table(table(law("two_skills"))).fit
    kinds = held_out_rows(fit)
    assert set(kinds) == {"params", "pretrain_tokens", "specialize_tokens", "corner"}
    assert set(fit.params[kinds["params"]]) == {SIZES[-1]}
    assert set(fit.pretrain[kinds["pretrain_tokens"]]) == {GENERAL[-1]}
    assert set(fit.specialize[kinds["specialize_tokens"]]) == {SPECIAL[-1]}
    assert set(fit.pretrain[kinds["corner"]]) == set(GENERAL[-2:])
    assert set(fit.specialize[kinds["corner"]]) == set(SPECIAL[-2:])


@pytest.mark.parametrize("planted", LEADING)
def test_auto_finds_the_planted_one_of_the_leading_forms(planted):
    for seed in range(3):
        frame = table(law(planted), noise=2e-3, seed=seed)
        fit = fit_table(frame, law=LEADING, bootstrap=0, share="none")
        mre = {c["law"]: c["holdout_mre"] for c in fit.candidates}
        assert fit.law == planted or mre[fit.law] <= mre[planted]


def test_auto_compares_every_form_and_chooses_the_best_predictor():
    fit = fit_table(table(law("effective_tokens"), noise=2e-3), bootstrap=0, share="none")
    mre = {c["law"]: c["holdout_mre"] for c in fit.candidates}
    assert len(mre) == 8 and "chinchilla" not in mre
    assert mre[fit.law] < 0.005 < mre["additive"]
    assert [m.law for m in fit.members] == [
        m.law for m in sorted(fit.members, key=lambda m: len(m.form.names))
    ]


def test_one_stage_is_chinchilla():
    fit = fit_table(table(law("chinchilla", 1), noise=1e-3, specialize=(0.0,)), bootstrap=0)
    assert fit.law == "chinchilla" and fit.params["alpha"].iloc[0] == pytest.approx(0.32, abs=0.1)


def test_an_unknown_law_is_refused():
    with pytest.raises(UserError, match="law 'none' is unknown"):
        fit_table(table(law("two_skills")), law="none")


def test_the_bootstrap_draws_whole_clusters_within_each_size():
    fit = read_table(table(law("two_skills"))).fit
    weights = draw_weights(fit, 50, np.random.default_rng(0))
    for cluster in np.unique(fit.cluster):
        assert (np.ptp(weights[:, fit.cluster == cluster], axis=1) == 0).all()
    for size in fit.sizes:
        assert (weights[:, fit.params == size].sum(axis=1) == (fit.params == size).sum()).all()


def test_a_finite_law_predicts_where_the_chosen_law_is_infinite(tmp_path):
    frame = table(law("transfer_gap"), noise=1e-3)
    corners = table(law("two_skills"), noise=1e-3, specialize=(0.0,))
    both = pd.concat([frame, corners])
    both = both.assign(split=np.where(both["params"] == SIZES[-1], "holdout", "fit"))
    fit = fit_table(both, law=("two_skills", "transfer_gap"), share="none", bootstrap=20)
    assert fit.law == "transfer_gap" and [m.law for m in fit.stand_ins] == ["two_skills"]
    fit.save(tmp_path / "fit.json")
    assert len(FitResult.load(tmp_path / "fit.json").stand_ins) == 1
    marked = [h for h in fit.holdout if h["source"] == "split column"]
    assert [h["n"] for h in marked] == [25, 25] and all(h["mre"] < 0.05 for h in marked)
    assert np.isfinite(fit.predict(corners.drop(columns="loss"))["loss_high"]).all()
    made = plan(fit, flops=6 * 3e7 * 3e9, params=3e7).to_json()
    by_name = {b["strategy"]: b for b in made["baselines"]}
    assert by_name["no_split"]["law"] == "two_skills"
    assert by_name["half"]["law"] == "transfer_gap"
    covered = [b for b in made["baselines"] if b["strategy"] != "joint"]
    assert all(np.isfinite(b["predicted_mean_loss"]).all() for b in covered)


def test_each_corner_has_the_best_of_the_laws_that_are_finite_there():
    inner = table(law("transfer_gap"), noise=1e-3)
    unsplit = table(law("two_skills"), noise=1e-3, specialize=(0.0,))
    fit = fit_table(
        pd.concat([inner, unsplit]),
        law=("two_skills", "transferred_data", "transfer_gap"),
        share="none",
        bootstrap=0,
    )
    errors = {c["law"]: c["holdout_mre"] for c in fit.candidates}
    able = {"D": ["two_skills", "transferred_data"], "D'": ["two_skills"]}
    best = {corner: min(laws, key=errors.__getitem__) for corner, laws in able.items()}
    assert {m.law for m in fit.stand_ins} == set(best.values())
