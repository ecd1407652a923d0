"""Fill the disk before every stage of a workflow; compare its results with undisturbed ones.

python perf/full_disk.py --out results/campaign/full_disk.csv        (as root, for mount)

The results of a small experiment are on a file system in memory. Before each stage it is filled up
to half of what the stage writes, and then completely; a stage that fails has to name a file, the
reason and the remedy in one line.
Then the disk is freed, the stage has to succeed, and after the last one all models and
tables are compared byte by byte with those of a run on a disk with room.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from tiny_project import Project  # noqa: E402

STAGES = (
    "prepare_corpus train_tokenizer tokenize pretrain specialize evaluate fit_law choose_split "
    "train_final benchmark report"
).split()
COMPARED = (
    "corpus/**/*.parquet", "tokenizer/*.json", "tokens/**/*.bin", "checkpoints/**/*.safetensors",
    "final/**/*.safetensors", "*.csv", "law/*", "split/*.json", "final/*.csv", "figures/*.svg",
)  # fmt: skip
"""Results that are the same bits in every run; others have times in them."""
SIZE = "2g"
"""Room of the file system, several times what the experiment writes."""
MESSAGE = re.compile(r"error: \S+: No space left on device; .*free some space, .*")
"""The line that a stage has to print."""
ROOMS = (0.5, 0.0)
"""Room that is left, relative to what the stage writes."""


def results(project: Project) -> Path:
    return project.folder / "results"


def written(project: Project) -> int:
    """Bytes of all results."""
    return sum(file.stat().st_size for file in results(project).rglob("*") if file.is_file())


def digests(project: Project) -> dict[str, str]:
    """Digests of the results that are compared."""
    folder = results(project) / "tiny"
    files = {file for pattern in COMPARED for file in folder.glob(pattern) if file.is_file()}
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
    }


def make_project(folder: Path) -> Project:
    """A copy of the project in a new folder."""
    folder.mkdir()
    return Project(ROOT, folder)


def undisturbed(
    folder: Path, stages: Sequence[str], cores: str
) -> tuple[dict[str, str], dict[str, int]]:
    """Digests of the results, and the bytes that each stage writes."""
    project, sizes, before = make_project(folder), {}, 0
    results(project).mkdir()
    for stage in stages:
        done = project.run(stage, "--cores", cores)
        assert done.returncode == 0, done.stderr
        sizes[stage] = written(project) - before
        before += sizes[stage]
    return digests(project), sizes


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system in memory at a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path, room: int) -> None:
    """Fill the file system of `file` but for `room` bytes."""
    block = bytes(1 << 20)
    with file.open("wb", 0) as stream:
        try:
            while True:
                stream.write(block)
        except OSError:
            pass
        stream.truncate(max(stream.tell() - room, 0))


def disturb(
    project: Project, stage: str, size: int, cores: str, rooms: Sequence[float]
) -> list[dict[str, object]]:
    """Run a stage that writes `size` bytes on a full disk, then with room; what happened."""
    filler, rows = results(project) / "filler", []
    for share in rooms:
        fill(filler, int(share * size))
        done = project.run(stage, "--cores", cores)
        filler.unlink()
        shown = done.stdout + done.stderr
        message = MESSAGE.search(shown)
        rows.append(
            {
                "stage": stage,
                "room": int(share * size),
                "failed": done.returncode != 0,
                "reason_shown": message is not None,
                "traceback_shown": "Traceback" in shown,
                "message": message[0] if message else shown,
            }
        )
    finished = project.run(stage, "--cores", cores).returncode == 0
    return [{**row, "finished": finished} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=STAGES, help="stages to disturb"
    )
    parser.add_argument("--cores", default="2")
    parser.add_argument("--out", type=Path, required=True, help="table to write, as CSV")
    arguments = parser.parse_args()
    stages = STAGES[: 1 + max(map(STAGES.index, arguments.stages))]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        wanted, sizes = undisturbed(Path(name, "undisturbed"), stages, arguments.cores)
        print(f"undisturbed: {sizes}", flush=True)
        project = make_project(Path(name, "disturbed"))
        with mounted(results(project)):
            for stage in stages:
                rooms = ROOMS if stage in arguments.stages else ()
                rows += disturb(project, stage, sizes[stage], arguments.cores, rooms)
                print(*rows[len(rows) - len(rooms) :], sep="\n", flush=True)
            found = digests(project)
    table = pd.DataFrame(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out, index=False)
    lost = [file for file in wanted if found.get(file) != wanted[file]]
    failed = table[table["failed"]]
    silent = failed[~failed["reason_shown"]]
    print(table.drop(columns="message").to_string(index=False))
    print(f"{len(failed)} stages failed on a full disk, {len(silent)} of them without the reason")
    print(f"{len(lost)} of {len(wanted)} files differ from those of the undisturbed run: {lost}")
    sys.exit(bool(lost) or len(silent) > 0 or not table["finished"].all())


if __name__ == "__main__":
    main()
