"""Tables come back as they were written, and damaged ones are never read wrongly in silence."""

import csv
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from splitlaw.common.errors import UserError
from splitlaw.laws.read import read_points, read_table

NUMBERS = ["params", "pretrain_tokens", "specialize_tokens", "loss"]
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


def written(rng, quoting):
    """A table as text, and its rows of numbers with their domains."""
    rows = [
        {
            "params": rng.choice([25328, 50656, 99321]),
            "pretrain_tokens": 1024 * rng.randrange(1000, 9000),
            "specialize_tokens": 1024 * rng.randrange(1000, 9000),
            "domain": rng.choice(["law", "code", "a, b"]),
            "note": rng.choice(["x", "a, b", "", "two\nlines"]),
            "loss": round(rng.uniform(2, 6), 6),
        }
        for _ in range(rng.randrange(3, 9))
    ]
    frame = pd.DataFrame(rows)
    return frame.to_csv(index=False, quoting=quoting), frame


def damaged(rng, text):
    """The text with one structural damage, and its name."""
    kind = rng.choice(list(DAMAGES))
    at = rng.randrange(1, len(text))
    mark = rng.choice([k for k, c in enumerate(text) if c in ',"\n'])
    return DAMAGES[kind](rng, text, at, mark), kind


def without_a_cell(rng, text, at, mark):
    lines = text.split("\n")
    row = rng.randrange(len(lines) - 1)
    cells = lines[row].split(",")
    del cells[rng.randrange(len(cells))]
    lines[row] = ",".join(cells)
    return "\n".join(lines)


def with_another_header(rng, text, at, mark):
    lines = text.split("\n")
    lines.insert(rng.randrange(1, len(lines)), lines[0])
    return "\n".join(lines)


def without_two_quotes(rng, text, at, mark):
    quotes = [k for k, c in enumerate(text) if c == '"']
    gone = set(rng.sample(quotes, min(2, len(quotes))))
    return "".join(c for k, c in enumerate(text) if k not in gone)


def with_another_mark(rng, text, at, mark):
    other = {",": '"', '"': ",", "\n": ","}[text[mark]]
    return text[:mark] + other + text[mark + 1 :]


DAMAGES = {
    "dropped": lambda rng, text, at, mark: text[:mark] + text[mark + 1 :],
    "added": lambda rng, text, at, mark: text[:at] + rng.choice(',"\n;\t\r') + text[at:],
    "truncated": lambda rng, text, at, mark: text[:at],
    "cell": without_a_cell,
    "header": with_another_header,
    "joined": lambda rng, text, at, mark: text.replace("\n", "", 1),
    "split": lambda rng, text, at, mark: text[:mark] + "\n" + text[mark:],
    "quotes": without_two_quotes,
    "swapped": with_another_mark,
    "separator": lambda rng, text, at, mark: text.replace(",", rng.choice(";\t"), at % 9 + 1),
}
"""By name, what each damage makes of a text; `at` is any place, `mark` that of a mark of CSV."""


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_damaged_tables_are_refused_or_read_rightly(quoting, tmp_path):
    rng = random.Random(0)
    path = tmp_path / "t.csv"
    refused = 0
    for _ in range(500):
        text, frame = written(rng, quoting)
        broken, kind = damaged(rng, text)
        path.write_bytes(broken.encode())
        try:
            reading = read_table(path)
        except UserError as error:
            refused += 1
            assert str(path) in str(error)
            continue
        fit = reading.fit
        known = set(map(tuple, frame[NUMBERS].to_numpy(float)))
        rows = map(tuple, np.column_stack([fit.params, fit.pretrain, fit.specialize, fit.loss]))
        shifted = [row for row in rows if row not in known]
        # A file that is cut within its last line has a note.
        cut = any("no line end" in note for note in reading.notes)
        message = f"{kind}: {broken}"
        assert len(shifted) <= cut, message
        assert len(fit) == len(frame) or kind == "truncated" or cut, message
    assert refused > 250
