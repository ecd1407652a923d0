"""Kill the preparation of a corpus at random times; compare its files with undisturbed ones.

python perf/preparation_kills.py --kills 10 --out results/campaign/preparation_kills.csv

The commands prepare_corpus, train_tokenizer and tokenize are killed in turn, by SIGKILL and
SIGTERM, sent to the whole process group. Each is then run again to its end; its files are compared
byte by byte with those of an undisturbed run, and no working copy may be left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

SCRIPTS = Path(__file__).resolve().parent.parent / "workflow_scripts"
CORPUS = {
    "general": {"sources": [{"package": "bbc_news", "max_documents": 1000}]},
    "domains": {
        "law": {"sources": [{"package": "licenses", "max_documents": 300}]},
        "medicine": {"sources": [{"package": "human_phenotypes", "max_documents": 4000}]},
    },
    "cleaning": {"benchmarks": []},
}
TOKENIZER = json.dumps({"vocabulary": 1024})
STAGES = ("prepare_corpus", "train_tokenizer", "tokenize")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
SPAN = (0.2, 0.9)
"""Part of the undisturbed time in which signals are sent; before it are the imports."""


@dataclass(frozen=True)
class Preparation:
    """The stages of a preparation, with their files in one folder."""

    folder: Path

    def command(self, stage: str) -> list[str]:
        """The command of a stage."""
        corpus, tokenizer = self.folder / "corpus", self.folder / "tokenizer"
        options = {
            "prepare_corpus": ["--config", json.dumps(CORPUS), "--out", corpus],
            "train_tokenizer": ["--config", TOKENIZER, "--corpus", corpus, "--out", tokenizer],
            "tokenize": ["--corpus", corpus, "--tokenizer", tokenizer, "--domain", "medicine",
                         "--out", self.folder / "tokens"],
        }[stage]  # fmt: skip
        script = "tokenize_corpus" if stage == "tokenize" else stage
        return [sys.executable, str(SCRIPTS / f"{script}.py"), *map(str, options)]

    def start(self, stage: str) -> subprocess.Popen[bytes]:
        """Start a stage in its own process group."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(self.command(stage), stderr=log, start_new_session=True)

    def finish(self, stage: str) -> float:
        """Run a stage to its end; returns the seconds."""
        began = time.monotonic()
        status = self.start(stage).wait()
        assert status == 0, (self.folder / "log").read_text()
        return time.monotonic() - began

    def files(self) -> dict[str, str]:
        """Digests of all files but the log."""
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and file.name != "log"
        }

    def leftovers(self) -> int:
        """Number of working copies and partial files."""
        return len([*self.folder.rglob(".work-*"), *self.folder.rglob(".*.part")])


def disturbed(
    whole: Preparation, stage: str, number: int, delay: float, folder: Path
) -> dict[str, object]:
    """Kill a stage once, run it to its end, and compare its files with those of `whole`."""
    shutil.copytree(whole.folder, folder)
    here = Preparation(folder)
    target = {"prepare_corpus": "corpus", "train_tokenizer": "tokenizer", "tokenize": "tokens"}
    shutil.rmtree(folder / target[stage])
    process = here.start(stage)
    time.sleep(delay)
    running = process.poll() is None
    if running:
        signal_of = signal.Signals(number)
        subprocess.run(["kill", f"-{signal_of.name[3:]}", "--", f"-{process.pid}"], check=False)
    process.wait()
    left = here.leftovers()
    here.finish(stage)
    return {
        "stage": stage,
        "signal": signal.Signals(number).name,
        "seconds": round(delay, 2),
        "killed": running,
        "left_by_the_kill": left,
        "left_at_the_end": here.leftovers(),
        "same_files": here.files() == whole.files(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    chance, rows = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        whole = Preparation(Path(name, "undisturbed"))
        whole.folder.mkdir()
        seconds = {stage: whole.finish(stage) for stage in STAGES}
        while sum(bool(row["killed"]) for row in rows) < arguments.kills:
            # The corpus takes most of the time, and is killed in every other case.
            stage = STAGES[0] if len(rows) % 2 == 0 else STAGES[1 + len(rows) // 2 % 2]
            number = SIGNALS[len(rows) // 2 % 2]
            delay = chance.uniform(*SPAN) * seconds[stage]
            rows.append(disturbed(whole, stage, number, delay, Path(name, str(len(rows)))))
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out, index=False)
    killed = table[table["killed"]]
    lost = killed[~killed["same_files"] | (killed["left_at_the_end"] > 0)]
    stopped = killed[(killed["signal"] == "SIGTERM") & (killed["left_by_the_kill"] > 0)]
    print(f"{len(killed)} kills; {len(lost)} with other files or working copies at the end")
    print(f"{len(stopped)} of {(killed['signal'] == 'SIGTERM').sum()} SIGTERM left working copies")
    sys.exit(len(lost) + len(stopped) > 0)


if __name__ == "__main__":
    main()
