import shutil

import pandas as pd
import pytest

from splitlaw.common.errors import UserError
from splitlaw.report.inputs import law_rows, read_inputs


def test_all_parts_are_read(planted):
    inputs = read_inputs(planted)
    assert inputs.missing == []
    assert inputs.domains == ["law", "code"]
    assert {final.strategy for final in inputs.finals} >= {"optimal", "scratch", "no_split"}
    assert not inputs.rows["predicted"].isna().any()


def test_final_models_of_another_budget_are_ignored(results):
    before = read_inputs(results).finals
    (budget,) = (results / "final").glob("*/*/")
    shutil.copytree(budget, budget.with_name("1"))
    assert read_inputs(results).finals == before


def test_missing_parts_are_named_with_their_command(results):
    (results / "split/plan.json").unlink()
    (results / "final/comparison.csv").unlink()
    missing = " ".join(read_inputs(results).missing)
    assert "choose_split" in missing
    assert "train_final" in missing


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


def test_losses_on_other_domains_and_on_general_text_are_ignored(planted):
    losses = pd.read_csv(planted / "losses.csv")
    rows = law_rows(losses)
    assert "general" not in set(rows["domain"])
    assert len(rows) < len(losses)
