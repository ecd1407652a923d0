"""Compare the speed of cleaning and encoding with other tools, in MB of text per processor second.

`plain` runs the same steps with `datasets.map`, batched; `datatrove` runs its pipelines (its
MinHash does not verify candidates; a light word splitter replaces that of spaCy). All sides read
JSON lines, normalise, limit lengths, drop exact duplicates and near-duplicates by 32 bands of four
MinHash values on word 3-shingles, write Parquet, and encode with the same tokenizer. `ours` also
splits, and searches for leaks exactly. `ours` has one process unless `--workers` is given.
Processor time is that of the operating system; peak memory is sampled over all processes of a side.

    python perf/corpus_throughput.py --text real --megabytes 200
    python perf/corpus_throughput.py --text generated --megabytes 1000
    python perf/corpus_throughput.py --datatrove venv/bin/python    # with rensa
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

VOCABULARY = 1024
NEAR_COPIES = 0.05


def generate(path: Path, megabytes: float, seed: int = 0) -> None:
    """Write English-like text: words of syllables with the frequencies of Zipf's law.

    Documents have 50 to 1,000 words; 5% are near-duplicates.
    """
    random = np.random.default_rng(seed)
    onsets = ["", *"bcdfglmnprst", "th", "st"]
    syllables = [onset + rest for onset in onsets for rest in ("a", "e", "i", "o", "en")]
    lengths = random.integers(1, 5, 50_000)
    words = np.array(["".join(random.choice(syllables, n)) for n in lengths], dtype=object)
    edges = np.cumsum(1 / np.arange(3, 50_003))
    edges /= edges[-1]
    written, kept = 0, words[:100]
    with path.open("w") as stream:
        while written < megabytes * 1e6:
            drawn = words[np.searchsorted(edges, random.random(1_000_000))]
            for part in np.split(drawn, np.cumsum(random.integers(50, 1000, 1900))):
                if random.random() < NEAR_COPIES:
                    part = kept.copy()
                    places = random.choice(part.size, part.size // 20, replace=False)
                    part[places] = words[random.integers(0, 50_000, places.size)]
                elif part.size:
                    kept = part
                line = json.dumps({"text": " ".join(part) + "."})
                stream.write(line + "\n")
                written += len(line)


def real(path: Path, megabytes: float, seed: int = 0) -> None:
    """Write all built-in packages (80 MB of text), then again with half of its words replaced."""
    from splitlaw.corpus.sources.packages import PACKAGES, read_package

    random = np.random.default_rng(seed)
    written, pool = 0, np.empty(0, dtype=object)
    with path.open("w") as stream:
        while written < megabytes * 1e6:
            for name in PACKAGES:
                for text in read_package(name):
                    line = json.dumps({"text": replaced(text, pool, random)}) + "\n"
                    written += stream.write(line)
                    if written >= megabytes * 1e6:
                        return
            if not pool.size:
                print(f"the packages contain {written / 1e6:.0f} MB", flush=True)
                with path.open() as lines:
                    some = [json.loads(line)["text"] for line in lines][::50]
                pool = np.array(" ".join(some).split(" "), dtype=object)


def replaced(text: str, pool: np.ndarray, random: np.random.Generator) -> str:
    """Replace every word with probability one half by one of `pool`; none if it is empty."""
    if not pool.size:
        return text
    words = np.array(text.split(" "), dtype=object)
    places = np.flatnonzero(random.random(words.size) < 0.5)
    words[places] = pool[random.integers(0, pool.size, places.size)]
    return " ".join(words)


def ours(source: Path, tokenizer: Path, folder: Path, stage: str, workers: str) -> None:
    from splitlaw.corpus.prepare import prepare_corpus
    from splitlaw.experiment.corpus_settings import Cleaning, CorpusConfig, GeneralConfig
    from splitlaw.experiment.settings import HeldOutConfig
    from splitlaw.experiment.source_settings import Source
    from splitlaw.tokens.writing import tokenize_domain

    # Without validation, which requires a domain beside `general`.
    config = CorpusConfig.model_construct(
        general=GeneralConfig(sources=(Source(files=str(source)),)),
        domains={},
        cleaning=Cleaning(benchmarks=()),
    )
    corpus = folder / "corpus"
    prepare_corpus(config, corpus, workers=int(workers))
    print(f"  cleaning: {time.process_time():.1f} s of processor time", flush=True)
    if stage == "cleaning":
        return
    tokenize_domain(
        corpus, tokenizer, "general", HeldOutConfig(), folder / "tokens", workers=int(workers)
    )


def plain(source: Path, tokenizer: Path, folder: Path, stage: str, workers: str) -> None:
    """Run the same steps with `datasets.map`, batched, as a user would write them."""
    import datasets
    from rensa import RMinHash
    from tokenizers import Tokenizer

    from splitlaw.corpus.cleaning import document_key, normalise

    datasets.disable_progress_bars()
    word = re.compile(r"\w+")

    def shingles(text: str) -> set[str]:
        words = word.findall(text.lower())
        return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    def clean(batch: dict) -> dict:
        texts = [normalise(text) for text in batch["text"]]
        sets = [list(shingles(text)) for text in texts]
        return {
            "text": texts,
            "key": [document_key(text.encode(), 0) for text in texts],
            "signature": RMinHash.digest_matrix_from_token_sets(sets, 128, 1).to_rows(),
        }

    data = datasets.load_dataset(
        "json", data_files=str(source), split="train", cache_dir=str(folder / "cache")
    )
    data = data.map(clean, batched=True).filter(lambda row: 40 <= len(row["text"]) <= 1_000_000)
    seen: set[bytes] = set()
    buckets: dict[tuple[int, bytes], list[int]] = {}
    kept = []
    rows = data.select_columns(["signature", "key"])
    row = -1
    for batch in rows.iter(1000):
        signatures = np.asarray(batch["signature"], dtype=np.uint32)
        for digest, signature in zip(batch["key"], signatures, strict=True):
            row += 1
            if digest in seen:
                continue
            seen.add(digest)
            keys = [(b, signature[4 * b : 4 * b + 4].tobytes()) for b in range(32)]
            others = {other for key in keys for other in buckets.get(key, ())}
            own = shingles(data[row]["text"]) if others else set()
            if any(
                len(own & theirs) >= 0.6 * len(own | theirs)
                for theirs in (shingles(data[other]["text"]) for other in others)
            ):
                continue
            kept.append(row)
            for key in keys:
                buckets.setdefault(key, []).append(row)
    data = data.select(kept).remove_columns(["signature"]).sort("key")
    data.to_parquet(str(folder / "all.parquet"))
    print(f"  cleaning: {time.process_time():.1f} s of processor time", flush=True)
    if stage == "cleaning":
        return
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))

    def encode(batch: dict) -> dict:
        return {"ids": [e.ids for e in encoder.encode_batch(batch["text"])]}

    tokens = data.map(encode, batched=True, remove_columns=data.column_names)
    with (folder / "all.bin").open("wb") as stream:
        for batch in tokens.with_format("numpy").iter(1000):
            stream.writelines(np.asarray(ids, np.uint16).tobytes() for ids in batch["ids"])


def datatrove(source: Path, tokenizer: Path, folder: Path, stage: str, workers: str) -> None:
    """Run the same steps with the pipelines of datatrove for MinHash and tokenising."""
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.formatters.base import BaseFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.hashing import HashConfig

    from splitlaw.corpus.cleaning import normalise

    word = re.compile(r"\w+")

    class Normalise(BaseFormatter):
        name = "normalise"

        def format(self, text: str) -> str:
            return normalise(text)

    class Signature(minhash.MinhashDedupSignature):
        def __init__(self, *arguments: object, **settings: object) -> None:
            super().__init__(*arguments, **settings)
            self.word_tokenizer = self

        def word_tokenize(self, text: str) -> list[str]:
            return word.findall(text)

    def read() -> list:
        reader = JsonlReader(str(source.parent), glob_pattern=source.name)
        return [reader, Normalise(), LambdaFilter(lambda d: 40 <= len(d.text) <= 1_000_000)]

    def run(steps: list, tasks: int = 1) -> None:
        for rank in range(tasks):
            documents = None
            for step in steps:
                documents = step(documents, rank, tasks)
            deque(documents or (), maxlen=0)

    settings = minhash.MinhashConfig(
        n_grams=3, num_buckets=32, hashes_per_bucket=4, hash_config=HashConfig(precision=32)
    )
    at = {name: str(folder / name) for name in ("sigs", "buckets", "clusters", "parquet", "tokens")}
    run([*read(), Signature(at["sigs"], config=settings)])
    run([minhash.MinhashDedupBuckets(at["sigs"], at["buckets"], config=settings)], tasks=32)
    run([minhash.MinhashDedupCluster(at["buckets"], at["clusters"], config=settings)])
    last = [minhash.MinhashDedupFilter(at["clusters"]), ParquetWriter(at["parquet"])]
    if stage == "both":
        encoder = str(tokenizer / "tokenizer.json")
        last.append(DocumentTokenizer(at["tokens"], encoder, eos_token="<|endoftext|>"))
    run([*read(), *last])


SIDES = {"ours": ours, "plain": plain, "datatrove": datatrove}


def measure(
    side: str, source: Path, tokenizer: Path, stage: str, workers: int, python: str
) -> tuple[float, float, float]:
    """Run one side in a process; returns processor seconds, wall seconds and peak megabytes."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        command = [python, __file__, "--run", side, str(source), str(tokenizer), folder]
        command += [stage, str(workers)]
        environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        began = time.perf_counter()
        with (source.parent / f"{side}.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            peak = watch(process)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{side} failed: {(source.parent / f'{side}.log').read_text()[-2000:]}")
        wall = time.perf_counter() - began
    return usage.ru_utime + usage.ru_stime, wall, peak


