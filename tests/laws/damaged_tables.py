"""Damage tables of losses, and count those that are read wrongly without a message.

python tests/laws/damaged_tables.py --count 2000 --out results/campaign/damaged_tables.csv

A damage is structural: separators, quotes, newlines, missing cells, truncation, encodings, a header
within the table. Every damage has one outcome:

right    every row has the numbers and the domain that were written, and none is missing
edited   the damage is within names of domains, which are exactly the edited ones
refused  one line names the file and the problem
named    a note names the end of the file or the row, and no other row is wrong
unseen   the same writer would have written exactly these bytes for the rows that are read, so that
         no reader can find the damage: rows that were cut off, for instance
fault    everything else
"""

import argparse
import csv
import io
import random
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError, one_line
from splitlaw.laws.read import read_table

COLUMNS = ["params", "pretrain_tokens", "specialize_tokens", "domain", "loss"]
"""The columns that are compared; `note` is not read."""
DOMAINS = ["law", "médecine", "a, b"]


def written(rng, quoting):
    """A table as text, and its rows."""
    rows = [
        {
            "params": rng.choice([25328, 50656, 99321]),
            "pretrain_tokens": 1024 * rng.randrange(1000, 9000),
            "specialize_tokens": 1024 * rng.randrange(1000, 9000),
            "domain": rng.choice(DOMAINS),
            "note": rng.choice(["x", "a, b", "", "two\nlines"]),
            "loss": round(rng.uniform(2, 6), 6),
        }
        for _ in range(rng.randrange(3, 9))
    ]
    frame = pd.DataFrame(rows)[rng.sample(list(rows[0]), 6)]
    return frame.to_csv(index=False, quoting=quoting), frame


def damaged(rng, text):
    """The bytes of the text with one structural damage, its edits, and its name.

    The edits are (start, end, characters put there); None for a change of the whole file.
    """
    kind = rng.choice(list(DAMAGES))
    at = rng.randrange(1, len(text))
    mark = rng.choice([k for k, c in enumerate(text) if c in ',"\n'])
    edits = DAMAGES[kind](rng, text, at, mark)
    if isinstance(edits, bytes):
        return edits, None, kind
    broken = text
    for start, end, put in sorted(edits, reverse=True):
        broken = broken[:start] + put + broken[end:]
    return broken.encode(), edits, kind


def without_a_cell(rng, text, at, mark):
    lines = text.split("\n")
    row = rng.randrange(len(lines) - 1)
    cells = lines[row].split(",")
    cell = rng.randrange(len(cells))
    start = len("\n".join(lines[:row])) + bool(row) + len(",".join(cells[:cell])) + bool(cell)
    length = len(cells[cell])
    # One of the two separators goes with the cell.
    before = bool(cell) and cell == len(cells) - 1
    return [(start - before, start + length + (not before and len(cells) > 1), "")]


def without_a_row(rng, text, at, mark):
    """A row in one line, but not the last one, is lost apart from the end of its line."""
    lines = text.split("\n")
    whole = [row for row in range(1, len(lines) - 2) if lines[row].count(",") >= 5]
    if not whole:
        return []
    row = rng.choice(whole)
    start = len("\n".join(lines[:row])) + 1
    return [(start, start + len(lines[row]), "")]


def with_another_header(rng, text, at, mark):
    lines = text.split("\n")
    place = len("\n".join(lines[: rng.randrange(1, len(lines))])) + 1
    return [(place, place, f"{lines[0]}\n")]


def without_two_quotes(rng, text, at, mark):
    quotes = [k for k, c in enumerate(text) if c == '"']
    return [(k, k + 1, "") for k in rng.sample(quotes, min(2, len(quotes)))]


def with_other_separators(rng, text, at, mark):
    put = rng.choice(";\t")
    commas = [k for k, c in enumerate(text) if c == ","]
    return [(k, k + 1, put) for k in commas[: at % 9 + 1]]


def with_a_bad_byte(rng, text, at, mark):
    return text[:at].encode() + rng.choice([b"\0", b"\xff", b"\xc3", b"\xe9"]) + text[at:].encode()


ENCODINGS = ["cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"]
OTHER = {",": '"', '"': ",", "\n": ","}
DAMAGES = {
    "dropped": lambda rng, text, at, mark: [(mark, mark + 1, "")],
    "added": lambda rng, text, at, mark: [(at, at, rng.choice(',"\n;\t\r'))],
    "truncated": lambda rng, text, at, mark: [(at, len(text), "")],
    "cell": without_a_cell,
    "row": without_a_row,
    "header": with_another_header,
    "joined": lambda rng, text, at, mark: [(text.index("\n"), text.index("\n") + 1, "")],
    "split": lambda rng, text, at, mark: [(mark, mark, "\n")],
    "quotes": without_two_quotes,
    "swapped": lambda rng, text, at, mark: [(mark, mark + 1, OTHER[text[mark]])],
    "encoding": lambda rng, text, at, mark: text.encode(rng.choice(ENCODINGS)),
    "byte": with_a_bad_byte,
    "separator": with_other_separators,
}
"""By name, the edits that a damage makes; `at` is any place, `mark` that of a mark of CSV."""


