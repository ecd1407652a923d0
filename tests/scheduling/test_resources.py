"""The predicted work is what the jobs do, and throughputs come from the right source."""

import json

import pytest

from splitlaw.common.files import read_json
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.identity import grid_json
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import STRATEGIES
from splitlaw.scheduling import resources
from splitlaw.scheduling.resources import Throughput, Work
from splitlaw.stages import grid as stage
from splitlaw.stages.grid import Job

THROUGHPUT = Throughput(
    tokens_per_second=1000.0,
    evaluated_tokens_per_second=4000.0,
    start_seconds=10.0,
    run_seconds=0.5,
    memory_mb=800.0,
)


@pytest.fixture
def small(config):
    """The default configuration with two tiny sizes and two domains, for the planted tokens."""
    shape = {"layers": 1, "heads": 2, "intermediate": 12}
    cells = {"pretrain_tokens": [0, 640, 1280], "specialize_tokens": [320, 960]}
    config["sizes"] = {"s": {"width": 8, **shape}, "m": {"width": 12, **shape}}
    config["holdout_sizes"] = []
    config["tokenizer"], config["model"] = {"vocabulary": 300}, {"context": 8}
    config["training"] |= {"batch_tokens": 32, "warmup_tokens": 64}
    config["grid"] = {
        "trunk_tokens": 2560,
        "min_tokens_per_param": 0,
        "seeds": [0],
        "fit": {**cells, "unsplit_tokens": [2560]},
        "holdout": cells,
    }
    corpus, domains = config["corpus"], ("law", "medicine")
    corpus["domains"] = {name: corpus["domains"][name] for name in domains}
    corpus["general"].pop("slices")
    config["final"] |= {"size": "s", "budget_tokens": 2560}
    del config["compare"], config["tune_learning_rate"]
    return ExperimentConfig.read(config)


def test_predicted_work_matches_the_jobs(small, tokens):
    """Steps and disk space of each job, as the jobs themselves count them."""
    config, domains = small, small.domain_names
    content = json.loads(grid_json(small, "s", 0)) | {"test_tokens": 100}
    job = Job.from_config(content, size="s", seed=0, results=tokens)
    execution = ExecutionConfig(compile=False, device="cpu")
    out = tokens / "trunk.json"
    stage.pretrain(job, execution=execution, out=out)
    batch = config.training.batch_tokens
    trunk = resources.trunk_work(config, "s", domains)
    assert read_json(out)["trained_tokens_of_this_process"] == trunk.steps * batch
    for domain in (GENERAL, *domains):
        folder = tokens / "runs" / domain
        stage.specialize(job, domain, domains, execution=execution, out=folder / "losses.csv")
        trained = [read_json(file) for file in folder.glob("*/run.json")]
        work = resources.branch_work(config, "s", domain, domains)
        assert work.runs == len(trained)
        most = max(run["trained_tokens_of_this_process"] for run in trained)
        assert most == work.steps * batch, domain
    states = sum(file.stat().st_size for file in tokens.glob("checkpoints/**/*.safetensors"))
    headers = 4096 * len(list(tokens.glob("checkpoints/**/*.safetensors")))
    assert 0 <= states - resources.grid_work(config, "s", domains).disk_bytes < headers


def test_shared_steps_are_counted_once(experiment):
    domains = experiment.domain_names
    alone = resources.branch_work(experiment, "w16", "law", domains)
    assert alone.steps < alone.steps_independent
    whole = resources.grid_work(experiment, "w16", domains)
    assert whole.steps < 0.3 * whole.steps_independent
    assert whole.jobs == 2 + len(domains)


def test_every_strategy_keeps_to_its_budget(experiment):
    domains, batch = experiment.domain_names, experiment.training.batch_tokens
    budget = experiment.final.budget_tokens
    for share in resources.general_fractions(None).values():
        runs = resources.final_runs(experiment, share, domains, budget)
        tokens = batch * (runs[0].pretrain_steps + sum(run.specialize_steps for run in runs))
        assert abs(tokens - budget) <= batch * len(domains)
    work = [resources.final_work(experiment, name, domains) for name in STRATEGIES]
    assert all(part.steps * batch <= budget + batch for part in work)


def test_seconds_are_the_sum_of_the_parts():
    work = Work(runs=2, steps=100, evaluated_tokens=8000, jobs=1)
    assert work.seconds(THROUGHPUT, 10) == pytest.approx(10 + 2 * 0.5 + 1 + 2)


def test_a_configured_throughput_takes_precedence_over_a_measured_one(config, experiment):
    measured = {"sizes": {"w16": vars(THROUGHPUT)}, "device": "cpu"}
    assert resources.throughput_of(experiment, "w16", measured, gpu=False) == THROUGHPUT
    config["execution"] = {"flops_per_second": 1e9}
    given = resources.throughput_of(ExperimentConfig.read(config), "w16", measured, gpu=False)
    assert given.tokens_per_second == pytest.approx(
        1e9 / experiment.shape_of("w16").flops_per_token
    )


def test_steps_on_a_gpu_take_at_least_the_time_of_their_launches(experiment):
    throughput = resources.throughput_of(experiment, "w16", None, gpu=True)
    assert (
        throughput.tokens_per_second <= experiment.training.batch_tokens / resources.LAUNCH_SECONDS
    )


def test_the_plan_determines_the_work_of_the_optimal_strategy(experiment):
    domains = experiment.domain_names
    few = resources.final_work(experiment, "optimal", domains, plan={"fraction_general": 0.9})
    many = resources.final_work(experiment, "optimal", domains, plan={"fraction_general": 0.1})
    assert few.steps < many.steps
