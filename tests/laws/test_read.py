"""Tables of losses and of points as users have them: read as meant, or refused in one line."""

import gzip

import numpy as np
import pandas as pd
import pytest

from laws.planted import cells, law, table
from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.laws import fit_table, store
from splitlaw.laws.read import read_points, read_table

HEADER = "params,pretrain_tokens,specialize_tokens,domain,loss"
GOOD = "25328,1000000,100000,code,3.1"


@pytest.fixture
def frame():
    return table(law("two_skills"), noise=1e-3)


def read(tmp_path, *lines, **options):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_table(path, **options)


def refused(message, tmp_path, *lines, **options):
    with pytest.raises(UserError, match=message):
        read(tmp_path, *lines, **options)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"25,328"', 25328),
        ('"2,097,152"', 2097152),
        ("25.3k", 25300),
        ("25.3 k", 25300),
        ("1M", 1e6),
        ("1.5B", 1.5e9),
        ("0.1m", 1e5),
        ("2T", 2e12),
        ("2.5e4", 25000),
        ("25328.0", 25328),
        ("  25328  ", 25328),
        ("+25328", 25328),
    ],
)
def test_counts_that_are_read(cell, value, tmp_path):
    assert read(tmp_path, HEADER, f"{cell},1000000,100000,code,3.1").fit.params[0] == value


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("25_328", "params is '25_328'; give a finite number, such as 25328"),
        ("25 328", "params is '25 328'"),
        ('"25,32"', "params is '25,32'; give a finite number with a decimal point"),
        ("25Ki", "params is '25Ki'"),
        ("1e999", "params is '1e999'"),
        ("", "params is empty; give a finite number"),
        ("#N/A", "params is '#N/A'"),
        ("٢٥", "params is '٢٥'"),
        ("0x10", "params is '0x10'"),
        ("params", "params is 'params'; remove the repeated header"),
    ],
)
def test_counts_that_are_refused(cell, message, tmp_path):
    refused(rf"t\.csv, row 2 \(line 3\): {message}", tmp_path, HEADER, GOOD, f"{cell},1,1,code,3.1")


@pytest.mark.parametrize("cell", ['"3,1"', '"3,100"', "3.1k", "nan", "inf", "None", ""])
def test_losses_have_no_separators_or_suffixes(cell, tmp_path):
    refused(r"row 1 \(line 2\): loss is", tmp_path, HEADER, f"25328,1,1,code,{cell}")


def test_decimal_commas_are_not_taken_for_thousands(tmp_path):
    header = HEADER.replace(",", ";")
    refused("params is '25,328'.*with a decimal point", tmp_path, header, "25,328;1;1;code;3.1")
    assert read(tmp_path, header, "1,025,328;1000;1000;code;3.1").fit.params[0] == 1025328
    tabs = read(tmp_path, HEADER.replace(",", "\t"), "25328\t1000\t1000\tcode, etc.\t3.1").fit
    assert tabs.domains == ("code, etc.",)


@pytest.mark.parametrize("name", ["NA", "null", "nan", "001", "1e3", "True", "no", "Ünï", "a b"])
def test_names_are_kept_as_text(name, tmp_path):
    assert read(tmp_path, HEADER, GOOD.replace("code", name)).fit.domains == (name,)


@pytest.mark.parametrize(
    ("one", "other"),
    [("law", "Law"), ("café", "cafe\u0301"), ("a b", "a  b"), ("a\u200bb", "ab"), ("ﬁ", "fi")],
)
def test_names_that_look_alike_are_refused(one, other, tmp_path):
    rows = [GOOD.replace("code", name) for name in (one, other)]
    refused(r"row 2 \(line 3\): domain is one of", tmp_path, HEADER, *rows)
    train = [f"{row},{name}" for row, name in zip(rows[:1] * 2, (one, other), strict=True)]
    refused("train_domain is one of .* differ only", tmp_path, f"{HEADER},train_domain", *train)


def test_general_is_spelled_in_one_way(tmp_path):
    refused("'general' and 'General'", tmp_path, HEADER, GOOD, GOOD.replace("code", "General"))


