"""A domain's card: what it holds, what was dropped and why, and samples for a person to look at."""

from collections import Counter
from pathlib import Path
from typing import Any

from splitlaw.common.files import sha256_file, write_json
from splitlaw.corpus.documents import read_documents, split_path
from splitlaw.corpus.splitting import SPLITS

Dropped = dict[str, tuple[int, int]]
"""Reason to the documents and bytes dropped for it."""

_SAMPLES = 3
_SAMPLE_CHARACTERS = 300


def card_path(corpus: Path, domain: str) -> Path:
    """Where a domain's card is."""
    return corpus / domain / "card.json"


def write_card(
    corpus: Path, domain: str, *, sources: list[str], dropped: Dropped, to_general: int, cut: int
) -> None:
    """Write the card of a domain from its files and from what was dropped.

    `cut` documents are held out by passage: the files hold their parts.

    It depends on this domain's documents alone, so that a rule that takes it does not run again
    because another domain changed.
    """
    write_json(
        card_path(corpus, domain),
        {
            "domain": domain,
            "sources": sources,
            "documents_to_general": to_general,
            "documents_cut": cut,
            "dropped": {
                reason: {"documents": count, "bytes": size}
                for reason, (count, size) in sorted(dropped.items())
            },
            "splits": {split: _split(corpus, domain, split) for split in SPLITS},
        },
    )


def _split(corpus: Path, domain: str, split: str) -> dict[str, Any]:
    documents: Counter[str] = Counter()
    size: Counter[str] = Counter()
    samples: list[str] = []
    for sources, texts in read_documents(corpus, domain, split):
        for source, text in zip(sources, texts, strict=True):
            documents[source] += 1
            size[source] += len(text.encode("utf-8"))
        samples += [text[:_SAMPLE_CHARACTERS] for text in texts[: _SAMPLES - len(samples)]]
    path = split_path(corpus, domain, split)
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "documents": documents.total(),
        "bytes": size.total(),
        "by_source": {
            source: {"documents": documents[source], "bytes": size[source]}
            for source in sorted(documents)
        },
        "samples": samples,
    }
