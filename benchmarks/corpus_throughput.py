"""Cleaning and tokenising, in MB of text a second of processor time, beside plain `datasets.map`.

Both sides read JSON lines, normalise, bound lengths, drop exact and near duplicates (MinHash of the
same library, candidates verified), split, write Parquet, and encode with the same tokenizer. Ours
also looks for leaks exactly. Each runs in a process of its own with one worker; processor time and
peak memory are the operating system's, so a busy machine disturbs little.

    python benchmarks/corpus_throughput.py --text real                    # the built-in packages
    python benchmarks/corpus_throughput.py --text generated --megabytes 1000 --only ours
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

VOCABULARY = 1024
NEAR_COPIES = 0.05


def generate(path: Path, megabytes: float, seed: int = 0) -> None:
    """English-like: words of syllables by Zipf's law, 50 to 1,000 a document, 5% near copies."""
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


def real(path: Path) -> None:
    """All built-in packages."""
    from splitlaw.corpus.packages import PACKAGES, read_package

    with path.open("w") as stream:
        for name in PACKAGES:
            for text in read_package(name):
                stream.write(json.dumps({"text": text}) + "\n")


def ours(source: Path, tokenizer: Path, folder: Path, stage: str) -> None:
    import prepare_corpus
    import tokenize_corpus

    config = {
        "general": {"sources": [{"files": str(source)}]},
        "cleaning": {"benchmarks": []},
    }
    corpus = str(folder / "corpus")
    assert prepare_corpus.main(["--config", json.dumps(config), "--out", corpus]) == 0
    print(f"  cleaning: {time.process_time():.1f} s of processor", flush=True)
    if stage == "cleaning":
        return
    arguments = ["--corpus", corpus, "--tokenizer", str(tokenizer), "--domain", "general"]
    assert tokenize_corpus.main([*arguments, "--out", str(folder / "tokens")]) == 0


def plain(source: Path, tokenizer: Path, folder: Path, stage: str) -> None:
    """The same steps as one writes them with `datasets.map`, batched."""
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
    print(f"  cleaning: {time.process_time():.1f} s of processor", flush=True)
    if stage == "cleaning":
        return
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))

    def encode(batch: dict) -> dict:
        return {"ids": [e.ids for e in encoder.encode_batch(batch["text"])]}

    tokens = data.map(encode, batched=True, remove_columns=data.column_names)
    with (folder / "all.bin").open("wb") as stream:
        for batch in tokens.with_format("numpy").iter(1000):
            stream.writelines(np.asarray(ids, np.uint16).tobytes() for ids in batch["ids"])


def measure(side: str, source: Path, tokenizer: Path, stage: str) -> tuple[float, float, float]:
    """Run one side in a process: processor seconds, wall seconds, peak megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--run",
            side,
            str(source),
            str(tokenizer),
            folder,
            stage,
        ]
        environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{side} failed"
        wall = time.perf_counter() - began
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def make_tokenizer(source: Path, folder: Path) -> None:
    from splitlaw.tokens.tokenizer import _save, train

    with source.open() as lines:
        texts = (json.loads(line)["text"] for line, _ in zip(lines, range(5000), strict=False))
        _save(train(texts, VOCABULARY), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", choices=["real", "generated"], default="real")
    parser.add_argument("--megabytes", type=float, default=100, help="of generated text")
    parser.add_argument("--only", choices=["ours", "plain"])
    parser.add_argument("--stage", choices=["cleaning", "both"], default="both")
    parser.add_argument("--run", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        side, *paths, stage = options.run
        {"ours": ours, "plain": plain}[side](*map(Path, paths), stage)
        return
    with tempfile.TemporaryDirectory() as name:
        source, tokenizer = Path(name) / "text.jsonl", Path(name) / "tokenizer"
        real(source) if options.text == "real" else generate(source, options.megabytes)
        make_tokenizer(source, tokenizer)
        size = source.stat().st_size / 1e6
        speeds = []
        for side in [options.only] if options.only else ["ours", "plain"]:
            processor, wall, peak = measure(side, source, tokenizer, options.stage)
            speeds.append(size / processor)
            print(
                f"{options.text} {size:.0f} MB, {side}: {size / processor:.2f} MB/s per core "
                f"({processor:.1f} s of processor, {wall:.1f} s), peak {peak:.0f} MB",
                flush=True,
            )
        if len(speeds) == 2:
            print(f"ours / plain: {speeds[0] / speeds[1]:.2f}")


if __name__ == "__main__":
    main()
