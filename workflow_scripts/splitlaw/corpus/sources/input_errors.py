"""Documents and files that cannot be read: stop at the first one, or skip and count them."""

import sys
from collections import Counter

from splitlaw.common.errors import UserError

_MAX_PRINTED = 10
"""Skipped documents that are printed one by one: a damaged corpus may have millions of them."""


_ENCODING = ("invalid UTF-8", "NUL bytes")
"""Beginnings of reasons of files that may be in another encoding."""

EMPTY_TEXT = "an empty text, which may have been lost"
"""Remark on a row or file whose text is empty or white space: it was written so, or it was lost."""

Notes = dict[str, tuple[int, str]]
"""Remark to the number of files or rows that it concerns, and the first of them by name."""


def add_note(notes: Notes, remark: str, count: int, first: str) -> None:
    """Count a remark on files or rows, the first of which is `first`."""
    before, other = notes.get(remark, (0, first))
    notes[remark] = (before + count, min(first, other))


class InputErrors:
    """Handles the unreadable input of one domain as `corpus.cleaning.on_bad_input` requires."""

    def __init__(self, on_bad_input: str, *, quiet: bool = False) -> None:
        self._stop, self._quiet = on_bad_input == "stop", quiet
        self.counts: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        """Bytes of skipped documents, by the same keys as `counts`."""
        self.encodings: Counter[str] = Counter()
        """Files by the encoding that was detected."""
        self.notes: Notes = {}
        """Remarks on input that is read."""
        self.advises_encoding = True
        """Whether another encoding may be the remedy: not for a source that names or detects it."""
        self._lines: list[str] = []

    def ignored(self) -> "InputErrors":
        """Return one that also stops, but whose counts are not used, since another shard counts."""
        return InputErrors("stop" if self._stop else "skip", quiet=True)

    def report(self, location: str, reason: str, *, size: int = 0) -> None:
        """Raise `UserError` for an unreadable document or file, or print and count it as skipped.

        `location` names the file and, if known, the line or row. The part of `reason` before the
        first semicolon or opening parenthesis is the key under which the document is counted, and
        `size`, its bytes where they are known.
        """
        if self._stop:
            other = self.advises_encoding and reason.startswith(_ENCODING)
            encoding = "set encoding: auto for its source, " if other else ""
            raise UserError(
                f"{location}: {reason}; fix it, {encoding}or set corpus.cleaning.on_bad_input to "
                "skip"
            )
        self._count(location, reason, size)

    def note(self, location: str, remark: str, *, once: bool = False) -> None:
        """Count a remark on a file that is read, to be printed when the source ends.

        It is also printed where a limit ends the reading, but not beside the message of an error.
        With `once`, it is printed for the first file of the domain alone.
        """
        repeated = once and remark in self.notes
        add_note(self.notes, remark, 1, location)
        few = sum(count for count, _ in self.notes.values()) <= _MAX_PRINTED
        if few and not repeated and not self._quiet:
            self._lines.append(f"note: {location}: {remark}")

    def end_source(self) -> None:
        """Print the remarks on the files of a source that was read up to its end or limit."""
        for line in self._lines:
            print(line, file=sys.stderr)
        self._lines.clear()

    def count_empty(self, location: str) -> None:
        """Print and count a file without documents, such as an empty shard of a data set."""
        self._count(location, "empty file", 0)

    def _count(self, location: str, reason: str, size: int) -> None:
        key = reason.partition(";")[0].partition(" (")[0]
        self.counts[key] += 1
        self.bytes[key] += size
        if self.counts.total() <= _MAX_PRINTED and not self._quiet:
            print(f"skipped: {location}: {reason}", file=sys.stderr)
