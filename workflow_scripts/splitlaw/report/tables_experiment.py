"""Tables of the experiment: cost, benchmarks, provenance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitlaw.common.files import sha256_file
from splitlaw.common.result_table import read_result_table
from splitlaw.experiment.strategies import NAMES
from splitlaw.report.figures_delivery import system_name
from splitlaw.report.inputs import FILES, TABLE_FIT, Inputs
from splitlaw.report.number_format import count, error, loss, percent, power
from splitlaw.report.table import Table
from splitlaw.report.task_names import metric_name, task_name


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


def rounds_table(inputs: Inputs) -> Table | None:
    """Runs, expected regret and cost after each round of an adaptive grid."""
    if not inputs.rounds:
        return None
    rows, before = [], 0
    for entry in inputs.rounds:
        costs = _read_cost(inputs, entry.round)
        rows.append(
            [
                str(entry.round),
                str(entry.runs - before),
                str(entry.runs),
                count(entry.tokens),
                costs,
                f"{loss(entry.expected_regret, 4)} ({percent(entry.expected_regret_relative, 3)})",
                ENDS[entry.stop],
            ]
        )
        before = entry.runs
    head = ["Round", "Runs added", "Runs", "Training tokens", "FLOPs"]
    return Table(
        title="Rounds of the grid",
        head=[*head, "Expected regret (nats per token)", "Then"],
        rows=rows,
        note="Runs, tokens and FLOPs are those of all rounds so far. The expected regret is that "
        "of the plan under the law fitted to them, in parentheses relative to the loss.",
    )


ENDS = {
    "": "further runs",
    "stop_regret": "the end: the regret is small enough",
    "rounds": "the end: the most rounds",
    "max_tokens": "the end: the most tokens",
    "pool": "the end: every run is trained",
    "no_gain": "the end: no run would reduce it",
}
"""What follows a round, by the reason in round.json."""


def _read_cost(inputs: Inputs, number: int) -> str:
    """FLOPs of all runs up to a round."""
    file = inputs.folder / "rounds" / str(number) / "cost.csv"
    if not file.exists():
        return "–"
    return power(float(read_result_table(file)["flops"].sum()))


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
        about = [task_name(str(task)), metric_name(str(metric)), loss(part["chance"].mean())]
        rows.append([*about, *scores])
    note = (
        "Lower is better for losses and bits per byte, higher for accuracies. ± one standard error."
    )
    return Table(
        title="Zero-shot benchmarks and held-out losses",
        head=["Task", "Metric", "Chance", *who],
        rows=rows,
        note=note,
    )


def delivery_table(inputs: Inputs) -> Table | None:
    """Losses, parameters, speed and memory of every way to use the final models."""
    table = inputs.delivery
    if table is None:
        return None
    kinds = list(dict.fromkeys(table.loc[table["loss"].notna(), "domain"]))
    rows = []
    for system, part in table.groupby("system", sort=False):
        by_kind = part.set_index("domain")
        first = part.iloc[0]
        rows.append(
            [
                system_name(str(system)),
                *(loss(by_kind.loc[kind, "loss"]) for kind in kinds),
                count(first["params_stored"]),
                count(first["params_active"]),
                count(first["tokens_per_second"]),
                count(first["generated_per_second"]),
                f"{first['memory_mb']:.1f}",
            ]
        )
    head = ["System", *kinds, "Parameters stored", "Parameters active", "Tokens/s, scored"]
    note = (
        "Losses in nats per token. Active: mean over the tokens of the parameters that a token "
        "uses. Speeds are those of the machine and device that measured them."
    )
    return Table(
        title="Ways to use the final models",
        head=[*head, "Tokens/s, generated", "MB"],
        rows=rows,
        note=note,
    )


def provenance_table(inputs: Inputs) -> Table:
    """Files, code and versions that the page was made from."""
    files = [inputs.folder / file for file, _ in FILES.values()]
    if inputs.table is not None:
        files = [inputs.table, inputs.folder / TABLE_FIT, inputs.folder / "plan.json"]
    rows = [
        [_named(file, inputs.folder), sha256_file(file)[:12]] for file in files if file.exists()
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


def _named(file: Path, folder: Path) -> str:
    """A file by its path within the results, or by its name."""
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name


def _dirty(run: Mapping[str, Any]) -> str:
    return " with uncommitted changes" if run.get("git_dirty") else ""
