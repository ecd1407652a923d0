"""CSV files: what `csv`, `pandas` and `pyarrow` write is read unchanged, the rest is refused."""

import csv
import io
import json
import random
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.availability import matching_paths
from splitlaw.corpus.sources.files import read_files
from splitlaw.corpus.sources.input_errors import InputErrors

TEXTS = [
    "plain words",
    "commas, of course",
    'quotes " and ""double"" ones"',
    "two\nlines, or\r\nthree",
    "  spaces around  ",
    '"all quoted"',
    "a backslash \\ at the end\\",
    '6"',
    "dürüst 深層 🧪",
]
CLAUSE = "The clause says that the party pays within {} days, unless it was agreed otherwise."


def texts_of(path: Path, on_bad_input: str = "stop") -> list[str]:
    return [text for _, text in read_files(str(path), "text", InputErrors(on_bad_input))]


def written(writer: str) -> bytes:
    table = {"id": list(range(len(TEXTS))), "text": TEXTS, "note": ["x, y"] * len(TEXTS)}
    if writer == "pandas":
        return pd.DataFrame(table).to_csv(index=True).encode()
    if writer == "pyarrow":
        sink = io.BytesIO()
        pyarrow.csv.write_csv(pa.table(table), sink)
        return sink.getvalue()
    stream = io.StringIO()
    rows = csv.writer(stream, quoting=csv.QUOTE_ALL if writer == "all" else csv.QUOTE_MINIMAL)
    rows.writerows([list(table), *zip(*table.values(), strict=True)])
    return stream.getvalue().encode("utf-8-sig" if writer == "bom" else "utf-8")


@pytest.mark.parametrize("writer", ["pandas", "pyarrow", "all", "minimal", "bom"])
def test_written_texts_are_read_unchanged(tmp_path: Path, writer: str) -> None:
    (tmp_path / "a.csv").write_bytes(written(writer))
    assert texts_of(tmp_path / "a.csv") == TEXTS


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_newlines_of_every_system_and_blank_lines(tmp_path: Path, newline: str) -> None:
    lines = ["", "id,text", "1,one", "", '2,"two, or three"', "", ""]
    (tmp_path / "a.csv").write_bytes(newline.join(lines).encode())
    assert texts_of(tmp_path / "a.csv") == ["one", "two, or three"]


def test_quotes_within_an_unquoted_cell_are_read_as_pandas_does(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,a 6" nail\n2,he said "yes"\n')
    assert texts_of(tmp_path / "a.csv") == list(pd.read_csv(tmp_path / "a.csv")["text"])


def check_refused(path: Path, line: int, reason: str, left: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        texts_of(path)
    assert str(raised.value).startswith(f"{path}:{line}: {reason}")
    assert texts_of(path, "skip") == left


def test_row_with_an_unquoted_comma_is_refused(tmp_path: Path) -> None:
    # https://github.com/OpenMined/PySyft/issues/9479
    path = tmp_path / "a.csv"
    path.write_text(f"id,text\n0,fine\n1,{CLAUSE}\n2,also fine\n")
    check_refused(path, 3, "more cells than the header (3 instead of 2)", ["fine", "also fine"])
    path.write_text(f"text\n{CLAUSE}\n")
    check_refused(path, 2, "more cells than the header (2 instead of 1)", [])


def test_row_with_an_unquoted_newline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,id\nfirst half of a text\nand its second,1\n")
    with pytest.raises(UserError, match=r"a\.csv:2: fewer cells than the header"):
        texts_of(path)


@pytest.mark.parametrize(
    "cell",
    [
        '"He wrote \\"pay\\" and left"',
        '"\\"pay\\" he wrote"',
        '"he wrote \\"pay\\""',
        '"he wrote \\", then left"',
    ],
)
def test_quotes_escaped_by_a_backslash_are_refused(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id,text\n0,"fine"\n1,{cell}\n2,"after"\n')
    with pytest.raises(UserError) as raised:
        texts_of(path)
    assert str(raised.value).startswith(f"{path}:3: ")
    path.write_text(f'text,id\n"fine",0\n{cell}\n')  # also where the other cells are missing
    with pytest.raises(UserError) as raised:
        texts_of(path)
    assert str(raised.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize("after", ['"{}"', "no quotes"])
def test_open_quote_is_refused_where_it_opens(tmp_path: Path, after: str) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{n},{after.format(CLAUSE)}\n" for n in range(5, 9)]
    path.write_text(f'id,text\n3,"two\nlines"\n4,"{CLAUSE}\n' + "".join(rows))
    check_refused(path, 4, "open quote", ["two\nlines"])


def test_end_of_a_quoted_cell_that_was_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,a ""word"" in quotes\n')
    check_refused(path, 2, "a cell has some quotes of a quoted one", [])
    path.write_text('id,text\n1,no quote opens this"\n')
    check_refused(path, 2, "a cell has some quotes of a quoted one", [])


def test_a_row_of_empty_cells_is_not_an_empty_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,note\n1,one,x\n,\n3,three,x\n")
    check_refused(path, 3, "fewer cells than the header (2 instead of 3)", ["one", "three"])


def test_texts_of_two_lines_beside_columns_with_missing_numbers_are_read_fast(
    tmp_path: Path,
) -> None:
    rng, path = random.Random(0), tmp_path / "a.csv"
    numbers = [[rng.choice(["", str(n)]) for n in range(29)] for _ in range(1000)]
    table = [["text", *map(str, range(29))], *(["a, b\n1, c", *cells] for cells in numbers)]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(table)
    begin = time.process_time()
    assert texts_of(path) == ["a, b\n1, c"] * 1000
    # It takes 0.01 s; with a search for each combination of missing numbers, it took 30 s.
    assert time.process_time() - begin < 1


def test_two_columns_of_the_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    with pytest.raises(UserError, match=r"a\.csv:1: two columns are called 'text'"):
        texts_of(tmp_path / "a.csv")


def test_deleting_any_character_never_joins_or_cuts_texts_silently(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    stream = io.StringIO()
    texts = ["one, two", 'the "third" and\nfourth', "five"]
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["id", "text"], *enumerate(texts)])
    whole = stream.getvalue()
    for place in range(whole.index("\n") + 1, len(whole)):
        path.write_text(whole[:place] + whole[place + 1 :], newline="")
        try:
            read = texts_of(path)
        except UserError:
            continue
        # Without a message, at most the deleted character itself is missing.
        assert len(read) == 3, json.dumps(whole[place])
        assert sum(map(len, texts)) - sum(map(len, read)) <= 1


@pytest.mark.parametrize("suffix", [".tsv", ".TSV", ".tsv.gz"])
def test_cells_separated_by_tabs_are_read_as_strictly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    table = pd.DataFrame({"id": range(len(TEXTS) + 1), "text": [*TEXTS, "a\ttab"]})
    table.to_csv(path, sep="\t", index=False, compression="gzip" if ".gz" in suffix else None)
    assert texts_of(path) == table["text"].tolist()
    assert matching_paths(str(tmp_path / f"*{suffix.lower()}")) == [path]
    (tmp_path / "b.tsv").write_text("id\ttext\n0\tfine\n1\ta\ttab\n2\tcommas, too\n")
    reason = "more cells than the header (3 instead of 2); put quotes around text that contains a t"
    check_refused(tmp_path / "b.tsv", 3, reason, ["fine", "commas, too"])
