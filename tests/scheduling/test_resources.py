"""The predicted work is what the jobs do, and throughputs come from the right source."""

import pytest

from splitlaw.common.files import read_json, write_json
from splitlaw.experiment.config import ExperimentConfig, ForecastConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import STRATEGIES
from splitlaw.scheduling import resources
from splitlaw.scheduling.resources import Work
from splitlaw.scheduling.throughput import (
    LAUNCH_SECONDS,
    Throughput,
    calibrated_config,
    read_calibration,
    throughput_of,
)
from splitlaw.stages import grid as stage
from splitlaw.stages.job import Job

THROUGHPUT = Throughput(
    tokens_per_second=1000.0,
    evaluated_tokens_per_second=4000.0,
    start_seconds=10.0,
    run_seconds=0.5,
    memory_mb=800.0,
)


def small(config):
    """Tiny sizes for the planted tokens and two domains."""
    shape = {"layers": 1, "heads": 2, "intermediate": 12}
    sizes = {"s": {"width": 8, **shape}, "m": {"width": 16, **shape}}
    cells = {"pretrain_tokens": [0, 640, 1280], "specialize_tokens": [320, 960]}
    content = {
        "sizes": sizes,
        "holdout_sizes": [],
        "tokenizer": {"vocabulary": 257},
        "model": {"context": 8},
        "training": {**config["training"], "batch_tokens": 32, "warmup_tokens": 64},
        "grid": {
            "trunk_tokens": 2560,
            "min_tokens_per_param": 0,
            "seeds": [0],
            "fit": {**cells, "unsplit_tokens": [2560]},
            "holdout": cells,
        },
        "evaluation": {"tokens": 100},
        "final": {**config["final"], "size": "s", "budget_tokens": 2560},
        "corpus": {"domains": {"law": None, "medicine": None}},
    }
    return ForecastConfig.read(content, where="test")


def grid_work(config, size):
    """Work of all grid jobs of a size."""
    branches = [
        resources.branch_work(config, size, name) for name in (GENERAL, *config.domain_names)
    ]
    return sum(branches, resources.trunk_work(config, size))


def test_predicted_work_matches_the_jobs(config, tokens):
    """Steps and disk space of each job, as the jobs themselves count them."""
    config = small(config)
    batch, grid = config.training.batch_tokens, config.grid_of("s")
    content = {
        "shape": vars(config.shape_of("s")),
        **config.as_written("training"),
        "test_tokens": config.evaluation.tokens,
        "split": "fit",
        "cells": grid.cells,
        "unsplit": grid.unsplit,
    }
    job = Job.from_config(content, size="s", seed=0, results=tokens)
    execution = ExecutionConfig(compile=False, device="cpu")
    out = tokens / "trunk.json"
    stage.pretrain(job, execution=execution, out=out)
    trunk = resources.trunk_work(config, "s")
    assert read_json(out)["trained_tokens_of_this_process"] == trunk.steps * batch
    for domain in (GENERAL, *config.domain_names):
        folder = tokens / "runs/s/seed0" / domain
        losses = folder / "losses.csv"
        stage.specialize(job, domain, config.domain_names, execution=execution, out=losses)
        trained = [read_json(file) for file in folder.glob("*/run.json")]
        work = resources.branch_work(config, "s", domain)
        assert work.runs == len(trained)
        most = max(run["trained_tokens_of_this_process"] for run in trained)
        assert most == work.steps * batch, domain
    states = sum(file.stat().st_size for file in tokens.glob("checkpoints/**/*.safetensors"))
    headers = 4096 * len(list(tokens.glob("checkpoints/**/*.safetensors")))
    assert 0 <= states - grid_work(config, "s").disk_bytes < headers


def test_shared_steps_are_counted_once(config):
    config = ExperimentConfig.read(config)
    alone = resources.branch_work(config, "w16", "law")
    assert alone.steps < alone.steps_independent
    whole = grid_work(config, "w16")
    assert whole.steps < 0.4 * whole.steps_independent
    assert whole.jobs == 2 + len(config.domain_names)


