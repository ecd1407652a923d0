import pandas as pd
import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import trained_steps
from splitlaw.stages.gather import read_tables, size_cost, spread_over_seeds


def grid_table():
    cells = [("general", 40, 0), ("law", 20, 20), ("code", 20, 20), ("law", 0, 20)]
    return pd.DataFrame(
        {
            "run": [f"{domain}-{d}-{s}" for domain, d, s in cells],
            "size": "w16",
            "seed": 0,
            "flops_per_token": 10,
            "train_domain": [cell[0] for cell in cells],
            "pretrain_tokens": [cell[1] * 100 for cell in cells],
            "specialize_tokens": [cell[2] * 100 for cell in cells],
        }
    )


def test_cost_counts_shared_segments_once():
    pretrain, specialize = size_cost("w16", grid_table(), 0.2, 100)
    assert pretrain["tokens"] == 40 * 100
    assert pretrain["tokens_independent"] == (40 + 20 + 20) * 100
    assert specialize["tokens"] == specialize["tokens_independent"] == 60 * 100
    assert specialize["flops"] == 60 * 100 * 10
    assert (pretrain["runs"], specialize["runs"]) == (1, 3)


def test_branches_on_repeated_text_share_the_trunk_alone():
    table = grid_table().assign(unique_specialize_tokens=[0, 2000, 2000, 2000])
    part = table[1:2].assign(run="law-20-20-U500", unique_specialize_tokens=500)
    pretrain, specialize = size_cost("w16", pd.concat([table, part]), 0.2, 100)
    assert pretrain["tokens"] == 40 * 100
    assert specialize["tokens"] == (60 + 20) * 100


def test_the_spread_compares_strategies_seed_by_seed():
    rows = [
        ("optimal", 0, 3.0), ("optimal", 1, 3.2), ("half", 0, 3.1), ("half", 1, 3.3),
        ("scratch", 0, 2.9), ("scratch", 1, 3.5),
    ]  # fmt: skip
    table = spread_over_seeds(pd.DataFrame(rows, columns=["strategy", "seed", "loss"]))
    assert list(table.index) == ["optimal", "half", "scratch"]
    assert table.loc["half", "excess"] == pytest.approx(0.1)
    assert table.loc["half", "excess_sd"] == pytest.approx(0, abs=1e-12)
    assert table.loc["scratch", "seeds_won"] == 1


def test_no_lineages_have_no_steps():
    assert trained_steps([]) == 0


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    table = tmp_path / "losses.csv"
    with pytest.raises(UserError, match=r"losses\.csv: cannot be read as CSV \(.*No such file"):
        read_tables([table])
    table.touch()
    with pytest.raises(UserError, match=r"losses\.csv: cannot be read as CSV \(No columns"):
        read_tables([table])