def test_names_with_stray_quotation_marks_are_refused(tmp_path):
    refused("domain 'co\"de' contains a quotation mark", tmp_path, HEADER, '1,1,1,co"de,3.1')
    refused("contains a quotation mark or a line break", tmp_path, HEADER, '1,1,1,"co\nde",3.1')
    named = read(tmp_path, HEADER, '25328,1000,1000,"co""de",3.1')
    assert named.fit.domains == ('co"de',)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("loss", "val_loss"), "column loss is missing.*rename val_loss to loss"),
        (HEADER.upper(), "this one has PARAMS, .*rename PARAMS to params; rename PRETRAIN_TOKENS"),
        ("N,D,D',domain,loss", "rename N to params; rename D to pretrain_tokens; rename D' to"),
        ("n_params,tokens,specialize_tokens,domain,loss", "rename n_params .* rename tokens to"),
        ("params,pretrain_tokens,step,domain,loss", "add specialize_tokens, 0 where"),
        ("params,pretrain_tokens,specialize_tokens,step,loss", "add the column domain"),
        (
            "params,pretrain_tokens,specialize_tokens,law_loss,code_loss",
            r"a row for each of law_loss, code_loss, as pandas.melt\(table,",
        ),
        (f"{HEADER.replace('loss', 'Loss')},loss", "columns loss and Loss differ only in case"),
    ],
)
def test_missing_columns_are_explained(header, message, tmp_path):
    row = ",".join("1" for _ in header.split(","))
    refused(message, tmp_path, header, row)


def test_a_wide_table_without_the_word_loss_is_explained(tmp_path):
    header = "params,pretrain_tokens,specialize_tokens,law,code"
    refused("a row for each of law, code, as pandas.melt", tmp_path, header, "25328,1,1,3.1,3.2")


def test_padded_headers_and_an_index_are_read(frame, tmp_path):
    path = tmp_path / "t.csv"
    frame.rename(columns=lambda name: f" {name} ").to_csv(path)
    assert len(read_table(path).fit) == len(frame)
    assert len(read_table(frame.rename(columns=lambda name: f" {name} ")).fit) == len(frame)


def test_two_columns_of_one_name_in_a_frame_are_refused(frame):
    twice = pd.concat([frame, frame[["loss"]]], axis=1)
    with pytest.raises(UserError, match="two columns are called loss"):
        read_table(twice)


def test_two_columns_of_one_name_in_a_file_are_refused(tmp_path):
    header = "params,pretrain_tokens,specialize_tokens,domain,loss,loss"
    refused("columns 5 and 6 are both called loss", tmp_path, header, "1e6,1e6,1e5,a,3.1,4.4")


def test_unquoted_thousands_never_shift_columns(tmp_path):
    # https://github.com/pandas-dev/pandas/issues/15203
    # https://github.com/karpathy/nanochat/issues/580
    header = "params,pretrain_tokens,specialize_tokens,domain,loss"
    refused("cells, but the header has 5", tmp_path, header, "25,328,1000000,100000,code,3.1")
    refused("cells, but the header has 5", tmp_path, header, "25328,1,000,000,100,000,code,3.1")


def test_frames_of_other_types_are_read(frame):
    types = {"domain": "category", "params": object, "loss": "Float64", "pretrain_tokens": "string"}
    assert len(read_table(frame.astype(types)).fit) == len(frame)
    for missing in (None, pd.NA, pd.NaT, [1.0], {}):
        bad = frame.astype(object)
        bad.at[3, "loss"] = missing
        with pytest.raises(UserError, match=r"row 4 \(index 3\): loss is"):
            read_table(bad)


def test_a_file_that_pandas_compressed_is_read(frame, tmp_path):
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    assert len(read_table(tmp_path / "t.csv.gz").fit) == len(frame)
    (tmp_path / "u.csv").write_bytes(gzip.compress(b"\x89\x00"))
    with pytest.raises(UserError, match="is not UTF-8"):
        read_table(tmp_path / "u.csv")


def test_a_file_without_a_last_line_end_is_read_with_a_note(tmp_path):
    (tmp_path / "t.csv").write_text(f"{HEADER}\n{GOOD}")
    notes = read_table(tmp_path / "t.csv").notes
    assert "the last line has no line end" in notes[0]