def test_every_strategy_keeps_to_its_budget(config):
    config = ExperimentConfig.read(config)
    batch, budget = config.training.batch_tokens, config.final.budget_tokens
    for share in resources.general_fractions(None).values():
        runs = resources.final_runs(config, share, budget)
        tokens = batch * (runs[0].pretrain_steps + sum(run.specialize_steps for run in runs))
        assert abs(tokens - budget) <= batch * len(config.domain_names)
    work = [resources.final_work(config, name) for name in STRATEGIES]
    assert all(part.steps * batch <= budget + batch for part in work)


def test_independent_trunks_are_jobs_of_their_own(config):
    config["final"]["trunk"] = "independent"
    made = ExperimentConfig.read(config)
    batch, budget, domains = (
        made.training.batch_tokens,
        made.final.budget_tokens,
        len(made.domain_names),
    )
    jobs = resources.final_jobs(made)
    assert jobs.count(resources.TRUNK) == domains
    runs = resources.final_runs(made, 0.9, budget)
    tokens = sum(batch * run.total for run in runs)
    assert abs(tokens - budget) <= batch * domains, "every specialist pays for its own trunk"
    steps = resources.final_work(made, "two_stage_90").steps
    assert steps + domains * runs[0].pretrain_steps == pytest.approx(budget / batch, abs=domains)
    assert resources.final_work(made, "no_split").steps == made.training.steps(budget)


def test_seconds_are_the_sum_of_the_parts():
    work = Work(runs=2, steps=100, evaluated_tokens=8000, jobs=1)
    assert work.seconds(THROUGHPUT, 10) == pytest.approx(10 + 2 * 0.5 + 1 + 2)


def test_a_configured_throughput_takes_precedence_over_a_measured_one(config):
    measured = {"sizes": {"w16": vars(THROUGHPUT)}, "device": "cpu"}
    found = throughput_of(ExperimentConfig.read(config), "w16", measured, gpu=False)
    assert found == THROUGHPUT
    config["execution"] = {"flops_per_second": 1e9}
    checked = ExperimentConfig.read(config)
    found = throughput_of(checked, "w16", measured, gpu=False)
    flops = checked.shape_of("w16").flops_per_token
    assert found.tokens_per_second == pytest.approx(1e9 / flops)


def test_steps_on_a_gpu_take_at_least_the_time_of_their_launches(config):
    config = ExperimentConfig.read(config)
    throughput = throughput_of(config, "w16", None, gpu=True)
    fastest = config.training.batch_tokens / LAUNCH_SECONDS
    assert throughput.tokens_per_second <= fastest


def test_a_calibration_of_another_configuration_is_ignored(config, tmp_path):
    checked, file = ExperimentConfig.read(config), tmp_path / "calibration.json"
    assert read_calibration(file, checked) is None
    write_json(file, {"measured": calibrated_config(checked), "sizes": {}})
    assert read_calibration(file, checked)["sizes"] == {}
    config["law"]["seed"] += 1
    assert read_calibration(file, ExperimentConfig.read(config)) is not None
    config["execution"] = {"by_size": {"w16": {"microbatch": 2}}}
    assert read_calibration(file, ExperimentConfig.read(config)) is None


def test_relative_flops_average_to_one(config):
    config = ExperimentConfig.read(config)
    relative = [resources.relative_flops(config, size) for size in config.sizes]
    assert sum(relative) == pytest.approx(len(relative))
    assert relative == sorted(relative)


def test_the_plan_determines_the_work_of_the_optimal_strategy(config):
    config = ExperimentConfig.read(config)
    few = resources.final_work(config, "optimal", plan={"fraction_general": 0.9})
    many = resources.final_work(config, "optimal", plan={"fraction_general": 0.1})
    assert few.steps < many.steps
