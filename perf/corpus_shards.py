"""Processor time of each step of a preparation in shards, beside that of one job.

    python perf/corpus_shards.py --config config.yaml --shards 4

The steps run one after another, each as a process of its own, and their processor time is measured,
which other work on the machine hardly changes. From it follows the time on a number of idle cores,
if the shards of a step share them and the other steps use one. The files are compared byte by byte.
"""

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"


def processor_seconds(*words: object) -> float:
    """Run prepare_corpus with these options; returns the processor time of all its processes."""
    command = [sys.executable, str(SCRIPTS / "prepare_corpus.py"), *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(errors.decode())
    return usage.ru_utime + usage.ru_stime


def hashes(folder: Path) -> dict[str, str]:
    """A digest of every file."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", default="config.yaml", help="an experiment (%(default)s)")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    corpus = json.dumps(yaml.safe_load(Path(arguments.config).read_text())["corpus"])
    shards, cores = arguments.shards, arguments.cores
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = processor_seconds("--config", corpus, "--out", folder / "one")
        print(f"one job: {one:.1f} s of processor time", flush=True)
        shared = ["--config", corpus, "--out", folder / "many", "--work", folder / "work"]
        total = 0.0
        for step in ("read", "merge", "write", "complete"):
            each = [["--shard", n] for n in range(shards)] if step in ("read", "write") else [[]]
            options = [*shared, "--shards", shards, "--step", step]
            seconds = [processor_seconds(*options, *own) for own in each]
            rounds = math.ceil(len(seconds) / cores)
            total += sum(max(seconds[i * cores : (i + 1) * cores]) for i in range(rounds))
            print(f"{step}: {', '.join(f'{s:.1f}' for s in seconds)} s", flush=True)
        same = hashes(folder / "one") == hashes(folder / "many")
    print(f"{shards} shards on {cores} idle cores: {total:.1f} s, {one / total:.2f} times as fast")
    print(f"the files are {'the same' if same else 'NOT the same'}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
