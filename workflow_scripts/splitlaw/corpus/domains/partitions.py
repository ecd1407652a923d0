"""Partitions of the general text of a corpus into several numbers of domains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.clusters import (
    SAMPLE_DOCUMENTS,
    Clusters,
    fit_clusters,
    label,
    top_words,
)
from splitlaw.corpus.domains.word_counts import MAX_TEXT_BYTES
from splitlaw.experiment.lineage import GENERAL

Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """General text divided into domains."""

    number: int
    """Number of clusters that were found; two of them may be merged."""
    names: tuple[str, ...]
    """A name for each domain, unique among all partitions."""
    labels: tuple[str, ...]
    """Words that distinguish each domain."""
    merged: str
    """Labels of the two clusters that are one domain here; empty if none are merged."""
    members: dict[str, Numbers]
    """By split, `train` and `test`: the domain of each document, an index of `names`."""


def partition_documents(
    corpus: Path, numbers: Sequence[int], *, seed: int, embedding: str | None, key: str
) -> list[Partition]:
    """Cluster the documents of `general` into each of `numbers` domains.

    For every number above 2, a second partition merges the two clusters whose centres are nearest.
    Clusters are fitted on training documents and numbered by falling bytes of these. Raises
    `UserError`, which names `key`, for more clusters than the documents allow.
    """
    sample = list(islice(_beginnings(corpus, "train"), SAMPLE_DOCUMENTS))
    found, sizes = [], _sizes(corpus)
    for number in numbers:
        clusters = fit_clusters(sample, number, seed, embedding=embedding, key=key)
        members = {split: _assign(corpus, split, clusters) for split in ("train", "test")}
        found += _describe(clusters, members, sizes, sample)
    return found


def _texts(corpus: Path, split: str) -> Iterator[list[bytes]]:
    for _, texts in read_documents(corpus, GENERAL, split):
        yield [text.encode("utf-8") for text in texts]


def _beginnings(corpus: Path, split: str) -> Iterator[bytes]:
    return (text[:MAX_TEXT_BYTES] for texts in _texts(corpus, split) for text in texts)


def _sizes(corpus: Path) -> Numbers:
    """Bytes of each training document."""
    return np.array([len(text) for texts in _texts(corpus, "train") for text in texts])


def _assign(corpus: Path, split: str, clusters: Clusters) -> Numbers:
    parts = [
        clusters.assign([text[:MAX_TEXT_BYTES] for text in texts])
        for texts in _texts(corpus, split)
    ]
    return np.concatenate(parts)


def _describe(
    clusters: Clusters, members: dict[str, Numbers], sizes: Numbers, sample: Sequence[bytes]
) -> list[Partition]:
    """The partition into these clusters, and the one in which the nearest two are merged."""
    number = len(clusters.centres)
    total = np.bincount(members["train"], weights=sizes, minlength=number)
    order = np.argsort(-total, kind="stable")
    place = np.argsort(order)
    members = {split: place[cluster] for split, cluster in members.items()}
    words = top_words(sample, members["train"][: len(sample)], number)
    labels = tuple(label(listed) for listed in words)
    names = tuple(f"k{number}_{cluster + 1}" for cluster in range(number))
    whole = Partition(number=number, names=names, labels=labels, merged="", members=members)
    if number == 2:  # merged, they are the mixture
        return [whole]
    first, second = sorted(place[list(clusters.nearest_pair())])
    return [whole, _merge(whole, int(first), int(second))]


def _merge(whole: Partition, first: int, second: int) -> Partition:
    """The partition with the domains `first` and `second`, in this order, as one."""
    moved = np.delete(np.arange(len(whole.names)), second)
    place = np.zeros(len(whole.names), np.int64)
    place[moved] = np.arange(len(moved))
    place[second] = place[first]
    names = [whole.names[old] for old in moved]
    labels = [whole.labels[old] for old in moved]
    names[first] = f"{whole.names[first]}_{second + 1}"
    labels[first] = f"{whole.labels[first]} + {whole.labels[second]}"
    return Partition(
        number=whole.number,
        names=tuple(names),
        labels=tuple(labels),
        merged=labels[first],
        members={split: place[cluster] for split, cluster in whole.members.items()},
    )
