import numpy as np
import pandas as pd
import pytest

from laws import planted_replay
from laws.planted import law, table
from splitlaw.common.errors import UserError
from splitlaw.laws.read import read_table


@pytest.fixture
def frame():
    return table(law("two_skills"), noise=1e-3)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("loss", 0.0, "row 4 .* loss is 0; give a number above 0"),
        ("loss", -1.0, "row 4 .* loss is -1"),
        ("loss", np.inf, "row 4 .* loss is inf; give a finite number"),
        ("loss", np.nan, "row 4 .* loss is nan"),
        ("pretrain_tokens", -5.0, "row 4 .* pretrain_tokens is -5; give 0 or more"),
        ("specialize_tokens", -5.0, "row 4 .* specialize_tokens is -5"),
        ("params", 0.0, "row 4 .* params is 0; give a number above 0"),
        ("loss", "three", "row 4 .* loss is 'three'"),
        ("pretrain_tokens", "1e9 tokens", "row 4 .* pretrain_tokens is '1e9 tokens'"),
        ("domain", None, "row 4 .* domain is empty"),
    ],
)
def test_a_bad_value_is_named_with_its_row(frame, column, value, message):
    frame = frame.astype({column: object})
    frame.loc[3, column] = value
    with pytest.raises(UserError, match=message):
        read_table(frame)


def test_the_row_in_a_file_is_named_with_its_line(frame, tmp_path):
    frame.astype({"loss": object}).assign(loss=["x", *frame["loss"][1:]]).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(UserError, match=r"t\.csv, row 1 \(line 2\): loss is 'x'"):
        read_table(tmp_path / "t.csv")


def test_a_missing_number_in_a_file_is_named(frame, tmp_path):
    frame.loc[3, "loss"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"t\.csv, row 4 \(line 5\): loss is empty; give"):
        read_table(tmp_path / "t.csv")


def test_a_missing_column_is_named(frame):
    with pytest.raises(UserError, match="column loss is missing"):
        read_table(frame.drop(columns="loss"))


def test_a_missing_file_and_an_empty_one(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="is empty; give a header"):
        read_table(tmp_path / "empty.csv")
    (tmp_path / "header.csv").write_text("params,pretrain_tokens,specialize_tokens,domain,loss\n")
    with pytest.raises(UserError, match="has no rows"):
        read_table(tmp_path / "header.csv")


def test_rows_of_general_and_of_other_domains_are_excluded(frame):
    pretrain = frame.head(5).assign(domain="general")
    foreign = frame[frame["specialize_tokens"] > 0].head(5).assign(train_domain="z")
    unsplit = frame[frame["specialize_tokens"] == 0].head(5).assign(train_domain="general")
    both = pd.concat([frame, pretrain, foreign, unsplit], ignore_index=True)
    assert len(read_table(both).fit) == len(frame) + 5


def test_rows_are_left_out_only_on_request_and_counted(frame):
    assert len(read_table(frame).fit) == len(frame)
    reading = read_table(frame, min_tokens_per_param=20)
    few = frame["pretrain_tokens"] + frame["specialize_tokens"] < 20 * frame["params"]
    assert len(reading.fit) == (~few).sum() and few.any()
    assert any(f"{few.sum()} of {len(frame)} rows" in note for note in reading.notes)


def test_replicates_are_kept_and_reported(frame):
    twice = pd.concat([frame, frame.head(3).assign(loss=3.0)])
    reading = read_table(twice)
    assert len(reading.fit) == len(twice)
    assert any("3 rows repeat" in note for note in reading.notes)
    twice = pd.concat([frame, frame.head(3).assign(loss=lambda rows: 1.5 * rows["loss"])])
    assert any("although losses differ by up to 50%." in note for note in read_table(twice).notes)


def test_copies_of_rows_are_left_out_and_counted(frame):
    reading = read_table(pd.concat([frame, frame, frame.head(4)]))
    assert len(reading.fit) == len(frame)
    copied = f"{len(frame) + 4} of {2 * len(frame) + 4} rows are equal to another row in every"
    assert any(note.startswith(copied) for note in reading.notes)


def test_one_size_is_reported(frame):
    notes = read_table(frame[frame["params"] == 1e7]).notes
    assert any("fitted without N" in note for note in notes)


def test_trunks_are_runs_of_a_size_and_seed(frame):
    fit = read_table(frame).fit
    assert len(np.unique(fit.trunk)) == 4
    seeded = pd.concat([frame.assign(seed=0), frame.assign(seed=1)])
    assert len(np.unique(read_table(seeded).fit.trunk)) == 8
    named = frame.assign(trunk=frame["params"].astype(str) + frame["pretrain_tokens"].astype(str))
    assert len(np.unique(read_table(named).fit.trunk)) == 20
    scratch = frame.assign(pretrain_tokens=0.0).query("specialize_tokens > 0")
    assert (read_table(scratch).fit.trunk == -1).all()


def test_equal_rows_of_rounded_losses_are_replicates(frame):
    rounded = frame.assign(loss=frame["loss"].round(2))
    twice = pd.concat([rounded, rounded])
    reading = read_table(twice)
    assert len(reading.fit) == len(twice)
    assert any("they are kept as replicates" in note for note in reading.notes)
    assert len(read_table(twice.assign(seed=0)).fit) == len(frame)


def test_copies_of_general_rows_are_left_out_of_the_law_of_the_general_loss():
    data = planted_replay.table()
    general = data[data["domain"] == "general"]
    reading = read_table(pd.concat([data, general]))
    assert len(reading.after) == len(read_table(data).after)
    copied = f"{len(general)} of {len(data) + len(general)} rows are equal to another row"
    assert any(note.startswith(copied) for note in reading.notes)
