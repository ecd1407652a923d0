"""Tables that users of pandas have reported; each was tried before it became a test."""

import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.laws.read import read_table
from splitlaw.laws.warn import range_warnings

HEADER = "params,pretrain_tokens,specialize_tokens,domain,loss"
ROWS = [
    f"{params},{pretrain},{specialize},law,{3 + params / 1e4 + pretrain / 1e7}"
    for params in (1000, 2000)
    for pretrain in (100_000, 1_000_000)
    for specialize in (10_000, 100_000)
]


def read(tmp_path, text, name="t.csv", encoding="utf-8"):
    (tmp_path / name).write_text(text, encoding=encoding)
    return read_table(tmp_path / name)


def params_of(reading):
    return np.asarray(reading.fit.params)


def test_a_separator_at_the_end_of_rows_does_not_shift_columns(tmp_path):
    """Pandas issue 14124 and invest issue 146: the first column became the index."""
    for rows in ([f"{row}," for row in ROWS], [f"{ROWS[0]},", *ROWS[1:]]):
        with pytest.raises(UserError, match="line 2: 6 cells, but the header has 5"):
            read(tmp_path, "\n".join([HEADER, *rows]))
    both = read(tmp_path, "\n".join([f"{HEADER},", *(f"{row}," for row in ROWS)]))
    assert params_of(both).tolist() == [1000] * 4 + [2000] * 4


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_quoted_header_after_a_byte_order_mark_is_read(tmp_path, separator):
    """Pandas issues 4793, 15280 and 26545."""
    quoted = ",".join(f'"{name}"' for name in HEADER.split(","))
    text = "\n".join([quoted, *ROWS]).replace(",", separator)
    name = "t.csv" if separator == "," else "t.tsv"
    assert len(params_of(read(tmp_path, text, name, "utf-8-sig"))) == 8


def test_a_number_is_not_cut_at_a_nul_byte(tmp_path):
    """Pandas issues 2741 and 66524: `1\\0xyz` was read as 1."""
    text = "\n".join([HEADER, ROWS[0].replace("1000", "1000\0xyz", 1), *ROWS[1:]])
    with pytest.raises(UserError, match="is not a text file"):
        read(tmp_path, text)


def test_a_decimal_comma_is_never_a_thousands_separator(tmp_path):
    """Pandas issues 55105 and 59299: tables that were saved with semicolons and decimal commas."""
    rows = [row.replace(",", ";").replace(".", ",") for row in ROWS]
    with pytest.raises(
        UserError, match="loss is '3,11'; give a finite number with a decimal point"
    ):
        read(tmp_path, "\n".join([HEADER.replace(",", ";"), *rows]))
    rows = [f"1,000;{row.partition(';')[2].replace(',', '.')}" for row in rows]
    with pytest.raises(UserError, match="params is '1,000'; give a finite number with a decima"):
        read(tmp_path, "\n".join([HEADER.replace(",", ";"), *rows]))


@pytest.mark.parametrize("sign", ["\x1c", "\x1e", "\x85", "\u2028"])
def test_control_characters_do_not_end_a_row(tmp_path, sign):
    """Pandas issue 26271."""
    text = "\n".join([HEADER, *(row.replace("law", f"l{sign}aw") for row in ROWS)])
    assert len(params_of(read(tmp_path, text))) == 8


@pytest.mark.parametrize("column", ["unique_specialize_tokens", "replay", "split", "seed"])
def test_a_cell_that_is_lost_in_an_optional_column_is_named(tmp_path, column):
    """Our own case: an empty cell means that all text differs, no replay, or rows to fit."""
    value = {"unique_specialize_tokens": "5000", "split": "fit"}.get(column, "0")
    rows = [f"{row},{value if number != 3 else ''}" for number, row in enumerate(ROWS)]
    reading = read(tmp_path, "\n".join([f"{HEADER},{column}", *rows, ""]))
    note = f"row 4 (line 5): {column} is empty, in 1 of 8 rows; check that no cell is lost."
    assert f"{tmp_path}/t.csv, {note}" in reading.notes
    empty = read(tmp_path, "\n".join([f"{HEADER},{column}", *(f"{row}," for row in ROWS), ""]))
    assert not any("is empty" in line for line in empty.notes)


@pytest.mark.parametrize(
    "cell",
    ["1_000", "0x3e8", "\uff11\uff10\uff10\uff10", "1e3.5", "1 000", "+-1", "1.000,5", "\u0661"],
)
def test_numbers_that_python_or_excel_alone_reads_are_refused(tmp_path, cell):
    """Pandas issues 10380 and 66524: such cells became other numbers, or text."""
    text = "\n".join([HEADER, f'"{cell}",{ROWS[0].partition(",")[2]}', *ROWS[1:]])
    with pytest.raises(UserError, match=r"t\.csv, row 1 \(line 2\): params is .*; give a finite"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1.2B", 1.2e9), ("300k", 3e5), ("1e6", 1e6), (" 1000 ", 1e3), ("1000\u00a0", 1e3)],
)
def test_numbers_with_suffixes_exponents_and_spaces_around_are_read(tmp_path, cell, value):
    """nanochat issue 580."""
    rows = [f"{cell},{row.partition(',')[2]}" for row in ROWS[:4]]
    assert params_of(read(tmp_path, "\n".join([HEADER, *rows]))).tolist() == [value] * 4


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("split", ["holdout", "", "", "", "holdout", "", "", ""]),
        ("unique_specialize_tokens", ["", "50000"] * 4),
        ("train_domain", ["law", ""] * 4),
    ],
)
def test_cells_that_are_empty_by_default_have_no_note(tmp_path, column, cells):
    rows = [f"{row},{cell}" for row, cell in zip(ROWS, cells, strict=True)]
    if column == "train_domain":
        rows = [row.replace(",100000,law,", ",0,law,") for row in rows]
    reading = read(tmp_path, "\n".join([f"{HEADER},{column}", *rows, ""]))
    assert not any("is empty" in note for note in reading.notes)


def test_a_missing_or_spaced_train_domain_of_a_point_is_no_other_one():
    names = ["law ", None, np.nan, "nan", "", "tax"]
    points = {"train_domain": names, "domain": ["law"] * 6, "loss": [3.0] * 6}
    columns = ("params", "pretrain_tokens", "specialize_tokens")
    points |= {column: [1e6] * 6 for column in columns}
    (note,) = range_warnings(points, dict.fromkeys(columns, (1e6, 1e6)))
    assert note.startswith("1 of 6 points has another train_domain")
