"""Tables that users of pandas have reported; each was tried before it became a test."""

import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.laws.read import read_table

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
