"""The parts of a configuration that identify results, in the JSON that rules compare.

A job runs again when its JSON changes, so the JSON has the values as written in the file, without
defaults.
"""

from __future__ import annotations

from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import canonical_json
from splitlaw.experiment.config import ExperimentConfig, RunsConfig

RUNS_SECTIONS = (
    "base",
    "sizes",
    "holdout_sizes",
    "model",
    "tokenizer",
    "grid",
    "training",
    "evaluation",
    "final",
)
"""The sections of `RunsConfig`, except where and how its runs are computed."""


def corpus_json(config: ExperimentConfig, files: str = "") -> str:
    """Everything that determines the corpus; `files` is a digest of the files of its sources.

    The number of shards does not change the corpus.
    """
    sections = config.as_written("corpus", "evaluation")
    sections["corpus"] = {k: v for k, v in sections["corpus"].items() if k != "shards"}
    return canonical_json({**sections, "files": files} if files else sections)


def tokenizer_json(config: RunsConfig, files: str = "") -> str:
    """Everything that determines the tokenizer and the token files, except the corpus.

    `files` is a digest of the files of an existing tokenizer.
    """
    sections = config.as_written("tokenizer", "evaluation")
    return canonical_json({**sections, "files": files} if files else sections)


def runs_json(config: RunsConfig, size: str, **runs: Any) -> str:
    """Everything that determines the given runs of a size, except their tokens."""
    return canonical_json(
        {
            "shape": vars(config.shape_of(size)),
            **config.as_written("training"),
            "test_tokens": config.evaluation.tokens,
            **({} if config.base is None else {"base_tokens": config.base_tokens}),
            **runs,
        }
    )


def grid_json(config: RunsConfig, size: str, seed: int) -> str:
    """The runs of the grid of a size and seed."""
    grid = config.grid_of(size, seed)
    split = config.split_of(size)
    runs: dict[str, Any] = {"cells": grid.cells, "unsplit": grid.unsplit}
    # Absent where there are none, so that the JSON of other grids stays as it was.
    if any(grid.replay):
        runs["replay"] = grid.replay
    for key in ("holdout_cells", "holdout_replay", "repeated"):
        if getattr(grid, key):
            runs[key] = getattr(grid, key)
    return runs_json(config, size, split=split, **runs)


def planned_json(config: RunsConfig, size: str, split: str) -> str:
    """Runs that follow a plan: they depend on the grid only through the plan.

    `split` is their value in the column of that name: `final` or `frontier`.
    """
    shares = config.final_replay if split == "final" else {}
    replay = {"final_replay": shares} if shares else {}
    return runs_json(config, size, split=split, cells=[], unsplit=[], **replay)


def benchmark_json(config: ExperimentConfig) -> str:
    """Tasks, context and held-out text on which the systems are measured."""
    return canonical_json(
        {
            "tasks": config.benchmarks.tasks,
            "context": config.model.context,
            "test_tokens": config.evaluation.tokens,
            "characters": config.evaluation.characters_per_document,
        }
    )


def domains_json(config: ExperimentConfig) -> str:
    """Everything that determines the choice of the number of domains, except the corpus."""
    if config.base is not None:
        raise UserError("choose_domains compares new models; remove the section base")
    study, discovery = config.choose_domains, config.corpus.discovery
    return canonical_json(
        {
            # Absent unless it is set, so that the JSON of existing results stays as it was.
            **study.model_dump(exclude=None if study.train else {"train"}),
            "shape": vars(config.shape_of(study.size)),
            **config.as_written("training"),
            "seed": config.grid.seeds[0],
            "embedding": discovery.embedding if discovery else None,
            "corpus_seed": config.corpus.seed,
            "test_tokens": config.evaluation.tokens,
            "minimum_tokens": config.evaluation.minimum_tokens,
            **config.as_written("law"),
        }
    )


def forecast_json(config: RunsConfig) -> str:
    """The part that a forecast and a calibration depend on: a `ForecastConfig`."""
    return _forecast_json(config, *RUNS_SECTIONS, "execution")


def rounds_json(config: RunsConfig) -> str:
    """The part that the choice of the runs of a round depends on: a `ForecastConfig`."""
    return _forecast_json(config, *RUNS_SECTIONS)


def _forecast_json(config: RunsConfig, *names: str) -> str:
    domains = dict.fromkeys(config.domain_names)
    return canonical_json({**config.as_written(*names), "corpus": {"domains": domains}})


def execution_json(config: RunsConfig, size: str | None = None, *, gpu: bool = False) -> str:
    """Where and how the runs of a size are computed; changing it does not run a job again.

    With `gpu`, the job requests a GPU, so that it must not train on the CPU instead.
    """
    execution = config.execution_of(size)
    if gpu:
        execution = execution.model_copy(update={"device": "cuda"})
    return canonical_json(execution.model_dump(exclude_unset=True, exclude={"flops_per_second"}))
