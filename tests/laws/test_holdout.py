"""Left-out blocks, and the weights of the forms that follow from them."""

import numpy as np
import pandas as pd
import pytest

from laws.planted import GENERAL, SIZES, SPECIAL, law, table
from splitlaw.laws import fit_table
from splitlaw.laws.holdout import (
    Block,
    Prediction,
    counts_of_draws,
    left_out_blocks,
    stacking_weights,
)
from splitlaw.laws.read import read_table


def block(*densities: float) -> Block:
    nothing = np.zeros(0)
    predictions = tuple(
        Prediction(loss=nothing, draws=nothing, log_density=density) for density in densities
    )
    return Block(kind="params", rows=None, predictions=predictions)


def test_blocks_are_the_top_of_each_column():
    fit = read_table(table(law("two_skills"))).fit
    kinds = left_out_blocks(fit)
    assert set(kinds) == {"params", "pretrain_tokens", "specialize_tokens", "corner"}
    assert set(fit.params[kinds["params"]]) == {SIZES[-1]}
    assert set(fit.pretrain[kinds["pretrain_tokens"]]) == {GENERAL[-1]}
    assert set(fit.specialize[kinds["specialize_tokens"]]) == {SPECIAL[-1]}
    assert set(fit.pretrain[kinds["corner"]]) == set(GENERAL[-2:])
    assert set(fit.specialize[kinds["corner"]]) == set(SPECIAL[-2:])


def test_the_last_trunk_of_each_size_is_a_block_where_there_are_several():
    frame = table(law("two_skills"))
    second = frame[frame["params"] < 3e7].assign(seed=1)
    fit = read_table(pd.concat([frame.assign(seed=0), second])).fit
    rows = left_out_blocks(fit)["trunk"]
    assert rows.sum() == len(second) and set(fit.params[rows]) == {1e7, 2e7}


def test_a_block_leaves_rows_of_every_domain():
    frame = table(law("two_skills"))
    only_large = frame[(frame["domain"] == "a") | (frame["params"] == SIZES[-1])]
    assert "params" not in left_out_blocks(read_table(only_large).fit)


def test_weights_follow_the_density_and_never_reach_a_corner():
    # The Dirichlet prior adds a block to each form: 5 blocks that agree give 6 of 7.
    decided = stacking_weights([block(0.0, -100.0)] * 5, 2)
    np.testing.assert_allclose(decided, [6 / 7, 1 / 7], rtol=1e-6)
    np.testing.assert_allclose(stacking_weights([block(-7.0, -7.0)] * 5, 2), [0.5, 0.5])
    both = [block(0.0, -3.0), block(-3.0, 0.0), block(0.0, -3.0)]
    one, other = stacking_weights(both, 2)
    assert 0.5 < one < 0.7 and one + other == pytest.approx(1)
    np.testing.assert_allclose(stacking_weights([], 3), np.full(3, 1 / 3))
    assert stacking_weights([block(1.0)], 1).tolist() == [1.0]


def test_draws_are_shared_by_weight():
    assert counts_of_draws(np.array([6 / 7, 1 / 7]), 300).tolist() == [257, 43]
    assert counts_of_draws(np.array([0.3, 0.3, 0.4]), 1).sum() == 1
    assert counts_of_draws(np.array([0.5, 0.5]), 0).tolist() == [0, 0]


@pytest.mark.parametrize("planted", ["two_skills", "coupled"])
def test_the_planted_form_has_the_larger_weight(planted):
    fit = fit_table(table(law(planted, 3), noise=2e-3), draws=40)
    assert fit.law == planted and fit.weights[planted] > 0.6
    assert fit.n_draws == 40 and np.bincount(fit.draw_members)[0] > 20
    assert [c["law"] for c in fit.candidates] == list(fit.weights)
    assert {h["kind"] for h in fit.holdout} >= {"params", "corner"}
    for entry in fit.holdout:
        assert entry["mre"] < 0.02 and entry["coverage"] > 0.6


def test_rows_that_the_user_held_out_never_enter_parameters():
    frame = table(law("two_skills"), noise=1e-3)
    top = frame["params"] == frame["params"].max()
    marked = frame.assign(split=np.where(top, "holdout", "fit"))
    one = fit_table(marked, law="two_skills", draws=20)
    higher = marked.assign(loss=np.where(top, 1.2, 1.0) * marked["loss"])
    other = fit_table(higher, law="two_skills", draws=20)
    pd.testing.assert_frame_equal(one.params, other.params)
    entries = [h for h in other.holdout if h["source"] == "split column"]
    assert len(entries) == 2 and all(h["bias"] < -0.1 and h["kind"] == "params" for h in entries)
    assert all(h["coverage"] == 0 for h in entries)
    assert any("too low on average" in w for w in other.warnings)
    entries = [h for h in one.holdout if h["source"] == "split column"]
    assert all(h["mre"] < 0.02 and h["coverage"] > 0.8 for h in entries)
