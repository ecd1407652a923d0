"""Documents and files that cannot be read: stop at the first one, or skip and count them."""

import sys
from collections import Counter

from splitlaw.common.errors import UserError

_MAX_PRINTED = 10
"""Skipped documents that are printed one by one: a damaged corpus may have millions of them."""


class InputErrors:
    """Handles the unreadable input of one domain as `corpus.cleaning.on_bad_input` requires."""

    def __init__(self, on_bad_input: str) -> None:
        self._stop = on_bad_input == "stop"
        self.counts: Counter[str] = Counter()

    def report(self, location: str, reason: str) -> None:
        """Raise `UserError` for an unreadable document or file, or print and count it as skipped.

        `location` names the file and, if known, the line or row. The part of `reason` before the
        first semicolon or opening parenthesis is the key under which the document is counted.
        """
        if self._stop:
            raise UserError(
                f"{location}: {reason}; fix it, or set corpus.cleaning.on_bad_input to skip"
            )
        self._count(location, reason)

    def count_empty(self, location: str) -> None:
        """Print and count a file without documents, such as an empty shard of a data set."""
        self._count(location, "empty file")

    def _count(self, location: str, reason: str) -> None:
        self.counts[reason.partition(";")[0].partition(" (")[0]] += 1
        if self.counts.total() <= _MAX_PRINTED:
            print(f"skipped: {location}: {reason}", file=sys.stderr)
