"""Bring what the reference experiment has made so far into `reference/`.

python benchmarks/collect.py --results results/reference

The grid's rows come a size and seed at a time, once all their jobs are done; the rest is copied
where it stands. Prints the numbers of the data card.
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
REFERENCE = ROOT / "reference"
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
    """The jobs' tables of every size and seed that is complete."""
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
    """`losses.csv` and `cost.csv` of what is complete."""
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
    """Processor hours of the last attempt of each of the grid's jobs, as Snakemake measured it."""
    logs = [*results.glob("logs/pretrain/*.tsv"), *results.glob("logs/specialize/*.tsv")]
    told = [log.read_text().split()[-1] for log in logs]
    return sum(float(seconds) for seconds in told if seconds != "NA") / 3600


def text(results: Path) -> str:
    """A line a domain for the data card: documents and tokens to train on, tokens held out."""
    lines = ["| domain | documents | training tokens | held-out tokens |", "|---|---|---|---|"]
    for file in sorted(results.glob("tokens/*/tokens.json")):
        splits = read_json(file)["splits"]
        documents = f"{splits['train']['documents']:,}"
        train, test = (f"{splits[name]['tokens']:,}" for name in ("train", "test"))
        lines.append(f"| {file.parent.name} | {documents} | {train} | {test} |")
    return "\n".join(lines)


def collect(results: Path) -> None:
    """Rows, copies, and the numbers of the card."""
    rows(results)
    for pattern in COPIED:
        for file in results.glob(pattern):
            there = REFERENCE / file.relative_to(results)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, there)
    print(text(results))
    print(f"\n{hours(results):.1f} processor hours of the grid")


def main() -> None:
    """Collect, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results/reference"))
    results = parser.parse_args().results
    sys.exit(exit_status(lambda: collect(results)))


if __name__ == "__main__":
    main()