def test_rows_that_cannot_be_used_are_counted_and_dropped_on_request(frame):
    bad = frame.astype({"loss": object, "params": object, "domain": object})
    bad.loc[3, "loss"] = np.nan
    bad.loc[5, "loss"] = "diverged"
    bad.loc[7, "params"] = -1.0
    bad.loc[9, "domain"] = None
    with pytest.raises(UserError, match=r"row 4 \(index 3\): loss is nan.*\(4 rows .*--drop-inv"):
        read_table(bad)
    reading = read_table(bad, drop_invalid=True)
    assert len(reading.fit) == len(frame) - 4
    assert f"4 of {len(frame)} rows with a value that cannot be used" in reading.notes[0]
    fitted = fit_table(bad, law="two_skills", draws=0, drop_invalid=True)
    assert any("4 of" in warning for warning in fitted.warnings)
    with pytest.raises(UserError, match="no row can be used"):
        read_table(bad.assign(loss=np.nan), drop_invalid=True)


def test_every_row_left_out_is_counted(frame):
    pretrain = frame.head(5).assign(domain="general")
    foreign = frame[frame["specialize_tokens"] > 0].head(4).assign(train_domain="z")
    unknown = frame.head(3).assign(domain="c", split="holdout")
    reading = read_table(pd.concat([frame, pretrain, foreign, unknown], ignore_index=True))
    assert len(reading.fit) == len(frame) and reading.holdout is None
    total = len(frame) + 12
    assert f"5 of {total} rows of the domain general" in reading.left_out[0]
    assert f"4 of {total - 5} rows of models of another train_domain" in reading.left_out[1]
    assert any("3 held-out rows of c are left out" in note for note in reading.notes)


def test_the_summary_counts_rows_left_out(frame):
    both = pd.concat([frame, frame.head(5).assign(domain="general")], ignore_index=True)
    fitted = fit_table(both, law="two_skills", draws=0)
    assert "note: 5 of" in fitted.summary()
    assert "left_out" not in store.described(fitted)


def test_nothing_left_is_explained(frame):
    with pytest.raises(UserError, match=r"--min-tokens-per-param 1e\+09; the rows have at most"):
        read_table(frame, min_tokens_per_param=1e9)
    with pytest.raises(UserError, match=r"no rows are left to fit \(.* rows are held out\)"):
        read_table(frame.assign(split="holdout"))
    foreign = frame[frame["specialize_tokens"] > 0].assign(train_domain="z")
    with pytest.raises(UserError, match=r"rows of models of another train_domain"):
        read_table(foreign)


def test_split_is_fit_or_holdout(frame):
    with pytest.raises(UserError, match=r"row 1 \(index 0\): split is 'test'; give fit or holdout"):
        read_table(frame.assign(split="test"))
    assert read_table(frame.assign(split="")).holdout is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(params=f["params"] / 1e9), "losses: params are .* different units"),
        (lambda f: f.assign(params=f["params"].replace(2e7, 0.02)), "params is 0.02, but other"),
        (lambda f: f.assign(params=f["params"].replace(2e7, 20)), "params is 20, but other rows"),
        (lambda f: f.assign(params=f["params"].replace(2e7, 2e3)), "params is 2000, but other"),
        (
            lambda f: f.assign(
                pretrain_tokens=f["pretrain_tokens"] / 1e9,
                specialize_tokens=f["specialize_tokens"] / 1e9,
            ),
            "losses: tokens are at most 5 but params",
        ),
        (
            lambda f: f.assign(pretrain_tokens=f["pretrain_tokens"] / 1e9),
            "pretrain_tokens is 0.25, but other amounts of tokens",
        ),
        (
            lambda f: f.assign(specialize_tokens=f["specialize_tokens"] / 1e9),
            "specialize_tokens is 0.0625, but other amounts",
        ),
        (
            lambda f: f.assign(
                flops_per_token=6 * f["params"] * (f["pretrain_tokens"] + f["specialize_tokens"])
            ),
            "flops_per_token is .* the compute of a whole run; divide it",
        ),
    ],
)
def test_mixed_units_are_refused(frame, change, message):
    with pytest.raises(UserError, match=message):
        read_table(change(frame))


