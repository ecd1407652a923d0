"""Measure the time and memory that Snakemake takes to plan a grid of many training jobs.

python perf/dag.py --jobs 5000

Makes a dry run of the default grid, without results, with as many seeds as the jobs require.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--jobs", type=int, default=5000, help="minimum number of training jobs (%(default)s)"
    )
    parser.add_argument("--profile", default="none", help="none, local or slurm")
    arguments = parser.parse_args()
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    each = len(config["sizes"]) * (2 + len(config["corpus"]["domains"]))
    seeds = math.ceil(arguments.jobs / each)
    config |= {"experiment": "dag", "grid": {**config["grid"], "seeds": list(range(seeds))}}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        command = ["snakemake", "--dry-run", "--quiet", "--profile", arguments.profile]
        began = time.monotonic()
        subprocess.run([*command, "--configfile", file.name], cwd=ROOT, check=True)
        seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{seeds * each} training jobs planned in {seconds:.1f} s, {memory:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
