"""Items that occur in training text, found by the words that they share with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splitlaw.corpus.deduplication.decontamination import (
    MIN_ITEM_WORDS,
    BenchmarkNgrams,
    benchmark_ngrams,
)
from splitlaw.corpus.deduplication.shingles import (
    Hashes,
    ngram_hashes,
    shingle_hashes,
    sorted_unique,
    word_hashes,
)
from splitlaw.corpus.documents import read_documents


def found_in_training(
    texts: Sequence[str], corpus: Path, domains: Iterable[str], *, words: int
) -> npt.NDArray[np.bool_]:
    """Whether each text shares `words` consecutive words with a training document of any domain.

    A text with fewer words, but at least `MIN_ITEM_WORDS`, is found if it shares all of them. This
    is the criterion by which the corpus stage removes documents (Brown et al. 2020, appendix C),
    except that the right answer is part of the item. `texts` are `[items]`, the result is
    `bool [items]`.
    """
    wanted = benchmark_ngrams(texts, words)
    found: dict[int, list[Hashes]] = {width: [] for width in wanted.by_width}
    if found:
        for domain in domains:
            for _, documents in read_documents(corpus, domain, "train"):
                _collect(documents, wanted, found)
    held = {width: sorted_unique(np.concatenate(parts)) for width, parts in found.items() if parts}
    return np.array([_is_held(text, words, held) for text in texts], dtype=bool)


def _collect(
    documents: Sequence[str], wanted: BenchmarkNgrams, found: dict[int, list[Hashes]]
) -> None:
    """Add the n-grams of the items that occur within one of the documents."""
    hashes, bounds = word_hashes([text.encode("utf-8", "replace") for text in documents])
    widths = list(wanted.by_width)
    for width, run in zip(widths, ngram_hashes(hashes, widths), strict=True):
        place = wanted.positions(run, width)
        owner = np.searchsorted(bounds, place, side="right") - 1
        found[width].append(run[place[place + width <= bounds[owner + 1]]])


def _is_held(text: str, words: int, held: dict[int, Hashes]) -> bool:
    encoded = [text.encode("utf-8", "replace")]
    length = min(int(word_hashes(encoded)[1][-1]), words)
    if length < min(MIN_ITEM_WORDS, words) or length not in held:
        return False
    return bool(np.isin(shingle_hashes(encoded, length)[0], held[length]).any())
