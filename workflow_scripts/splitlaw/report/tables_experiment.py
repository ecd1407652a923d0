"""Tables of the experiment: cost, benchmarks, provenance."""

from collections.abc import Mapping
from typing import Any

from splitlaw.common.files import sha256_file
from splitlaw.experiment.strategies import NAMES
from splitlaw.report.inputs import FILES, Inputs
from splitlaw.report.number_format import count, error, loss, percent, power
from splitlaw.report.table import Table


def cost_table(inputs: Inputs) -> Table | None:
    """Cost of training, and the saving through shared trunks."""
    cost = inputs.cost
    if cost is None:
        return None
    rows = [
        [
            f"{row.stage}, {row.size}",
            str(getattr(row, "runs", "–")),
            count(row.tokens),
            power(row.flops) if hasattr(row, "flops") else "–",
            count(row.tokens_independent),
        ]
        for row in cost.itertuples()
    ]
    total, alone = cost["tokens"].sum(), cost["tokens_independent"].sum()
    flops = power(cost["flops"].sum()) if "flops" in cost else "–"
    runs = str(cost["runs"].sum()) if "runs" in cost else "–"
    rows.append(["Total", runs, count(total), flops, count(alone)])
    head = ["Stage", "Runs", "Training tokens", "FLOPs", "Training tokens without sharing"]
    note = (
        f"Runs share the parts of training that they have in common. This takes "
        f"{percent(total / alone, 0)} of the tokens of independent runs."
        if alone
        else ""
    )
    return Table(title="Cost of the grid", head=head, rows=rows, note=note)


def benchmarks_table(inputs: Inputs) -> Table | None:
    """Scores by task and metric, for every strategy and system."""
    if inputs.benchmarks is None:
        return None
    table = inputs.benchmarks
    for column in ("stderr", "chance"):
        if column not in table:
            table = table.assign(**{column: float("nan")})
    table = table.assign(who=table["strategy"].replace(NAMES) + ", " + table["system"].astype(str))
    who = list(dict.fromkeys(table["who"]))
    rows = []
    for (task, metric), part in table.groupby(["task", "metric"], sort=False):
        means = part.groupby("who")[["value", "stderr"]].mean().reindex(who)
        scores = [error(row.value, row.stderr, 3) for row in means.itertuples()]
        name = str(metric).replace("_", " ")
        rows.append([str(task), name, loss(part["chance"].mean()), *scores])
    note = (
        "Lower is better for losses and bits per byte, higher for accuracies. ± one standard error."
    )
    return Table(
        title="Zero-shot benchmarks and held-out losses",
        head=["Task", "Metric", "Chance", *who],
        rows=rows,
        note=note,
    )


def provenance_table(inputs: Inputs) -> Table:
    """Files, code and versions that the page was made from."""
    rows = [
        [file, sha256_file(inputs.folder / file)[:12]]
        for file, _ in FILES.values()
        if (inputs.folder / file).exists()
    ]
    if inputs.finals:
        run = inputs.finals[0].run
        commit = run.get("git_commit") or "unknown"
        rows.append(["Code of the final models", commit[:12] + _dirty(run)])
        versions = run.get("versions", {})
        rows.append(["Versions", ", ".join(f"{k} {v}" for k, v in versions.items())])
        rows.append(["Device", f"{run.get('device', '–')}, {run.get('machine', '–')}"])
        seconds = sum(final.run.get("wall_seconds", 0) for final in inputs.finals)
        rows.append(["Training of the final models", f"{seconds / 60:.1f} minutes in total"])
    note = "Files are identified by the first 12 digits of their SHA-256 digest."
    return Table(title="Provenance", head=["", ""], rows=rows, note=note)


def _dirty(run: Mapping[str, Any]) -> str:
    return " with uncommitted changes" if run.get("git_dirty") else ""
