"""Tables come back as they were written, and damaged ones are never read wrongly in silence."""

import csv
import io
from collections import Counter

import datasets
import numpy as np
import pandas as pd
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from laws.damaged_tables import COLUMNS, campaign, is_named, is_unseen, outcome
from splitlaw.common.errors import UserError
from splitlaw.laws.read import read_points, read_table

TEXT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=8
).filter(lambda name: name == name.strip())
NOTES = st.text(st.sampled_from("ab 1,;\t\"'\n\\é"), max_size=10).map(lambda note: f"n{note}n")
COUNTS = st.integers(1000, 10**12) | st.floats(1000, 1e12)
QUICK = settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
"""Within a second or two; no files beside the tests."""


@st.composite
def tables(draw):
    """Tables of one domain or two, with a column of any text."""
    rows = draw(st.integers(1, 6))
    names = draw(st.lists(TEXT, min_size=1, max_size=2, unique_by=str.casefold))
    assume(all(name.casefold() != "general" for name in names))

    def column(values):
        return draw(st.lists(values, min_size=rows, max_size=rows))

    return pd.DataFrame(
        {
            "params": column(st.floats(1e6, 1e9) | st.integers(10**6, 10**9)),
            "pretrain_tokens": column(COUNTS),
            "note": column(NOTES),
            "specialize_tokens": column(COUNTS | st.just(0)),
            "domain": column(st.sampled_from(names)),
            "loss": column(st.floats(0.1, 20)),
        }
    )


@given(
    frame=tables(),
    separator=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    index=st.booleans(),
)
@QUICK
def test_what_pandas_writes_comes_back(
    tmp_path_factory, frame, separator, quoting, line_end, index
):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    text = frame.to_csv(None, sep=separator, quoting=quoting, lineterminator=line_end, index=index)
    path.write_bytes(text.encode())
    try:
        fit = read_table(path).fit
    except UserError as error:
        # Names of other spellings, and units that cannot be: refused, not read wrongly.
        assume(not any(word in str(error) for word in ("differ only", "units")))
        raise
    number = frame.assign(number=frame["domain"].map(fit.domains.index))
    expected = number.sort_values("number", kind="stable")
    for column, values in (("params", fit.params), ("loss", fit.loss)):
        np.testing.assert_array_equal(values, expected[column].to_numpy(float))
    np.testing.assert_array_equal(fit.pretrain, expected["pretrain_tokens"].to_numpy(float))
    path.write_bytes(
        frame.drop(columns="loss").to_csv(None, sep=separator, quoting=quoting).encode()
    )
    points = read_points(path)
    assert points["note"].tolist() == frame["note"].tolist()
    assert points["domain"].tolist() == frame["domain"].tolist()


def written_by_pyarrow(frame, path):
    pyarrow.csv.write_csv(pyarrow.Table.from_pandas(frame, preserve_index=False), path)


def written_by_datasets(frame, path):
    datasets.Dataset.from_pandas(frame, preserve_index=False).to_csv(path)


@pytest.mark.parametrize("write", [written_by_pyarrow, written_by_datasets])
def test_what_other_libraries_write_comes_back(tmp_path_factory, write):
    datasets.disable_progress_bars()
    path = tmp_path_factory.mktemp("written") / "table.csv"

    @given(frame=tables())
    @settings(QUICK, max_examples=30)
    def comes_back(frame):
        # A column of one type, as both libraries require.
        columns = ["params", "pretrain_tokens", "specialize_tokens"]
        frame = frame.drop(columns="loss").astype(dict.fromkeys(columns, float))
        write(frame, path)
        points = read_points(path)
        assert points["note"].tolist() == frame["note"].tolist()
        assert points["domain"].tolist() == frame["domain"].tolist()
        for column in columns:
            np.testing.assert_array_equal(points[column], frame[column])

    comes_back()


def test_damaged_tables_are_refused_or_read_rightly():
    rows = campaign(500)
    faults = rows[rows["outcome"].str.startswith("fault")]
    assert faults.empty, faults.iloc[0].to_dict()
    assert (rows["outcome"] == "refused").sum() > 250
    assert (rows["outcome"] == "right").any()
    assert (rows["outcome"] == "edited").any()
    assert (rows["outcome"] == "unseen").sum() < 25


def test_a_table_that_is_read_otherwise_than_it_was_written_is_found(tmp_path):
    header = "params,pretrain_tokens,specialize_tokens,domain,loss"
    first, second = "25328,1024000,2048000,law,4.5", "25328,1024000,4096000,tax,5.25"
    text = f"{header}\n{first}\n{second}\n"
    frame, at = pd.read_csv(io.StringIO(text)), text.index("tax") + 1
    path = tmp_path / "t.csv"

    def judged(content, edits=()):
        path.write_text(content)
        return outcome(path, text, frame, list(edits), csv.QUOTE_MINIMAL).partition(":")[0]

    assert judged(text) == "right"
    assert judged(f"{header}\n{first}\n") == "unseen"
    assert judged(text.replace("tax", "t;x"), [(at, at + 1, ";")]) == "edited"
    assert judged(text[:-2]) == "named"
    rows = list(frame[COLUMNS].itertuples(index=False, name=None))
    note = [f"{path}: the last line has no line end; check that the file is complete."]
    for column, value in [("domain", "oak"), ("loss", 4.0), ("params", 1.0)]:
        first, last = frame.assign(**{column: value})[COLUMNS].itertuples(index=False, name=None)
        for wrong in ([first, rows[1]], [rows[0], last], [last], []):
            found = Counter(wrong)
            allowed = wrong == [] or (wrong == [rows[0], last] and column == "loss")
            assert is_named(found, rows, note, path, "loss") == allowed
            assert not is_named(found, rows, note, path)
            assert not is_unseen(text.encode(), found, csv.QUOTE_MINIMAL, list(frame.columns))
