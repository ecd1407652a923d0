"""Sentences on columns that contain something else than their names say."""

import numpy as np
import pandas as pd
import pytest

from laws.planted import law, table
from splitlaw.laws.column_notes import column_notes
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows
from splitlaw.laws.warn import table_warnings


@pytest.fixture(scope="module")
def frame():
    return table(law("two_skills"), noise=2e-3)


def notes(frame):
    return column_notes(read_table(frame).fit)


def test_losses_of_a_grid_have_no_note(frame):
    assert notes(frame) == []
    assert notes(frame.assign(loss=frame["loss"] * np.log(2) / 4)) == []


def test_perplexities_are_named(frame):
    (note,) = notes(frame.assign(loss=np.exp(frame["loss"])))
    assert note.startswith("A tenth of the losses are above ")
    assert note.endswith("If these are perplexities, give their logarithms.")


def test_accuracies_are_named(frame):
    (note,) = notes(frame.assign(loss=1 / (1 + np.exp(frame["loss"] - 3))))
    assert "it has the higher loss. If the column has accuracies, give losses." in note


def test_repeated_text_may_raise_losses(frame):
    often = frame.assign(loss=9 - frame["loss"], unique_specialize_tokens=1e6)
    often = often[often["specialize_tokens"] > 0]
    assert notes(often) == []


def test_runs_of_one_stage_each_are_counted_alike(frame):
    apart = frame[(frame["specialize_tokens"] == 0) | (frame["pretrain_tokens"] == 2.5e8)]
    apart = apart.assign(
        pretrain_tokens=apart["pretrain_tokens"].where(apart["specialize_tokens"] == 0, 0.0)
    )
    assert notes(apart)[0].startswith("No row has both general and domain tokens")


def test_general_tokens_in_thousands_are_named(frame):
    few = frame[(frame["specialize_tokens"] > 0) & (frame["pretrain_tokens"] >= 1e9)]
    (note,) = notes(few.assign(pretrain_tokens=few["pretrain_tokens"] / 1e6))
    assert note.startswith("Every model has at most 0.0004 general tokens per parameter")


def test_columns_that_vary_together_are_named(frame):
    sizes = np.geomspace(1e7, 1e9, 12).round()
    follow = pd.DataFrame({"params": sizes, "pretrain_tokens": 20 * sizes, "domain": "a"})
    follow = follow.assign(specialize_tokens=1e8, loss=5 * sizes**-0.03)
    (note,) = notes(follow)
    assert note.startswith(
        "These columns vary together: params, pretrain_tokens. The table does not"
    )


def test_examples_instead_of_tokens_are_not_all_left_out(frame):
    few = frame.assign(pretrain_tokens=0.0, specialize_tokens=frame["specialize_tokens"] // 1e5)
    read = read_table(few[few["specialize_tokens"] > 0]).fit
    (note,) = [w for w in table_warnings(read, make_rows(read, make_frame(read))) if "fewer" in w]
    assert note.startswith("All rows have fewer than 5 tokens per parameter, at most 0.001;")
    assert "--flops-per-token" in note and "--min-tokens" not in note


def test_general_losses_and_repeated_text_without_its_column_may_rise(frame):
    rising = {
        (n, d, s): 3 * n**-0.02 * d**-0.01 * (1 + 0.05 * np.log1p(s / 1e6) ** 2)
        for n in (1e6, 3e6, 1e7)
        for d in (1e8, 3e8)
        for s in (1e6, 1e7, 1e8)
    }
    columns = ["params", "pretrain_tokens", "specialize_tokens"]
    repeated = pd.DataFrame(list(rising), columns=columns)
    assert notes(repeated.assign(domain="a", loss=rising.values())) == []
    read = read_table(frame.assign(loss=9 - frame["loss"])).fit
    rows = make_rows(read, make_frame(read))
    assert "accuracies" in str(table_warnings(read, rows))
    assert "accuracies" not in str(table_warnings(read, rows, general=True))


def test_few_general_tokens_after_a_base_have_no_note(frame):
    few = frame[(frame["specialize_tokens"] > 0) & (frame["pretrain_tokens"] >= 1e9)]
    few = read_table(few.assign(pretrain_tokens=few["pretrain_tokens"] / 1e6)).fit
    assert "thousands or millions" in str(column_notes(few))
    assert "thousands or millions" not in str(column_notes(few, 2e8))
