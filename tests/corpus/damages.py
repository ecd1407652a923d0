"""Damage files of every corpus format, and count the texts that are read wrongly without a message.

python tests/corpus/damages.py --count 2000 --out results/campaign/damages.csv

A damage is structural: separators, quotes, newlines, missing cells and keys, truncation, encodings,
joined files; of binary formats also lost, moved and changed bytes. Every damage has one outcome:

right        the texts are exactly those that were written
edited       the damage is within the characters of some texts, which are exactly the edited ones
refused      one line names the file and the problem
named        a note names the row or the end of the file, and no other text is wrong;
             or a note counts all empty texts and names the first, and every wrong text is empty
unseen       the same writer would have written exactly these bytes for the texts that are read, so
             that no reader can find the damage: whole rows that were cut off, for instance
no checksum  texts are wrong in a format without checksums, of which a note on the file warns; no
             text is missing
fault        everything else
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from file_damages import FORMATS, Edit, Format, apply
from file_writers import Written

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT, InputErrors, Notes
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.source_settings import Source

CUT = "no line end after the last row"
BLANK = "empty lines before some rows"
NO_END = "no end mark after the last batch"
STRAY_QUOTE = "an unquoted cell contains a quote"
ROWS_WITHIN = "lines like rows"
NO_CHECKSUM = "no checksum"
OF_BYTES = ("part lost", "parts exchanged", "byte changed", "end changed")
"""Damages that may leave the structure of a binary file as it was."""


def edited(file: Written, edits: list[Edit]) -> list[str]:
    """The texts if each edit within the characters of a text changes these characters only."""
    texts, edits = [], [_within_a_text(file, edit) for edit in edits]
    for text, (start, end) in zip(file.texts, file.spans, strict=True):
        inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
        touching = [edit for edit in edits if edit.end >= start and edit.start <= end]
        moved = [Edit(start=e.start - start, end=e.end - start, put=e.put) for e in inside]
        quoted = file.data[start - 1 : start] == b'"'
        content = file.decode(apply(file.data[start:end], moved), quoted)
        texts.append(text if content is None or len(inside) < len(touching) else content)
    return texts


def _within_a_text(file: Written, edit: Edit) -> Edit:
    """The deletion that leaves the same bytes and is within the characters of a text, if any is.

    If the bytes before the beginning and the end are the same one, both may be one place earlier;
    if those after them are, one place later.
    """
    data, places = file.data, [(edit.start, edit.end)]
    if edit.put or edit.start == edit.end:
        return edit
    for step in (-1, 1):
        start, end = edit.start, edit.end
        before = min(step, 0)
        while start + before >= 0 and end + before < len(data):
            if data[start + before] != data[end + before]:
                break
            start, end = start + step, end + step
            places.append((start, end))
    for start, end in places:
        if any(first <= start and end <= last for first, last in file.spans):
            return Edit(start=start, end=end)
    return edit


@contextlib.contextmanager
def stored(data: bytes, suffix: str, folder: Path) -> Iterator[tuple[Source, Path]]:
    """The file as a source of the corpus."""
    if suffix:
        path = folder / f"file{suffix}"
        path.write_bytes(data)
        yield Source(files=str(path)), path
        return
    from datasets import Dataset

    saved = folder / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    Dataset.from_dict({"text": ["x"]}).save_to_disk(saved)
    (path,) = saved.glob("*.arrow")
    path.write_bytes(data)
    yield Source(dataset=str(saved)), path


def reading(source: Source) -> tuple[list[str] | None, list[str], Notes]:
    """The texts that are read, None where they are refused, the lines of the messages, and notes.

    The notes are those that the card has, and that are shown as warnings at the end.
    """
    messages, errors = io.StringIO(), InputErrors("stop")
    with contextlib.redirect_stderr(messages):
        try:
            found = list(read_source(source, errors))
        except UserError as error:
            return None, [*messages.getvalue().splitlines(), *str(error).splitlines()], {}
    return found, messages.getvalue().splitlines(), errors.notes


def outcome(
    form: Format,
    file: Written,
    edits: list[Edit],
    kind: str,
    found: list[str] | None,
    messages: list[str],
    notes: Notes,
    path: Path,
) -> str:
    """The outcome of a reading of a damaged file at `path`, with what is wrong after `fault: `."""
    data = apply(file.data, edits)
    if found is None:
        return refusal(messages, path)
    if found == file.texts:
        return "right"
    if file.spans and found == edited(file, edits):
        return "edited"
    if is_named(found, file.texts, messages, path) or are_counted(found, file.texts, notes, path):
        return "named"
    if file.rewrite(data) == (data, found):
        return "unseen"
    warned = any(f"{path}: {NO_CHECKSUM}" in line for line in messages)
    possible = not form.checksums and kind in OF_BYTES and len(found) == len(file.texts)
    if possible and warned:
        return "no checksum"
    wrong = sum(text not in file.texts for text in found)
    return f"fault: {len(found)} of {len(file.texts)} texts, {wrong} of them others; {messages}"


def refusal(messages: list[str], path: Path) -> str:
    """Whether one line names the file, or the data set, and then the problem."""
    names = (f"{path}: ", f"{path}:", f"dataset {path.parent}: ")
    if len(messages) == 1 and messages[0].startswith(names):
        return "refused"
    return f"fault: the message is {messages}"


def is_named(found: list[str], texts: list[str], messages: list[str], path: Path) -> bool:
    """Whether notes name every place in which texts are wrong.

    A note on the end of the file allows texts to be missing there, and the last one to be cut. A
    note on a row with lines like rows allows it to contain the beginnings of the missing texts, or
    one text to be missing.
    """
    notes = [line for line in messages if line.startswith(f"note: {path}")]
    if any(CUT in line for line in notes):
        *whole, last = found or [""]
        rest = texts[len(whole) :]
        return whole == texts[: len(whole)] and bool(rest) and rest[0].startswith(last)
    if any(BLANK in line for line in notes):
        rest = iter(texts)
        return all(text in rest for text in found)
    if any(NO_END in line for line in notes):
        return found == texts[: len(found)]
    stray = sum(re.search(rf":\d+: {STRAY_QUOTE}", line) is not None for line in notes)
    if len(found) == len(texts) and stray:
        return sum(a != b for a, b in zip(texts, found, strict=True)) <= stray
    rows = sum(re.search(rf":\d+: .*{ROWS_WITHIN}", line) is not None for line in notes)
    others = [text for text in found if text not in texts]
    missing = [text for text in texts if text not in found]
    if not others:  # the parts are in another cell of the row that is named
        return 0 < len(missing) <= rows
    return len(others) <= rows and all(t[:5] in "\0".join(others) for t in missing)


def are_counted(found: list[str], texts: list[str], notes: Notes, path: Path) -> bool:
    """Whether every wrong text is an empty one, and the note on these counts all of them."""
    empty = [row for row, text in enumerate(found) if not text.strip()]
    number, first = notes.get(EMPTY_TEXT, (0, ""))
    if len(found) != len(texts) or not empty or number != len(empty):
        return False
    wrong = [row for row, (a, b) in enumerate(zip(texts, found, strict=True)) if a != b]
    return set(wrong) <= set(empty) and first.startswith(f"{path}:")


def campaign(name: str, count: int, seed: int = 0) -> pd.DataFrame:
    """Try `count` damages of a format: columns `format, damage, outcome, example`."""
    rng = random.Random(f"{name} {seed}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            file, edits, kind = FORMATS[name].damaged(rng)
            form, data = FORMATS[name], apply(file.data, edits)
            with stored(data, form.suffix, Path(folder)) as (source, path):
                found = outcome(form, file, edits, kind, *reading(source), path)
            example = repr(data)[:2000] if found.startswith("fault") else ""
            rows.append((name, kind, found, example))
    return pd.DataFrame(rows, columns=["format", "damage", "outcome", "example"])


def summarise(rows: pd.DataFrame) -> str:
    """A line for each format: damages by outcome."""
    kinds = rows["outcome"].str.partition(":")[0]
    return pd.crosstab(rows["format"], kinds, margins=True, margins_name="all").to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="damages of each format")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    rows = pd.concat([campaign(n, arguments.count, arguments.seed) for n in arguments.formats])
    counts = rows.assign(outcome=rows["outcome"].str.partition(":")[0])
    counts = counts.groupby(["format", "damage", "outcome"]).size().rename("damages").reset_index()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    counts.to_csv(arguments.out, index=False)
    print(summarise(rows))
    faults = rows[rows["outcome"].str.startswith("fault")]
    for row in faults.groupby(["format", "damage"]).head(1).itertuples():
        print(f"{row.format}, {row.damage}: {row.outcome}: {row.example}")
    raise SystemExit(len(faults) > 0)


if __name__ == "__main__":
    main()