def test_one_unit_for_all_is_not_refused(frame):
    columns = ["params", "pretrain_tokens", "specialize_tokens"]
    assert len(read_table(frame.assign(**(frame[columns] / 1e9))).fit) == len(frame)
    few_examples = frame.assign(specialize_tokens=frame["specialize_tokens"] // 1e7)
    assert len(read_table(few_examples).fit) == len(frame)


def test_points_along_one_run_are_refused_unless_asked_for(frame):
    one = frame[frame["domain"] == "a"]
    along = one.assign(trunk=one["params"].astype(str))
    with pytest.raises(UserError, match=r"20 rows are several points along one run \(trunk 1000"):
        read_table(along)
    reading = read_table(along, trajectories=True)
    assert any("20 rows are several points" in note for note in reading.notes)
    with pytest.raises(UserError, match=r"\(run x\), .* --trajectories"):
        read_table(one.assign(run="x"))


def test_finished_runs_are_not_points_along_one_run(frame):
    total = frame["pretrain_tokens"].astype(str) + "-" + frame["specialize_tokens"].astype(str)
    runs = frame["params"].astype(str) + total
    trunk = frame["params"].astype(str) + frame["pretrain_tokens"].astype(str)
    for columns in ({"run": runs}, {"trunk": trunk}, {"run": runs, "trunk": "one"}, {"run": ""}):
        assert len(read_table(frame.assign(**columns)).fit) == len(frame)
    branches = frame[frame["specialize_tokens"] > 0].assign(trunk="one")
    assert len(read_table(branches).fit) == len(branches)


def test_rows_that_contradict_each_other_are_named(frame):
    seeded = frame.assign(seed=0, note="x")
    twice = pd.concat([seeded, seeded.head(1).assign(loss=9.0)], ignore_index=True)
    last = rf"row {len(twice)} \(index {len(frame)}\)"
    with pytest.raises(UserError, match=rf"row 1 \(index 0\) and {last}: are equal in everything"):
        read_table(twice)
    noted = read_table(twice.assign(note=range(len(twice)))).notes
    assert any("2 rows have the model, domain and seed of another row" in n for n in noted)
    other_seed = pd.concat([seeded, seeded.head(1).assign(loss=9.0, seed=1)], ignore_index=True)
    assert len(read_table(other_seed).fit) == len(other_seed)


def test_points_are_read_as_strictly(tmp_path):
    path = tmp_path / "points.csv"
    header = "params,pretrain_tokens,specialize_tokens,domain,note"
    path.write_text(f'{header}\n"25,328",1M,0,NA,007\n')
    points = read_points(path)
    assert points.loc[0].tolist() == [25328.0, 1e6, 0, "NA", "007"]
    path.write_text(f"{header}\n25,328,1,0,code,x\n")
    with pytest.raises(UserError, match="line 2: 6 cells, but the header has 5"):
        read_points(path)
    path.write_text(f"{header}\n25328,-1,0,code,x\n")
    with pytest.raises(UserError, match=r"pretrain_tokens is '-1'; give 0 or more$"):
        read_points(path)


@pytest.mark.parametrize("column", ["loss", "loss_low", "loss_high", "mean_low", "mean_high"])
def test_points_with_a_column_of_a_prediction_are_refused(column):
    with pytest.raises(UserError, match=f"column {column}, which predictions are written to"):
        read_points(cells(("a",)).assign(**{column: 1.0}))


def test_the_command_drops_and_accepts_on_request(frame, tmp_path, capsys):
    path = tmp_path / "t.csv"
    frame.assign(run="x").replace({"loss": {frame["loss"][0]: np.nan}}).to_csv(path, index=False)
    fast = ["--losses", str(path), "--out", str(tmp_path / "f.json"), "--law", "two_skills"]
    assert main(["fit_law", *fast, "--draws", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["fit_law", *fast, "--draws", "0", "--drop-invalid"]) == 2
    assert "--trajectories" in capsys.readouterr().err
    assert main(["fit_law", *fast, "--draws", "0", "--drop-invalid", "--trajectories"]) == 0


@pytest.mark.parametrize("examples", [1e5, 1e7])
def test_examples_of_many_tokens_are_not_whole_runs(frame, examples):
    counts = {c: frame[c] * examples / 1e9 for c in ("pretrain_tokens", "specialize_tokens")}
    long = frame.assign(**counts, flops_per_token=6 * frame["params"] * 32768)
    assert read_table(long).fit.flops_per_token[1e7] == 6e7 * 32768
