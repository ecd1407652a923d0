"""Time, memory and groups that jobs request."""

import pytest

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.scheduling import resources, throughput
from splitlaw.scheduling.devices import Site
from splitlaw.scheduling.requests import JobRequests
from splitlaw.scheduling.resources import TRUNK
from splitlaw.scheduling.throughput import throughput_of

FLOPS_PER_SECOND = 1e9


def requests(config, *, site=None, **execution):
    config["execution"] = {"flops_per_second": FLOPS_PER_SECOND, **execution}
    return JobRequests(config=ExperimentConfig.read(config), site=site or Site())


def test_minutes_grow_with_the_attempt_up_to_the_limit(config):
    assert [requests(config).minutes(600, attempt=n) for n in (1, 2)] == [23, 46]
    limited = requests(config, site=Site(max_minutes=30))
    assert limited.minutes(600, attempt=2) == 30


def test_memory_grows_with_the_attempt(config):
    measured = {"tokens_per_second": 1.0, "evaluated_tokens_per_second": 1.0}
    measured |= {"start_seconds": 1.0, "run_seconds": 1.0}
    sizes = {size: {**measured, "memory_mb": 400.0} for size in config["sizes"]}
    sizes["w56"]["memory_mb"] = 800.0
    experiment = ExperimentConfig.read(config)
    wanted = JobRequests(config=experiment, site=Site(), calibration={"sizes": sizes})
    assert [wanted.memory_mb("w56", attempt=n) for n in (1, 2, 3)] == [1300, 1950, 2600]
    assert wanted.memory_mb("w16", attempt=1) == 800
    assert wanted.memory_mb(attempt=1) == 1300, "enough for every size"


def test_seconds_are_those_of_the_work(config):
    wanted = requests(config)
    config, batch = wanted.config, wanted.config.training.batch_tokens
    throughput = throughput_of(config, "w24", None, gpu=False)
    work = resources.branch_work(config, "w24", "law")
    assert wanted.grid_seconds("w24", "law") == work.seconds(throughput, batch)
    trunk = resources.trunk_work(config, "w24")
    assert wanted.grid_seconds("w24", TRUNK) == trunk.seconds(throughput, batch)
    final = resources.final_work(config, "half", size="w24", budget=2_000_000)
    assert wanted.final_seconds("w24", 2_000_000, "half") == final.seconds(throughput, batch)


def test_a_sweep_and_a_frontier_take_the_tokens_of_their_runs(config):
    config["frontier"] = {"fractions": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}
    wanted = requests(config)
    speed = wanted.throughput("w16").tokens_per_second
    sweep = wanted.config.tune_learning_rate
    tokens = sweep.tokens * len(sweep.rates)
    assert wanted.sweep_seconds("w16") == pytest.approx(tokens / speed, rel=0.1)
    seconds = wanted.frontier_seconds("w16", 3_000_000)
    assert seconds == pytest.approx(8 * 3_000_000 / speed, rel=0.1)


def test_trained_splits_of_every_number_of_domains_are_part_of_the_time(config):
    seconds = {}
    for train in (False, True):
        config["choose_domains"] = {"numbers": [2, 4], "budget_tokens": 3_000_000, "train": train}
        wanted = requests(config)
        seconds[train] = wanted.domains_seconds()
    speed = wanted.throughput(wanted.config.choose_domains.size).tokens_per_second
    assert seconds[True] - seconds[False] == pytest.approx(2 * 3_000_000 / speed, rel=0.1)


@pytest.mark.parametrize(
    ("execution", "group"),
    [
        ({"flops_per_second": 1e7}, None),
        ({"flops_per_second": 2e10}, "small"),
        ({"flops_per_second": 2e10, "processes": 2}, None),
    ],
)
def test_short_jobs_of_one_process_share_a_group(config, execution, group):
    assert requests(config, **execution).grid_group("w16") == group
    assert requests(config, **execution).final_group("w56", 3_440_640) == group


def test_tiny_jobs_of_several_sizes_share_a_group(config, monkeypatch):
    monkeypatch.setattr(throughput, "START_SECONDS", 1.0)
    fast = {"flops_per_second": 1e15}
    budget = config["final"]["budget_tokens"]
    assert requests(config, **fast).grid_group("w16") == "tiny"
    assert requests(config, **fast).final_group("w56", budget) == "tiny"
    own = requests(config, **fast, by_size={"w16": {"microbatch": 4}})
    assert own.grid_group("w16") == "small", "its execution differs from that of other sizes"
    assert own.grid_group("w24") == "tiny"