def edited(text, frame, edits):
    """The rows if each edit within the name of a domain changes this name only."""
    rows, at = [], text.index("\n")
    for row in frame.to_dict("records"):
        for column, value in row.items():
            content = str(value).replace('"', '""')
            at = text.index(content, at)
            start, at = at, at + len(content)
            if column == "domain":
                row[column] = _edited_name(text, start, at, edits or []) or value
        rows.append(tuple(row[column] for column in COLUMNS))
    return rows


def _edited_name(text, start, end, edits):
    inside = [edit for edit in edits if start <= edit[0] and edit[1] <= end]
    name = text[start:end]
    for first, last, put in sorted(inside, reverse=True):
        name = name[: first - start] + put + name[last - start :]
    quoted = text[start - 1] == '"'
    broken = '"' in name if quoted else any(mark in name for mark in ',"\r\n')
    return None if broken else name.strip()


def found_rows(reading):
    """The rows that were read, as tuples of `COLUMNS`."""
    fit = reading.fit
    names = np.array(fit.domains)[fit.domain].tolist()
    numbers = (column.tolist() for column in (fit.params, fit.pretrain, fit.specialize))
    return list(zip(*numbers, names, fit.loss.tolist(), strict=True))


def outcome(path, text, frame, edits, quoting):
    """The outcome of a damage, with what is wrong after `fault: `."""
    try:
        reading = read_table(path)
    except UserError as error:
        line = str(one_line(error))
        known = line.startswith((f"{path}: ", f"{path}, "))
        return "refused" if known else f"fault: {error}"
    found = Counter(found_rows(reading))
    rows = [tuple(row) for row in frame[COLUMNS].itertuples(index=False)]
    if found == Counter(rows):
        return "right"
    if found == Counter(edited(text, frame, edits)):
        return "edited"
    was_cut = text.encode().startswith(path.read_bytes())
    if is_named(found, rows, reading.notes, path, frame.columns[-1] if was_cut else None):
        return "named"
    if is_unseen(path.read_bytes(), found, quoting, list(frame.columns)):
        return "unseen"
    return f"fault: {len(reading.fit)} of {len(rows)} rows, wrong {found - Counter(rows)}"


def is_named(found, rows, notes, path, last=None):
    """Whether notes name every row that is wrong.

    A note on the end of the file allows rows to be missing there and the column `last` of the one
    before them to be cut; one on an empty line allows rows to be missing, one on a quotation mark
    allows its row to be another.
    """
    marks = [re.search(r"row (\d+) \(line", note) for note in notes if str(path) in note]
    named = {int(mark[1]) - 1 for mark in marks if mark}
    others = found - Counter(rows)
    if last and any("no line end" in note for note in notes):
        whole = rows[: found.total() - others.total()]
        cut = rows[len(whole) :][: others.total()]
        same = [k for k, column in enumerate(COLUMNS) if column != last]
        alike = [[row[k] for k in same] for row in cut] == [
            [row[k] for k in same] for row in others
        ]
        return others.total() <= 1 and found - others == Counter(whole) and alike
    if any("an empty line before a row" in note for note in notes):
        return not others
    kept = Counter(row for number, row in enumerate(rows) if number not in named)
    return bool(named) and others.total() <= len(named) and not kept - found


def is_unseen(data, found, quoting, columns):
    """Whether the writer would have written these bytes for the rows that were found."""
    text = data.decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if header != columns or {len(row) for row in rows} - {len(header)}:
        return False
    frame = pd.DataFrame(rows, columns=header)
    typed = frame.astype({column: float for column in COLUMNS if column != "domain"})
    again = pd.read_csv(io.StringIO(text), keep_default_na=False)
    same = again.to_csv(index=False, quoting=quoting) == text
    return same and Counter(map(tuple, typed[COLUMNS].itertuples(index=False))) == found


def campaign(count, seed=0):
    """Try `count` damages: columns `damage, outcome, example`."""
    rng, found = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        for _ in range(count):
            quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
            text, frame = written(rng, quoting)
            broken, edits, kind = damaged(rng, text)
            path.write_bytes(broken)
            found.append((kind, outcome(path, text, frame, edits, quoting), broken))
    return pd.DataFrame(found, columns=["damage", "outcome", "example"])


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    rows = campaign(arguments.count, arguments.seed)
    counts = rows.assign(outcome=rows["outcome"].str.partition(":")[0])
    counts = counts.groupby(["damage", "outcome"]).size().rename("damages").reset_index()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    counts.to_csv(arguments.out, index=False)
    print(counts.groupby("outcome")["damages"].sum().to_string())
    faults = rows[rows["outcome"].str.startswith("fault")]
    if len(faults):
        print(faults.to_string())
    raise SystemExit(len(faults) > 0)


if __name__ == "__main__":
    main()
