"""The rounds of an adaptive grid: which runs the next one trains, and which round is the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common.files import read_json, write_json
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.columns import FIT, NEXT_RUNS
from splitlaw.experiment.config import RunsConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.rounds import GridRun, pool, run_of, trained_tokens
from splitlaw.laws.result import FitResult
from splitlaw.planner import next_runs, plan
from splitlaw.stages.round_record import STOPS, Round

POOL = "size params seed domain pretrain_tokens specialize_tokens".split()
"""Columns of pool.csv: one row per run that is not trained."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """An earlier choice of the same round."""

    rows: pd.DataFrame
    """Its next_runs.csv."""
    domains: tuple[str, ...] = ()
    """Domains of which runs could be chosen."""

    @classmethod
    def read(cls, out: Path, folder: Path) -> Record:
        """The choice in `out` and in round.json of `folder`; without rows if there is none."""
        file = folder / "round.json"
        if not (out.exists() and file.exists()):
            return cls(rows=pd.DataFrame(columns=NEXT_RUNS))
        return cls(rows=pd.read_csv(out), domains=tuple(read_json(file)["domains"]))


def end_round(
    config: RunsConfig, *, number: int, losses: Path, law: Path, out: Path, folder: Path
) -> str:
    """Choose the runs of the next round, write them to `out`, and return a summary.

    `losses` has the rows of all rounds so far, and `law` is fitted to them. Where `out` and
    round.json in `folder` exist, with runs for fewer domains, these runs are kept and only those of
    the other domains are added. No run is chosen after the last round; round.json then has the
    reason. pool.csv gets the runs of the grid that are not trained.
    """
    fit = FitResult.load(law)
    done = trained_runs(pd.read_csv(losses), config)
    left = [run for run in pool(config) if run not in done]
    target = plan_target(config)
    made = plan(fit, **target, flops_per_token=config.shape_of(config.final.size).flops_per_token)
    assert made.expected_regret is not None and made.expected_regret_relative is not None
    record = Record.read(out, folder)
    rows, stop = choose(
        config, fit, left, done, number=number, regret=made.expected_regret_relative, record=record
    )
    about = Round(
        round=number,
        domains=tuple(config.domain_names),
        runs=len(done),
        tokens=trained_tokens(config, done),
        expected_regret=made.expected_regret,
        expected_regret_relative=made.expected_regret_relative,
        stop=stop,
    )
    write_result_table(folder / "pool.csv", pool_table(config, left))
    write_json(folder / "round.json", asdict(about))
    write_result_table(out, rows)
    return (
        f"round {number}: {about.runs} runs, {about.tokens:,} tokens; the expected regret of the "
        f"plan is {about.expected_regret_relative:.3%} of the loss; "
        f"{STOPS[stop].format(runs=len(rows))}"
    )


def plan_target(config: RunsConfig) -> dict[str, Any]:
    """The arguments of the plan for `final`, for `plan` and for `next_runs`."""
    shape = config.shape_of(config.final.size)
    return {
        "flops": config.final.budget_tokens * shape.flops_per_token,
        "params": float(shape.params),
        "domains": config.domain_names,
        "trunk": config.final.trunk,
    }


def trained_runs(losses: pd.DataFrame, config: RunsConfig) -> list[GridRun]:
    """The runs of losses.csv of the sizes that the law is fitted to, each once."""
    rows = losses[losses["split"] == FIT].drop_duplicates("run")
    rows = rows.assign(domain=rows["train_domain"])
    return [run_of(row, config) for row in rows.to_dict("records")]


def pool_table(config: RunsConfig, runs: Sequence[GridRun]) -> pd.DataFrame:
    """The runs as rows with the columns `POOL`."""
    batch = config.training.batch_tokens
    rows = [
        (
            entry.size,
            config.shape_of(entry.size).params,
            entry.seed,
            entry.run.domain,
            entry.run.pretrain_steps * batch,
            entry.run.specialize_steps * batch,
        )
        for entry in runs
    ]
    return pd.DataFrame(rows, columns=POOL)


def choose(
    config: RunsConfig,
    fit: FitResult,
    left: Sequence[GridRun],
    done: Sequence[GridRun],
    *,
    number: int,
    regret: float,
    record: Record,
) -> tuple[pd.DataFrame, str]:
    """The rows of next_runs.csv after round `number`, and if there are none the reason.

    `left` are the runs of the pool that are not trained, `done` those that are, and `regret` is the
    expected regret relative to the loss. The runs of `record` are kept, because they are trained
    already where the round is chosen again: with them, only domains that it lacks get new runs.
    """
    adaptive, nothing = config.grid.adaptive, pd.DataFrame(columns=NEXT_RUNS)
    assert adaptive is not None
    if number >= adaptive.rounds:
        return nothing, "rounds"
    if not left:
        return nothing, "pool"
    kept = record.rows[[run_of(row, config) in left for row in record.rows.to_dict("records")]]
    names = [GENERAL, *config.domain_names]
    if len(kept):
        names = [name for name in config.domain_names if name not in record.domains]
    candidates = [entry for entry in left if entry.run.domain in names]
    new, stop = nothing, "stop_regret"
    if regret > adaptive.stop_regret and candidates:
        count = adaptive.runs or len(config.domain_names)
        if len(kept):
            count = ceil(count * len(names) / len(config.domain_names))
        table = pool_table(config, candidates)
        trained = pool_table(config, [entry for entry in done if not entry.run.unique_tokens])
        new = next_runs(fit, pool=table, trained=trained, runs=count, **plan_target(config))
        stop = "max_tokens" if len(new) else "no_gain"
    rows = new if kept.empty else kept if new.empty else pd.concat([kept, new], ignore_index=True)
    rows = affordable(config, rows, done)
    return rows, "" if len(rows) else stop


def affordable(config: RunsConfig, rows: pd.DataFrame, done: Sequence[GridRun]) -> pd.DataFrame:
    """The rows, in their order, without those that would exceed `grid.adaptive.max_tokens`."""
    assert config.grid.adaptive is not None
    most, runs, chosen = config.grid.adaptive.max_tokens, list(done), []
    for row in rows.to_dict("records"):
        run = run_of(row, config)
        fits = most is None or trained_tokens(config, [*runs, run]) <= most
        chosen.append(fits)
        runs += [run] if fits else []
    return rows[chosen].reset_index(drop=True)
