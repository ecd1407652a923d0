import shutil

import pandas as pd
import pytest

from splitlaw.common.errors import UserError
from splitlaw.report.inputs import law_rows, read_inputs


def test_everything_is_read(planted):
    inputs = read_inputs(planted)
    assert inputs.missing == []
    assert inputs.domains == ["law", "code"]
    assert {final.strategy for final in inputs.finals} >= {"optimal", "scratch", "no_split"}
    assert not inputs.rows["predicted"].isna().any()


def test_final_models_of_another_budget_do_not_enter(results):
    before = read_inputs(results).finals
    (budget,) = (results / "final").glob("*/*/")
    shutil.copytree(budget, budget.with_name("1"))
    assert read_inputs(results).finals == before


def test_what_is_missing_is_told_with_its_command(results):
    (results / "split/plan.json").unlink()
    (results / "final/comparison.csv").unlink()
    told = " ".join(read_inputs(results).missing)
    assert "choose_split" in told
    assert "train_final" in told


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither"):
        read_inputs(tmp_path)


def test_a_damaged_table_is_named(results):
    (results / "final/comparison.csv").write_text("strategy,loss\noptimal,3\n")
    with pytest.raises(UserError, match=r"comparison\.csv: column seed"):
        read_inputs(results)


def test_a_table_written_by_hand_gets_sizes_and_splits():
    table = pd.DataFrame(
        {
            "params": [1000, 1000, 2000, 1000],
            "pretrain_tokens": [0, 100, 100, 0],
            "specialize_tokens": [100, 0, 100, 0],
            "domain": ["law", "law", "law", "law"],
            "loss": [3.0, 3.1, 2.9, 7.0],
        }
    )
    rows = law_rows(table)
    assert len(rows) == 3
    assert list(rows["size"]) == ["1,000", "1,000", "2,000"]
    assert set(rows["split"]) == {"fit"}


def test_other_domains_and_general_take_no_part(planted):
    losses = pd.read_csv(planted / "losses.csv")
    rows = law_rows(losses)
    assert "general" not in set(rows["domain"])
    assert len(rows) < len(losses)
