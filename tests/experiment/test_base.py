"""A base in the configuration: what is read from its folder, and what is refused in one line."""

import json
from pathlib import Path

import pytest
import yaml
from existing_models import FILES, write_files

from splitlaw.common.errors import UserError
from splitlaw.experiment import identity
from splitlaw.experiment.config import ExperimentConfig, is_complete, load_runs
from splitlaw.experiment.existing_model import read_model

ROWS, WIDTH, PLACES = FILES["vocab_size"], FILES["n_embd"], FILES["n_positions"]


@pytest.fixture
def model(tmp_path) -> Path:
    return write_files(tmp_path / "model")


def change(file: Path, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture
def written(root, model) -> dict:
    """configs/base.yaml with the small model as its base."""
    content = yaml.safe_load((root / "configs/base.yaml").read_text())
    content["base"]["path"] = str(model)
    return content


def test_counts_are_read_from_the_files(model):
    counted = read_model(str(model))
    assert counted["params"] == (ROWS + PLACES + 64) * WIDTH, "masks are no parameters"
    assert counted["non_embedding_params"] == 64 * WIDTH
    assert counted["longest_context"] == PLACES


def test_a_copy_has_the_same_digest_and_other_weights_have_another(model, tmp_path):
    before = read_model(str(model))["digest"]
    copy = model.rename(tmp_path / "elsewhere")
    assert read_model(str(copy))["digest"] == before
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert read_model(str(copy))["digest"] != before


def test_the_base_is_the_only_size(written, model):
    assert is_complete(written)
    config = ExperimentConfig.read(written)
    assert list(config.sizes) == ["base"] == [config.final.size]
    assert config.shape_of("base").params == (ROWS + PLACES + 64) * WIDTH
    assert config.tokenizer.path == str(model) and config.tokenizer.vocabulary == ROWS
    assert config.base_tokens == 0
    grid = config.grid_of("base")
    runs = grid.runs("law")
    assert len(runs) == 4 * 4 * 4
    assert sum(map(grid.is_held_out, runs)) == 4 * 4 + 4 * 3, "the longest, and one share"
    job = json.loads(identity.grid_json(config, "base", 1))
    assert job["base_tokens"] == 0 and job["replay"] == [0, 0.1, 0.25, 0.5]
    assert load_runs(identity.forecast_json(config)).grid_of("base") == grid


def remove_weights(model):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").touch()


MISTAKES = {
    "is an adapter (LoRA), not a model; merge": lambda m: (m / "adapter_config.json").touch(),
    "has no safetensors file; save": remove_weights,
    "requires code of its own (auto_map": lambda m: change(m / "config.json", auto_map={"A": "b"}),
    "has no config.json; save": lambda m: (m / "config.json").unlink(),
    "has no num_hidden_layers or n_layer": lambda m: change(m / "config.json", n_layer=None),
    "no tensor has 301 rows": lambda m: change(m / "config.json", vocab_size=ROWS + 1),
    "its tokenizer has 301 tokens, and its embedding 300 rows": lambda m: change(
        m / "tokenizer.json", added_tokens=[{"id": ROWS}]
    ),
    "no such folder; correct the path": lambda m: m.rename(m.with_name("moved")),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_base_that_cannot_be_trained_is_refused_in_one_line(written, model, words):
    MISTAKES[words](model)
    with pytest.raises(UserError, match=r"^base\.path /") as caught:
        ExperimentConfig.read(written)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("model", {"context": 512}, "model.context is 512, but the base takes at most 256 tokens"),
        ("sizes", {"w16": {}}, "sizes is given, but the base determines it; remove sizes"),
        ("base", {"pretrain_tokens": "many"}, "base.pretrain_tokens"),
        ("grid", {"replay": [0, 1.5]}, "grid.replay[1] is 1.5; give a number below 1"),
        ("grid", {"holdout_replay": [0.3]}, "grid.holdout_replay has 0.3, but grid.replay has 0"),
        ("grid", {"replay": [0], "holdout_replay": []}, "final.max_general_loss_rise: the plan"),
        ("final", {"unique_tokens": 40960}, "final.unique_tokens: a plan with a base or with a"),
        ("frontier", {"seeds": [1]}, "frontier: has no splits with replay, as a plan with a base"),
        ("scarcity", {"unique_tokens": [40960]}, "scarcity: has no splits with replay, as a plan"),
        ("final", {"replay": -0.1}, "final.replay: is -0.1; give a number of at least 0 and below"),
        ("final", {"replay": {"law": "x"}}, "final.replay: law has 'x'; give a number"),
        ("final", {"replay": {"lore": 0.1}}, "final.replay names lore; the domains are law, med"),
    ],
)
def test_a_mistake_beside_a_base_is_one_line_with_its_key(written, section, values, words):
    written[section] = {**written.get(section, {}), **values}
    with pytest.raises(UserError, match=r"^config\.yaml: ") as caught:
        ExperimentConfig.read(written)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
