"""Compare discovered domains with the true sources of a mixture of six built-in corpora.

Prints the normalised mutual information (NMI) of clusters and sources, by documents and by bytes,
and the router's accuracy on held-out documents. The corpora have equal shares of the mixture.

    python perf/corpus_domains.py [--seed 0] [--megabytes 2.5]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from splitlaw.corpus.cleaning import normalise  # noqa: E402
from splitlaw.corpus.documents import read_documents  # noqa: E402
from splitlaw.corpus.sources.packages import read_package  # noqa: E402
from splitlaw.corpus.splitting import SPLITS  # noqa: E402

SOURCES = ("licenses", "human_phenotypes", "qasper", "python_stdlib", "king_james", "sotu")


def draw_documents(seed: int, size: float) -> dict[str, str]:
    """Draw documents, about `size` bytes from each source; returns text to source."""
    random = np.random.default_rng(seed)
    drawn: dict[str, str] = {}
    for source in SOURCES:
        texts = [normalise(text) for text in read_package(source)]
        random.shuffle(texts)
        total = 0
        for text in texts:
            if total < size:
                drawn[text] = source
                total += len(text.encode())
    return drawn


def normalised_mi(weights: np.ndarray) -> float:
    """Return the mutual information of a table of joint weights, over the mean of the entropies."""
    joint = weights / weights.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    some = joint > 0
    shared = (joint[some] * np.log(joint[some] / np.outer(rows, columns)[some])).sum()
    entropy = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (rows, columns)]
    return float(2 * shared / sum(entropy))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--megabytes", type=float, default=2.5, help="megabytes of each source")
    options = parser.parse_args()
    sources = draw_documents(options.seed, options.megabytes * 1e6)
    with tempfile.TemporaryDirectory() as name:
        mixed, out = Path(name) / "mixed.jsonl", Path(name) / "corpus"
        mixed.write_text("".join(json.dumps({"text": text}) + "\n" for text in sorted(sources)))
        config = {
            "seed": options.seed,
            "general": {"sources": [{"files": str(mixed)}]},
            "domains": {"discover": len(SOURCES)},
            "splits": {"validation": 0.1, "test": 0.1},
            "cleaning": {"benchmarks": []},
        }
        script = str(SCRIPTS / "prepare_corpus.py")
        began = time.perf_counter()
        command = [sys.executable, script, "--config", json.dumps(config), "--out", str(out)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        documents, size = (np.zeros((len(SOURCES), len(SOURCES))) for _ in range(2))
        for number in range(len(SOURCES)):
            for split in SPLITS:
                for _, texts in read_documents(out, f"cluster_{number + 1}", split):
                    for text in texts:
                        documents[SOURCES.index(sources[text]), number] += 1
                        size[SOURCES.index(sources[text]), number] += len(text.encode())
        router = json.loads((out / "router" / "router.json").read_text())
        clusters = json.loads((out / "clusters.json").read_text())["clusters"]
    for cluster, described in clusters.items():
        print(cluster, described["documents"], "documents:", " ".join(described["top_words"]))
    print(f"NMI by documents {normalised_mi(documents):.3f}, by bytes {normalised_mi(size):.3f}")
    print(
        f"accuracy of the router on {router['held_out_documents']} held-out documents: "
        f"{router['accuracy']:.4f}, on their first 200 characters: "
        f"{router['accuracy_on_200_characters']:.4f}"
    )
    print(f"{seconds:.1f} s for {sum(len(text) for text in sources) / 1e6:.1f} million characters")


if __name__ == "__main__":
    main()
