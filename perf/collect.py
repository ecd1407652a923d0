"""Copy the results of the reference experiment so far into `reference/grid/`.

python perf/collect.py --results results/reference

Rows of the grid are included once all jobs of their size and seed have finished; other files are
copied if they exist. Prints the numbers of the data card.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from splitlaw.common.errors import UserError, exit_status
from splitlaw.common.files import read_json
from splitlaw.stages.gather import gather

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "reference.yaml"
REFERENCE = ROOT / "reference" / "grid"
COPIED = (
    "learning_rate/rates.csv",
    "law/fit.json",
    "split/**/plan.json",
    "final/*.csv",
    *(f"compare/gains.{suffix}" for suffix in ("csv", "md", "svg")),
    *(f"frontier/frontier.{suffix}" for suffix in ("csv", "svg")),
    *(f"figures/{name}.svg" for name in ("comparison", "predicted_measured", "split", "transfer")),
)


def tables(results: Path, config: dict) -> list[Path]:
    """Return the tables of the jobs of every complete size and seed."""
    domains = ["general", *config["corpus"]["domains"]]
    found = []
    for size in config["sizes"]:
        for seed in (*config["grid"]["seeds"], *config["grid"]["repeat"]["seeds"]):
            folder = results / "runs" / size / f"seed{seed}"
            wanted = [folder / domain / "losses.csv" for domain in domains]
            if all(table.exists() for table in wanted):
                found += wanted
    return found


def rows(results: Path) -> None:
    """Write `losses.csv` and `cost.csv` of all complete sizes and seeds."""
    config = yaml.safe_load(CONFIG.read_text())
    complete = tables(results, config)
    if not complete:
        raise UserError(f"{results}/runs: no size is complete; train the grid first")
    gather(
        complete,
        losses_out=REFERENCE / "losses.csv",
        cost_out=REFERENCE / "cost.csv",
        cooldown_fraction=config["training"]["cooldown_fraction"],
        batch_tokens=config["training"]["batch_tokens"],
    )


def hours(results: Path) -> float:
    """Return the processor hours of the grid's jobs (last attempts), as measured by Snakemake."""
    logs = [*results.glob("logs/pretrain/*.tsv"), *results.glob("logs/specialize/*.tsv")]
    cpu_times = [log.read_text().split()[-1] for log in logs]
    return sum(float(seconds) for seconds in cpu_times if seconds != "NA") / 3600


def text(results: Path) -> str:
    """Return a table for the data card: documents, training and held-out tokens of each domain."""
    lines = ["| domain | documents | training tokens | held-out tokens |", "|---|---|---|---|"]
    for file in sorted(results.glob("tokens/*/tokens.json")):
        splits = read_json(file)["splits"]
        documents = f"{splits['train']['documents']:,}"
        train, test = (f"{splits[name]['tokens']:,}" for name in ("train", "test"))
        lines.append(f"| {file.parent.name} | {documents} | {train} | {test} |")
    return "\n".join(lines)


def collect(results: Path) -> None:
    """Write the rows, copy the files, and print the numbers of the card."""
    rows(results)
    for pattern in COPIED:
        for file in results.glob(pattern):
            copy = REFERENCE / file.relative_to(results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    print(text(results))
    print(f"\n{hours(results):.1f} processor hours of the grid")


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results/reference"))
    results = parser.parse_args().results
    sys.exit(exit_status(lambda: collect(results)))


if __name__ == "__main__":
    main()
