"""The runs of an adaptive grid: its pool, its start, and the runs of a round."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import RunsConfig
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.identity import runs_json
from splitlaw.experiment.lineage import GENERAL, Run, trained_steps, trunk_prefix
from splitlaw.experiment.start import design_steps, start_design


@dataclass(frozen=True, kw_only=True, order=True)
class GridRun:
    """A run of the grid with its size and seed."""

    size: str
    """Name of the size."""
    seed: int
    """Seed of initialisation and data order."""
    run: Run
    """D, D' and the domain."""


def fit_grids(config: RunsConfig, seed: int | None = None) -> dict[str, Grid]:
    """The grid of every size that the law is fitted to."""
    sizes = [size for size in config.sizes if config.split_of(size) == "fit"]
    return {size: config.grid_of(size, seed) for size in sizes}


def pool(config: RunsConfig) -> list[GridRun]:
    """All runs that an adaptive grid may train: those of the same grid without rounds."""
    return [
        GridRun(size=size, seed=seed, run=run)
        for seed in config.grid.all_seeds
        for size, grid in fit_grids(config, seed).items()
        for domain in (GENERAL, *config.domain_names)
        for run in grid.runs(domain)
    ]


def start_runs(config: RunsConfig) -> list[GridRun]:
    """The runs of round 0, all of the first seed; the seed also orders them.

    The branches on repeated text are among them: they are no runs of the pool.
    """
    assert config.grid.adaptive is not None
    seed, count = config.grid.seeds[0], config.grid.adaptive.start
    grids = fit_grids(config, seed)
    return [
        GridRun(size=size, seed=seed, run=run)
        for domain in (GENERAL, *config.domain_names)
        for size, run in [
            *start_design(grids, domain=domain, runs=count, seed=seed),
            *((size, run) for size, grid in grids.items() for run in grid.repeated_runs(domain)),
        ]
    ]


def trained_tokens(config: RunsConfig, runs: Iterable[GridRun]) -> int:
    """Tokens that train `runs` when every segment that they share is trained once."""
    by_seed: dict[int, set[tuple[str, Run]]] = {}
    for entry in runs:
        by_seed.setdefault(entry.seed, set()).add((entry.size, entry.run))
    fraction = config.training.cooldown_fraction
    steps = sum(design_steps(part, fraction) for part in by_seed.values())
    return steps * config.training.batch_tokens


def branch_json(
    config: RunsConfig, runs: Collection[GridRun], *, size: str, seed: int, domain: str
) -> str:
    """The runs of a round's job that trains one domain, as `grid_json` has those of a whole grid.

    Those of other sizes, seeds and domains among `runs` are left out.
    """
    of_job = [r.run for r in runs if (r.size, r.seed, r.run.domain) == (size, seed, domain)]
    return _job_json(config, size, of_job)


def trunk_json(config: RunsConfig, runs: Collection[GridRun], *, size: str, seed: int) -> str:
    """The runs whose trunk a round's job trains.

    Runs of the pool are added where training the trunk of `runs` passes the states that they branch
    from, so that a later round finds these states.
    """
    fraction = config.training.cooldown_fraction

    def steps(selected: Iterable[Run]) -> int:
        return trained_steps(filter(None, (trunk_prefix(r.lineage(fraction)) for r in selected)))

    own = [r.run for r in runs if (r.size, r.seed) == (size, seed)]
    least = steps(own)
    others = {r.run for r in pool(config) if (r.size, r.seed) == (size, seed)} - set(own)
    passed = [run for run in others if steps([*own, run]) == least]
    return _job_json(config, size, [*own, *passed])


def _job_json(config: RunsConfig, size: str, runs: Iterable[Run]) -> str:
    cells, unsplit, repeated = set(), set(), set()
    for run in runs:
        if run.domain == GENERAL:
            unsplit.add(run.pretrain_steps)
        elif run.unique_tokens:
            repeated.add((run.pretrain_steps, run.specialize_steps, run.unique_tokens))
        else:
            cells.add((run.pretrain_steps, run.specialize_steps))
    split = config.split_of(size)
    more = {"repeated": sorted(repeated)} if repeated else {}
    return runs_json(
        config, size, split=split, cells=sorted(cells), unsplit=sorted(unsplit), **more
    )


def read_runs(file: Path, config: RunsConfig) -> list[GridRun]:
    """The runs of next_runs.csv, in the order of its rows."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return [run_of(row, config) for row in csv.DictReader(stream)]
    except (OSError, KeyError, ValueError) as cause:
        raise UserError(f"{file}: cannot be read ({cause}); delete it and run again") from None


def run_of(row: Mapping[str, object], config: RunsConfig) -> GridRun:
    """The run of a row with the columns size, seed, domain, pretrain_tokens, specialize_tokens.

    With `unique_specialize_tokens` below the last, it is a run on a part of the domain's text.
    """
    pretrain, specialize = (
        config.training.steps(float(str(row[column])))
        for column in ("pretrain_tokens", "specialize_tokens")
    )
    run = Run(
        domain=str(row["domain"]),
        pretrain_steps=pretrain,
        specialize_steps=specialize,
        unique_tokens=repeated_tokens(row),
    )
    return GridRun(size=str(row["size"]), seed=int(str(row["seed"])), run=run)


def repeated_tokens(row: Mapping[str, object]) -> int:
    """The unique tokens of a row's domain text if they are repeated, otherwise 0."""
    total = int(float(str(row["specialize_tokens"])))
    unique = int(float(str(row.get("unique_specialize_tokens", total))))
    return unique if unique < total else 0
