"""The forecast counts what the trainer trains, and asks for what a run needs."""

import pytest

from splitlaw.common.files import read_json
from splitlaw.experiment.config import domain_names, grid_of, shape_of
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.scheduling import forecast as cost
from splitlaw.scheduling import resources as needs
from splitlaw.scheduling.resources import Pace, Work
from splitlaw.stages import grid as runs
from splitlaw.stages.grid import Job

PACE = Pace(
    tokens_per_second=1000.0,
    evaluated_tokens_per_second=4000.0,
    start_seconds=10.0,
    run_seconds=0.5,
    memory_mb=800.0,
)


def small(config):
    """The default configuration with one tiny size over the planted tokens."""
    shape = {"width": 8, "layers": 1, "heads": 2, "intermediate": 12}
    cells = {"pretrain_tokens": [0, 640, 1280], "specialize_tokens": [320, 960]}
    config["sizes"], config["holdout_sizes"] = {"s": shape}, []
    config["tokenizer"], config["model"] = {"vocabulary": 32}, {"context": 8}
    config["training"] |= {"batch_tokens": 32, "warmup_tokens": 64}
    config["grid"] = {
        "trunk_tokens": 2560,
        "min_tokens_per_param": 0,
        "seeds": [0],
        "fit": {**cells, "unsplit_tokens": [2560]},
    }
    config["corpus"]["domains"] = {"law": {}, "medicine": {}}
    config["final"] |= {"size": "s", "budget_tokens": 2560}
    return config


def test_the_forecast_is_what_the_trainer_trains(config, tokens):
    """Each job's steps, states and disk, counted by the jobs themselves."""
    config, domains = small(config), ["law", "medicine"]
    grid = grid_of(config, "s")
    content = {
        "shape": vars(shape_of(config, "s")),
        "training": config["training"],
        "test_tokens": 100,
        "split": "fit",
        "cells": grid.cells,
        "unsplit": grid.unsplit,
    }
    job = Job.from_config(content, size="s", seed=0, results=tokens)
    execution = ExecutionConfig(compile=False, device="cpu")
    out = tokens / "trunk.json"
    runs.pretrain(job, execution=execution, out=out)
    batch = config["training"]["batch_tokens"]
    forecast = needs.trunk_work(config, "s", domains)
    assert read_json(out)["trained_tokens_of_this_process"] == forecast.steps * batch
    for domain in (GENERAL, *domains):
        folder = tokens / "runs" / domain
        runs.specialize(job, domain, domains, execution=execution, out=folder / "losses.csv")
        trained = [read_json(file) for file in folder.glob("*/run.json")]
        work = needs.branch_work(config, "s", domain, domains)
        assert work.runs == len(trained)
        most = max(run["trained_tokens_of_this_process"] for run in trained)
        assert most == work.steps * batch, domain
    states = sum(file.stat().st_size for file in tokens.glob("checkpoints/**/*.safetensors"))
    headers = 4096 * len(list(tokens.glob("checkpoints/**/*.safetensors")))
    assert 0 <= states - needs.grid_work(config, "s", domains).disk_bytes < headers


def test_a_trunk_and_its_branches_train_nothing_twice(config):
    domains = domain_names(config)
    alone = needs.branch_work(config, "w16", "law", domains)
    assert alone.steps < alone.steps_independent
    whole = needs.grid_work(config, "w16", domains)
    assert whole.steps < 0.3 * whole.steps_independent
    assert whole.jobs == 2 + len(domains)


def test_no_strategy_takes_more_than_its_budget(config):
    domains, batch = domain_names(config), config["training"]["batch_tokens"]
    budget = config["final"]["budget_tokens"]
    for share in needs.final_shares(None).values():
        runs = needs.final_runs(config, share, domains, budget)
        tokens = batch * (runs[0].pretrain_steps + sum(run.specialize_steps for run in runs))
        assert abs(tokens - budget) <= batch * len(domains)
    work = {name: needs.final_work(config, name, domains) for name in needs.final_shares(None)}
    assert all(part.steps * batch <= budget + batch for part in work.values())


def test_seconds_are_those_of_the_parts():
    work = Work(runs=2, steps=100, evaluated_tokens=8000, jobs=1)
    assert work.seconds(PACE, 10) == pytest.approx(10 + 2 * 0.5 + 1 + 2)


def test_time_and_memory_grow_with_the_attempt_up_to_the_limit():
    assert [needs.minutes(600, attempt=n) for n in (1, 2)] == [23, 46]
    assert needs.minutes(600, attempt=2, limit=30) == 30
    first, second = (needs.memory_mb(PACE, attempt=n) for n in (1, 2))
    assert first == 1300 and second == 1.5 * first


def test_a_given_throughput_beats_a_measured_one(config):
    measured = {"sizes": {"w16": vars(PACE)}, "device": "cpu"}
    assert needs.pace_of(config, "w16", measured, gpu=False) == PACE
    config["execution"] = {"flops_per_second": 1e9}
    given = needs.pace_of(config, "w16", measured, gpu=False)
    assert given.tokens_per_second == pytest.approx(1e9 / shape_of(config, "w16").flops_per_token)


def test_a_small_model_on_a_gpu_is_not_believed_to_be_faster_than_its_launches(config):
    pace = needs.pace_of(config, "w16", None, gpu=True)
    assert pace.tokens_per_second <= config["training"]["batch_tokens"] / needs.LAUNCH_SECONDS


def test_the_table_tells_hours_by_stage_and_what_sharing_saves(config):
    paces = dict.fromkeys(config["sizes"], PACE)
    table = cost.forecast(config, paces)
    assert list(table["stage"].unique()) == ["pretrain", "specialize", "train_final"]
    grid = table[table["stage"] != "train_final"]
    assert (grid.groupby("size")["tokens"].sum() > 1e7).all()
    text = cost.describe(table, config, source="given", gpu=True, planned=False)
    assert "GPU-hours" in text and "Sharing trunks saves " in text and "3.44M tokens" in text


def test_the_plan_decides_the_final_training_once_it_stands(config):
    domains = domain_names(config)
    few = needs.final_work(config, "optimal", domains, plan={"fraction_general": 0.9})
    many = needs.final_work(config, "optimal", domains, plan={"fraction_general": 0.1})
    assert few.steps < many.steps


def test_seeds_multiply(config):
    one = cost.items(config)[0].work
    config["grid"]["seeds"] = [0, 1, 2]
    assert cost.items(config)[0].work.steps == 3 * one.steps
