"""The cost of an experiment by stage and size."""

import yaml

from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.strategies import STRATEGIES
from splitlaw.scheduling import forecast
from splitlaw.scheduling.throughput import Throughput

THROUGHPUT = Throughput(
    tokens_per_second=1000.0,
    evaluated_tokens_per_second=4000.0,
    start_seconds=10.0,
    run_seconds=0.5,
    memory_mb=800.0,
)


def test_the_table_has_every_stage_and_the_savings_of_sharing(config):
    config = ExperimentConfig.read(config)
    table = forecast.forecast(config, dict.fromkeys(config.sizes, THROUGHPUT))
    assert list(table["stage"].unique()) == ["pretrain", "specialize", "train_final"]
    grid = table[table["stage"] != "train_final"]
    assert (grid.groupby("size")["tokens"].sum() > 2e6).all()
    text = forecast.describe(table, config, source="given", gpu=True, planned=False)
    assert "GPU-hours" in text and "Sharing trunks saves " in text and "3.44M tokens" in text
    assert "an assumed split (25%)" in text
    assert f"{len(STRATEGIES)} recipes" in text


def test_an_adaptive_grid_has_an_upper_bound(root):
    config = yaml.safe_load((root / "configs/disjoint.yaml").read_text())
    whole = ExperimentConfig.read(config)
    config["grid"]["adaptive"] = {"start": 6, "rounds": 8, "stop_regret": 2e-4}
    throughputs = dict.fromkeys(whole.sizes, THROUGHPUT)
    table = forecast.forecast(ExperimentConfig.read(config), throughputs)
    assert table.equals(forecast.forecast(whole, throughputs))
    grid = table[table["stage"] != "train_final"].set_index("size")
    pool = grid.drop("w56")
    texts = []
    for most in (None, 30_000_000):
        config["grid"]["adaptive"]["max_tokens"] = most
        made = ExperimentConfig.read(config)
        texts.append(forecast.describe(table, made, source="", gpu=False, planned=False))
    assert "It starts with 30 runs of 18.9M tokens, ends after 8 rounds of 4 runs" in texts[0]
    tokens, hours = forecast.si(pool["tokens"].sum()), pool["hours"].sum()
    assert f"takes at most {tokens} tokens ({hours:.3g} core-hours)" in texts[0]
    assert "takes at most 30M tokens (8." in texts[1]
    assert "adaptive" not in forecast.describe(table, whole, source="", gpu=False, planned=False)


def test_seeds_multiply_the_work(config):
    one = forecast.items(ExperimentConfig.read(config))
    config["grid"]["seeds"] = config["final"]["seeds"] = [0, 1, 2]
    three = forecast.items(ExperimentConfig.read(config))
    assert [item.work.steps for item in three] == [3 * item.work.steps for item in one]


def test_throughputs_have_a_source(config):
    measured = {"device": "a100", "sizes": dict.fromkeys(config["sizes"], vars(THROUGHPUT))}
    checked = ExperimentConfig.read(config)
    found, source = forecast.throughputs_of(checked, measured, gpu=True)
    assert set(found.values()) == {THROUGHPUT}
    assert "measured on a100" in source
    assert "estimate" in forecast.throughputs_of(checked, None, gpu=True)[1]
    config["execution"] = {"flops_per_second": 5e13}
    source = forecast.throughputs_of(ExperimentConfig.read(config), measured, gpu=True)[1]
    assert source == "execution.flops_per_second, 5.00e+13"


def test_counts_are_printed_in_units():
    assert [forecast.si(number) for number in (7, 2048, 3.44e6, 1.5e12)] == [
        "7",
        "2.05k",
        "3.44M",
        "1.5T",
    ]
