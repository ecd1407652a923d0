"""Preparation in shards: jobs of their own read the sources and write the files.

Every step gives the same result for any number of shards: a document is cleaned on its own, all
decisions that compare documents are made by one merge, and documents are in the order of their
keys.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from splitlaw.common.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of several equal parts of the work."""

    number: int
    """From 0."""
    count: int
    """Number of shards."""

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(f"--shard {self.number}: there are {self.count}, from 0; give another")

    def range(self, count: int) -> tuple[int, int]:
        """Return where this shard begins and ends in a row of `count` items.

        The shards follow one another; the first ones have one item more if the division leaves a
        remainder. `datasets` divides rows in this way too.
        """
        size, more = divmod(count, self.count)
        begin = self.number * size + min(self.number, more)
        return begin, begin + size + (self.number < more)

    def own(self, sizes: Sequence[int]) -> list[int]:
        """Return the positions of the items of this shard, in increasing order.

        The items are divided by size: each, beginning with the largest, goes to the shard that has
        the least so far (Graham 1969).
        """
        loads = [0] * self.count
        found = []
        for item in np.argsort(-np.array(sizes, np.int64), kind="stable").tolist():
            shard = loads.index(min(loads))
            loads[shard] += max(sizes[item], 1)  # empty files are divided too
            if shard == self.number:
                found.append(item)
        return sorted(found)


WHOLE = Shard(number=0, count=1)
"""All of the work."""


@contextmanager
def named_in_errors(shard: Shard) -> Iterator[None]:
    """Name the shard in an error of the user's, with how to resume."""
    try:
        yield
    except UserError as error:
        raise UserError(
            f"shard {shard.number} of {shard.count}: {error}; the same command then resumes, and "
            "keeps the finished shards"
        ) from None
