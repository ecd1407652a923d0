"""Tables of the stages are read with every name as text."""

import pandas as pd
import pytest

from splitlaw.common.result_table import read_result_table

NAMES = ["null", "nan", "NA", "none", "no", "true", "inf", "1e3", "007", "1_000", "-", ""]


@pytest.mark.parametrize("column", ["domain", "size", "strategy", "trunk"])
def test_names_are_text_and_missing_numbers_are_missing(tmp_path, column):
    """`on` and `1e3` are names of domains and sizes: pandas and YAML read them as other things."""
    written = pd.DataFrame({column: NAMES, "loss": [1.5, None] * 6, "seed": range(12)})
    written.to_csv(tmp_path / "table.csv", index=False)
    for names in (NAMES, ["null"] * 12, ["1e3"] * 12, ["true"] * 12):
        written[column] = names
        written.to_csv(tmp_path / "table.csv", index=False)
        read = read_result_table(tmp_path / "table.csv")
        assert read[column].tolist() == names
        assert read["loss"].isna().sum() == 6
        assert read["seed"].tolist() == list(range(12))
