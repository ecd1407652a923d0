"""Measure the memory and time of the merge of `prepare_corpus` per million documents.

    python perf/corpus_merge.py --documents 100000 1000000

The stores of the shards are generated: texts of about 100 bytes, MinHash signatures of 128 random
values, and 5% near-duplicates. Memory is the peak of the process above that before the merge. The
index, the band hashes and the groups of candidates depend on the number of documents, not on their
length; reading the text for the search for held-out text depends on bytes and has its own speed.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np

from splitlaw.corpus.cleaning import KEY_INTEGERS
from splitlaw.corpus.document_store import INDEX, SIGNATURES, TEXTS, DocumentStore
from splitlaw.corpus.placement import KEPT, place_documents
from splitlaw.experiment.corpus_settings import CorpusConfig

PERMUTATIONS = 128
COPIES = 0.05
BLOCK = 10_000
CONFIG = {
    "general": {"sources": [{"files": "none"}]},
    "domains": {"law": {"sources": [{"files": "neither"}]}},
    "splits": {"validation": 0.001, "test": 0.001},
}


def write_store(folder: Path, documents: int) -> None:
    """Write a store of documents, of which 5% are near-duplicates of the one before."""
    random = np.random.default_rng(0)
    letters = np.frombuffer(b"etaoinshrdlucmfwetaoinshrdlucm  ", np.uint8)
    sizes = []
    with (folder / TEXTS).open("wb") as texts, (folder / SIGNATURES).open("wb") as signatures:
        for low in range(0, documents, BLOCK):
            count = min(BLOCK, documents - low)
            made = letters[random.integers(0, letters.size, (count, 100))]
            values = random.integers(0, 1 << 32, (count, PERMUTATIONS), dtype=np.uint32)
            copied = 1 + np.flatnonzero(random.random(count - 1) < COPIES)
            values[copied, : PERMUTATIONS - 16] = values[copied - 1, : PERMUTATIONS - 16]
            rows = [row.tobytes() for row in made]
            for row in copied:
                rows[row] = rows[row - 1] + b" copy"
            texts.writelines(rows)
            signatures.write(values.tobytes())
            sizes += map(len, rows)
    np.savez(
        folder / INDEX,
        keys=random.integers(0, 1 << 64, (documents, KEY_INTEGERS), dtype=np.uint64),
        size=np.array(sizes, np.int64),
        source=(np.arange(documents) % 2).astype(np.int16),
        benchmark=np.zeros(documents, dtype=bool),
    )


def peak() -> float:
    """Peak memory of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def merge(folder: Path, pipe: Any) -> None:
    """Decide on the documents of the store, and send the memory, the seconds and the kept."""
    out = folder / "merged"
    out.mkdir()
    before, began = peak(), time.perf_counter()
    with DocumentStore(out, PERMUTATIONS, [folder]) as store:
        config = CorpusConfig.read(CONFIG, where="perf", section="corpus")
        placement = place_documents(config, np.array([0, 1]), store, 1)
    kept = int((placement.outcome == KEPT).sum())
    pipe.send((peak() - before, time.perf_counter() - began, kept))


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", nargs="+", type=int, default=[100_000, 1_000_000])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for documents in arguments.documents:
        with tempfile.TemporaryDirectory() as name:
            write_store(Path(name), documents)
            here, there = context.Pipe()
            process = context.Process(target=merge, args=(Path(name), there))
            process.start()
            there.close()  # so that the end of the process is noticed
            memory, seconds, kept = here.recv()
            process.join()
        print(
            f"{documents:,} documents: {memory:,.0f} MB ({1e6 * memory / documents:,.0f} MB per "
            f"million), {seconds:.0f} s, {kept:,} kept",
            flush=True,
        )


if __name__ == "__main__":
    main()
