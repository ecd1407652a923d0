"""What cannot be read: stop at the first, or skip and count, as the user chose."""

import sys
from collections import Counter

from splitlaw.common.errors import UserError

_SHOWN = 10


class InputErrors:
    """Collects the bad input of one domain."""

    def __init__(self, choice: str) -> None:
        self._stop = choice == "stop"
        self.counts: Counter[str] = Counter()

    def report(self, where: str, reason: str) -> None:
        """One bad document or file: raises `UserError`, or says so on stderr and counts it.

        `where` names the file and the line; `reason` begins with what is wrong, up to a semicolon
        or an opening bracket, under which it is counted.
        """
        if self._stop:
            raise UserError(
                f"{where}: {reason}; mend it, or set corpus.cleaning.on_bad_input to skip"
            )
        self.counts[reason.partition(";")[0].partition(" (")[0]] += 1
        if self.counts.total() <= _SHOWN:
            print(f"skipped: {where}: {reason}", file=sys.stderr)
