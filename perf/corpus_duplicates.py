"""Count the planted near-duplicates that are found, and the held-out documents left in training.

`planted` adds a copy of every real document of at least 30 words, with 5% or more of its words
replaced. `leaks` compares every held-out document of a prepared corpus with every training
document, using sets of word tuples and an index in plain Python instead of the package's search.

    python perf/corpus_duplicates.py planted
    python perf/corpus_duplicates.py leaks results/default/corpus
"""

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from splitlaw.corpus.cleaning import normalise  # noqa: E402
from splitlaw.corpus.documents import read_documents  # noqa: E402
from splitlaw.corpus.prepare import prepare_corpus  # noqa: E402
from splitlaw.corpus.sources.packages import read_package  # noqa: E402
from splitlaw.corpus.splitting import SPLITS  # noqa: E402
from splitlaw.experiment.corpus_settings import (  # noqa: E402
    Cleaning,
    CorpusConfig,
    GeneralConfig,
)
from splitlaw.experiment.source_settings import Source  # noqa: E402

_WORD = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+")
SOURCES = ("bbc_news", "sciriff", "reading_passages", "maths")
SHARES = (0.05, 0.10, 0.15, 0.2, 0.3, 0.4)


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the word 3-shingles of a text, computed without the package."""
    words = _WORD.findall(text.lower())
    return set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}


def similarity(left: str, right: str) -> float:
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b)


def altered(text: str, share: float, pool: np.ndarray, random: np.random.Generator) -> str:
    words = np.array(text.split(), dtype=object)
    places = random.choice(words.size, max(1, round(share * words.size)), replace=False)
    words[places] = random.choice(pool, places.size)
    return " ".join(words)


def planted(seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = {normalise(text): None for source in SOURCES for text in read_package(source)}
    originals = [text for text in texts if len(text.split()) >= 30]
    pool = np.array(sorted({word for text in originals[:500] for word in text.split()}))
    with tempfile.TemporaryDirectory() as name:
        alone = keep_texts(Path(name), originals)  # without originals near another
    for share in SHARES:
        copies = [altered(text, share, pool, random) for text in originals]
        with tempfile.TemporaryDirectory() as name:
            kept = keep_texts(Path(name), [*originals, *copies])
        pairs = [(a, b) for a, b in zip(originals, copies, strict=True) if a in alone]
        true = np.array([similarity(a, b) for a, b in pairs])
        found = np.array([a not in kept or b not in kept for a, b in pairs])
        above = found[true >= 0.6].mean() if (true >= 0.6).any() else float("nan")
        below = found[true < 0.4].mean() if (true < 0.4).any() else float("nan")
        print(
            f"{share:.0%} replaced: {found.size} pairs, median Jaccard {np.median(true):.2f}, "
            f"one of the pair dropped in {found.mean():.2%}; at 0.6 and above in {above:.2%}, "
            f"under 0.4 ({(true < 0.4).sum()} pairs) in {below:.2%}",
            flush=True,
        )


def keep_texts(folder: Path, texts: list[str]) -> set[str]:
    """Return the texts that `prepare_corpus` keeps."""
    source, out = folder / "texts.jsonl", folder / "corpus"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    # Without validation, which requires a domain beside `general`.
    config = CorpusConfig.model_construct(
        general=GeneralConfig(sources=(Source(files=str(source)),)),
        domains={},
        cleaning=Cleaning(benchmarks=()),
    )
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        prepare_corpus(config, out)
    return {
        text
        for split in SPLITS
        for _, batch in read_documents(out, "general", split)
        for text in batch
    }


def leaks(corpus: Path) -> None:
    domains = sorted(path.parent.name for path in corpus.glob("*/card.json"))
    held = [
        shingles(text)
        for domain in domains
        for split in SPLITS[1:]
        for _, texts in read_documents(corpus, domain, split)
        for text in texts
    ]
    where: dict[int, list[int]] = defaultdict(list)
    for number, own in enumerate(held):
        for shingle in own:
            where[hash(shingle)].append(number)
    documents, near, nearest = 0, 0, 0.0
    for domain in domains:
        for _, texts in read_documents(corpus, domain, "train"):
            for own in map(shingles, texts):
                shared = Counter(n for shingle in own for n in where.get(hash(shingle), ()))
                best = max(
                    (c / (len(own) + len(held[n]) - c) for n, c in shared.items()), default=0.0
                )
                documents, near, nearest = documents + 1, near + (best >= 0.6), max(nearest, best)
    print(
        f"{documents} training documents and {len(held)} held-out documents, all pairs: {near} near"
    )
    print(f"the largest Jaccard similarity is {nearest:.3f}")
    assert near == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("planted").add_argument("--seed", type=int, default=0)
    commands.add_parser("leaks").add_argument("corpus", type=Path)
    options = parser.parse_args()
    if options.command == "planted":
        planted(options.seed)
    else:
        leaks(options.corpus)


if __name__ == "__main__":
    main()
