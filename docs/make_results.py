"""Write docs/results.md and its figures from the tables of `reference/`.

python docs/make_results.py
python docs/make_results.py --check
python docs/make_results.py collect mixture results/mixture
python docs/make_results.py replan disjoint

`--check` writes nothing and fails where a file differs. `collect` copies the tables of an
experiment's results, complete or not, to `reference/EXPERIMENT`. `replan` plans the split of the
measured frontier of `reference/EXPERIMENT` again, with the law as it is today.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "docs")]

from result_tables import collect, figures, page, read  # noqa: E402

from splitlaw.common.errors import exit_status  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail if a file differs; write none")
    commands = parser.add_subparsers(dest="command")
    command = commands.add_parser("collect", help="copy the tables of results to reference/")
    command.add_argument("experiment", choices=sorted(read.CONFIGS))
    command.add_argument("results", type=Path)
    command = commands.add_parser("replan", help="plan the split of a measured frontier again")
    command.add_argument("experiment", choices=sorted(read.CONFIGS))
    given = parser.parse_args(arguments)
    if given.command is None:
        return check() if given.check else render()
    folder = read.REFERENCE / given.experiment
    if given.command == "replan":
        return exit_status(lambda: print(collect.replan(folder)))
    return exit_status(lambda: print("\n".join(collect.collect(given.results, folder))))


def render() -> int:
    """Write every file that differs."""
    for file, text in page.pages().items():
        if not current(file, text):
            file.write_text(text, encoding="utf-8")
            print(f"{file.relative_to(ROOT)} is written")
    return 0


def check() -> int:
    """Name every file that differs; 1 if there is one."""
    names = different()
    for name in names:
        print(f"{name} differs from the tables of reference/: run python docs/make_results.py")
    return int(bool(names))


def different() -> list[str]:
    """Names of the files that `render` would change."""
    made = page.pages()
    return [str(file.relative_to(ROOT)) for file, text in made.items() if not current(file, text)]


def current(file: Path, text: str) -> bool:
    """Whether a file has this text; numbers of figures may differ by rounding."""
    if not file.exists():
        return False
    found = file.read_text(encoding="utf-8")
    return figures.same(found, text) if file.suffix == ".svg" else found == text


if __name__ == "__main__":
    sys.exit(main())
