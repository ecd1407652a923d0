"""The JSON that rules compare is byte-identical to that of version 0.1 for the same file.

A difference would run every job of stored results again.
"""

import copy
import json

import pytest
import yaml

from splitlaw.experiment import identity
from splitlaw.experiment.config import ExperimentConfig, load_runs
from splitlaw.experiment.settings import TrainingConfig

WHOLE = ("configs/reference.yaml", "configs/disjoint.yaml", "configs/scarce.yaml")
FILES = ["config.yaml", *WHOLE, "tests/smoke.yaml", "integers"]


@pytest.fixture(params=FILES)
def written(request, config, root) -> dict:
    """A configuration as YAML gives it."""
    if request.param == "integers":
        config["training"] |= {"clip": 1, "weight_decay": 0, "learning_rate_exponent": 0}
        config["corpus"]["splits"]["passages_below"] = 20
        return config
    content = yaml.safe_load((root / request.param).read_text())
    if request.param in WHOLE:
        return content
    return merged(config, content)


def merged(below: dict, above: dict) -> dict:
    """`below` with the keys of `above`, as Snakemake combines configuration files."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def canonical(content) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def test_json_of_jobs_is_that_of_the_file(written):
    config = ExperimentConfig.read(written)
    for size in written["sizes"]:
        shape = {**written["sizes"][size], **written["model"]}
        shape["vocabulary"] = written["tokenizer"]["vocabulary"]
        common = {"shape": shape, "training": written["training"]}
        common["test_tokens"] = written["evaluation"]["tokens"]
        for seed in config.grid.all_seeds:
            grid = config.grid_of(size, seed)
            split = "holdout" if size in written["holdout_sizes"] else "fit"
            runs = {"split": split, "cells": grid.cells, "unsplit": grid.unsplit}
            runs |= {"repeated": grid.repeated} if grid.repeated else {}
            assert identity.grid_json(config, size, seed) == canonical({**common, **runs})
        for split in ("final", "frontier"):
            runs = {"split": split, "cells": [], "unsplit": []}
            assert identity.planned_json(config, size, split) == canonical({**common, **runs})


def test_json_of_the_other_stages_is_that_of_the_file(written):
    config = ExperimentConfig.read(written)
    text = {key: written[key] for key in ("corpus", "evaluation")}
    assert identity.corpus_json(config) == canonical(text)
    assert identity.corpus_json(config, "digest") == canonical({**text, "files": "digest"})
    tokens = {key: written[key] for key in ("tokenizer", "evaluation")}
    assert identity.tokenizer_json(config) == canonical(tokens)
    tasks = {
        "tasks": written["benchmarks"]["tasks"],
        "context": written["model"]["context"],
        "test_tokens": written["evaluation"]["tokens"],
        "characters": written["evaluation"]["characters_per_document"],
    }
    assert identity.benchmark_json(config) == canonical(tasks)
    sections = "sizes holdout_sizes model tokenizer grid training evaluation final execution"
    cost = {key: written[key] for key in sections.split() if key in written}
    cost["corpus"] = {"domains": dict.fromkeys(written["corpus"]["domains"])}
    assert identity.forecast_json(config) == canonical(cost)


def test_execution_has_what_the_file_has(config):
    config["execution"] = {"flops_per_second": 1e9, "by_size": {"w16": {"processes": 2}}}
    made = ExperimentConfig.read(config)
    assert identity.execution_json(made) == "{}"
    assert identity.execution_json(made, "w16") == '{"processes":2}'


def test_states_are_identified_by_the_values_as_written(written):
    """Integers stay integers: the canonical JSON of 1 and of 1.0, and so their digests, differ."""
    training = TrainingConfig(**written["training"])
    assert canonical(training.model_dump()) == canonical(written["training"])


def test_the_json_of_a_forecast_is_a_configuration_of_its_own(written):
    config = ExperimentConfig.read(written)
    assert identity.forecast_json(load_runs(identity.forecast_json(config))) == (
        identity.forecast_json(config)
    )


def test_a_job_that_requests_a_gpu_must_not_train_on_the_cpu(config):
    config["execution"] = {"by_size": {"w16": {"processes": 2}}}
    made = ExperimentConfig.read(config)
    assert identity.execution_json(made, "w16", gpu=True) == '{"device":"cuda","processes":2}'