def watch(process: subprocess.Popen) -> float:
    """Wait for the process; returns the peak memory of it and its children, in megabytes."""
    import psutil

    root, peak = psutil.Process(process.pid), 0.0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        total = 0.0
        for one in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss / 1e6
        peak = max(peak, total)
        time.sleep(0.1)
    return peak


def make_tokenizer(source: Path, folder: Path) -> None:
    from splitlaw.tokens.tokenizer import save_tokenizer, train_bpe

    with source.open() as lines:
        texts = (json.loads(line)["text"] for line, _ in zip(lines, range(5000), strict=False))
        save_tokenizer(train_bpe(texts, VOCABULARY), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", choices=["real", "generated"], default="real")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--only", choices=list(SIDES), help="run only this side")
    parser.add_argument("--datatrove", help="a Python with datatrove, to measure that too")
    parser.add_argument("--stage", choices=["cleaning", "both"], default="both")
    parser.add_argument("--workers", type=int, default=1, help="processes of `ours`")
    parser.add_argument("--run", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        side, source, tokenizer, folder, stage, workers = options.run
        SIDES[side](Path(source), Path(tokenizer), Path(folder), stage, workers)
        return
    sides = ["ours", "plain", *(["datatrove"] if options.datatrove else [])]
    with tempfile.TemporaryDirectory() as name:
        source, tokenizer = Path(name) / "text.jsonl", Path(name) / "tokenizer"
        (real if options.text == "real" else generate)(source, options.megabytes)
        make_tokenizer(source, tokenizer)
        size = source.stat().st_size / 1e6
        speeds = {}
        for side in [options.only] if options.only else sides:
            python = options.datatrove if side == "datatrove" else sys.executable
            processor, wall, peak = measure(
                side, source, tokenizer, options.stage, options.workers, python
            )
            speeds[side] = size / processor
            cleaning = re.findall(
                r"cleaning: ([0-9.]+) s", (Path(name) / f"{side}.log").read_text()
            )
            share = f", {cleaning[0]} s of it for cleaning" if cleaning else ""
            print(
                f"{options.text} {size:.0f} MB, {side}: {size / processor:.2f} MB/s per core "
                f"({processor:.1f} s of processor time{share}; {wall:.1f} s elapsed), "
                f"peak {peak:.0f} MB",
                flush=True,
            )
        for side in list(speeds)[1:]:
            print(f"speed of ours / {side}: {speeds['ours'] / speeds[side]:.2f}")


if __name__ == "__main__":
    main()
