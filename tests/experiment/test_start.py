"""The pool of an adaptive grid, its start, and the jobs of its rounds."""

import json

import pytest
import yaml

from splitlaw.common.errors import UserError
from splitlaw.experiment import identity
from splitlaw.experiment.config import ExperimentConfig, load_runs
from splitlaw.experiment.lineage import GENERAL, trained_steps, trunk_prefix
from splitlaw.experiment.rounds import (
    branch_json,
    pool,
    read_runs,
    start_runs,
    trained_tokens,
    trunk_json,
)

ADAPTIVE = {"start": 6, "rounds": 3, "stop_regret": 2e-4}


@pytest.fixture
def config(root):
    return yaml.safe_load((root / "configs/disjoint.yaml").read_text())


def adaptive(config, **changes):
    config["grid"]["adaptive"] = {**ADAPTIVE, **changes}
    return ExperimentConfig.read(config)


def of_domain(runs, domain):
    return [entry for entry in runs if entry.run.domain == domain]


def test_the_start_of_every_domain_has_every_size_and_number_of_tokens(config):
    made = adaptive(config)
    fit = config["grid"]["fit"]
    for domain in made.domain_names:
        part = of_domain(start_runs(made), domain)
        assert len(part) == len(set(part)) == 6
        assert {entry.size for entry in part} == {"w16", "w24", "w32"}
        pretrain = {entry.run.pretrain_steps * 1024 for entry in part}
        assert pretrain == set(fit["pretrain_tokens"])
        assert {entry.run.specialize_steps * 1024 for entry in part} == set(
            fit["specialize_tokens"]
        )
    assert len(of_domain(start_runs(made), GENERAL)) == 6


def test_a_new_domain_and_a_longer_start_keep_the_runs_of_the_start(config):
    before = start_runs(adaptive(config))
    longer = start_runs(adaptive(config, start=8))
    assert set(before) < set(longer)
    config["corpus"]["domains"]["maths"] = {"sources": [{"package": "maths"}]}
    after = start_runs(adaptive(config))
    assert set(after) - set(before) == set(of_domain(after, "maths"))
    trunks = {
        domain: {(e.size, e.run.pretrain_steps) for e in of_domain(after, domain)}
        for domain in ("law", "maths")
    }
    assert trunks["law"] == trunks["maths"]


def test_another_seed_gives_another_start(config):
    before = start_runs(adaptive(config))
    config["grid"]["seeds"] = [1]
    assert [e.run for e in start_runs(adaptive(config))] != [e.run for e in before]


def test_the_pool_has_every_run_of_the_grid_and_its_tokens_count_trunks_once(config):
    made = adaptive(config)
    runs = pool(made)
    assert len(runs) == len(set(runs)) == 3 * (15 * 4) + 3 * 10
    steps = sum(
        trained_steps(e.run.lineage(0.2) for e in runs if e.size == size)
        for size in ("w16", "w24", "w32")
    )
    assert trained_tokens(made, runs) == steps * 1024
    assert set(start_runs(made)) < set(runs)


def test_the_trunk_of_a_round_stores_every_state_that_it_passes(config):
    made = adaptive(config)
    start = start_runs(made)
    job = json.loads(trunk_json(made, start, size="w24", seed=0))
    whole = json.loads(identity.grid_json(made, "w24", 0))
    own = [e.run for e in start if e.size == "w24"]
    assert {(r.pretrain_steps, r.specialize_steps) for r in own if r.domain != GENERAL} < {
        tuple(cell) for cell in job["cells"]
    }
    prefixes = [trunk_prefix(run.lineage(0.2)) for run in own]
    passed = [
        e.run
        for e in pool(made)
        if e.size == "w24" and [e.run.pretrain_steps, e.run.specialize_steps] in job["cells"]
    ]
    more = [trunk_prefix(run.lineage(0.2)) for run in passed]
    assert trained_steps(filter(None, prefixes + more)) == trained_steps(filter(None, prefixes))
    assert {key: job[key] for key in job if key not in ("cells", "unsplit")} == {
        key: whole[key] for key in whole if key not in ("cells", "unsplit")
    }


def test_a_job_has_the_runs_of_its_own_size_seed_and_domain(config, tmp_path):
    made = adaptive(config)
    file = tmp_path / "next_runs.csv"
    file.write_text(
        "batch,size,params,seed,domain,pretrain_tokens,specialize_tokens,flops\n"
        "1,w16,25328.0,0,law,327680.0,163840.0,1e9\n"
        "1,w16,25328.0,0,code,0.0,655360.0,1e9\n"
        "2,w16,25328.0,0,general,3440640.0,0.0,1e9\n"
    )
    runs = read_runs(file, made)
    one = {"size": "w16", "seed": 0}
    job = json.loads(branch_json(made, runs, **one, domain="law"))
    assert (job["cells"], job["unsplit"]) == ([[320, 160]], [])
    job = json.loads(branch_json(made, runs, **one, domain=GENERAL))
    assert (job["cells"], job["unsplit"]) == ([], [3360])
    with pytest.raises(UserError, match="delete it and run again"):
        read_runs(tmp_path / "none.csv", made)


def test_the_choice_of_runs_does_not_depend_on_the_execution(config):
    text = identity.rounds_json(adaptive(config))
    config["execution"] = {"processes": 2}
    assert identity.rounds_json(adaptive(config)) == text
    assert identity.rounds_json(load_runs(text)) == text
