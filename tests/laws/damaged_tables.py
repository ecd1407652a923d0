"""Damage tables of losses, and count those that are read wrongly without a message.

python tests/laws/damaged_tables.py --count 2000 --out results/campaign/damaged_tables.csv

A damage is structural: separators, quotes, newlines, missing cells, truncation, encodings, a header
within the table. A reading is right if every row has the numbers of one that was written and none
is missing, apart from rows that a cut has removed.
"""

import argparse
import csv
import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError, one_line
from splitlaw.laws.read import read_table

NUMBERS = ["params", "pretrain_tokens", "specialize_tokens", "loss"]


def written(rng, quoting):
    """A table as text, and its rows of numbers with their domains."""
    rows = [
        {
            "params": rng.choice([25328, 50656, 99321]),
            "pretrain_tokens": 1024 * rng.randrange(1000, 9000),
            "specialize_tokens": 1024 * rng.randrange(1000, 9000),
            "domain": rng.choice(["law", "médecine", "a, b"]),
            "note": rng.choice(["x", "a, b", "", "two\nlines"]),
            "loss": round(rng.uniform(2, 6), 6),
        }
        for _ in range(rng.randrange(3, 9))
    ]
    frame = pd.DataFrame(rows)
    return frame.to_csv(index=False, quoting=quoting), frame


def damaged(rng, text):
    """The bytes of the text with one structural damage, and its name."""
    kind = rng.choice(list(DAMAGES))
    at = rng.randrange(1, len(text))
    mark = rng.choice([k for k, c in enumerate(text) if c in ',"\n'])
    broken = DAMAGES[kind](rng, text, at, mark)
    return broken if isinstance(broken, bytes) else broken.encode(), kind


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


ENCODINGS = ["cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"]
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
    "encoding": lambda rng, text, at, mark: text.encode(rng.choice(ENCODINGS)),
    "byte": lambda rng, text, at, mark: (
        text[:at].encode() + rng.choice([b"\0", b"\xff", b"\xc3", b"\xe9"]) + text[at:].encode()
    ),
    "separator": lambda rng, text, at, mark: text.replace(",", rng.choice(";\t"), at % 9 + 1),
}
"""By name, what each damage makes of a text; `at` is any place, `mark` that of a mark of CSV."""


def outcome(path, frame, kind):
    """`right`, `refused`, `reported` (a cut row, with a note), or what is wrong."""
    try:
        reading = read_table(path)
    except UserError as error:
        return "refused" if str(path) in str(one_line(error)) else f"fault: {error}"
    fit = reading.fit
    known = set(map(tuple, frame[NUMBERS].to_numpy(float)))
    rows = map(tuple, np.column_stack([fit.params, fit.pretrain, fit.specialize, fit.loss]))
    others = sum(row not in known for row in rows)
    # A file that is cut within its last line has a note.
    cut = any("no line end" in note for note in reading.notes)
    if others <= cut and (len(fit) == len(frame) or kind == "truncated" or cut):
        return "reported" if cut else "right"
    return f"fault: {len(fit)} of {len(frame)} rows, {others} of them others"


def campaign(count, seed=0):
    """Try `count` damages: columns `damage, outcome, example`."""
    rng, found = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        for _ in range(count):
            text, frame = written(rng, rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
            broken, kind = damaged(rng, text)
            path.write_bytes(broken)
            found.append((kind, outcome(path, frame, kind), broken))
    return pd.DataFrame(found, columns=["damage", "outcome", "example"])


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    rows = campaign(arguments.count, arguments.seed)
    counts = rows.groupby(["damage", "outcome"]).size().rename("damages").reset_index()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    counts.to_csv(arguments.out, index=False)
    print(rows["outcome"].str.partition(":")[0].value_counts().to_string())
    faults = rows[rows["outcome"].str.startswith("fault")]
    print(faults.to_string())
    raise SystemExit(len(faults) > 0)


if __name__ == "__main__":
    main()
