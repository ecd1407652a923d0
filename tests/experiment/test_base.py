"""A base in the configuration: what is read from its folder, and what is refused in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from existing_models import FILES, write_files
from safetensors.numpy import save_file

from splitlaw.common.errors import UserError
from splitlaw.experiment import identity
from splitlaw.experiment.base_settings import planned_replay
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


def test_a_plan_is_made_for_the_given_shares(written):
    def planned() -> dict:
        config = ExperimentConfig.read(written)
        return planned_replay(config.final, config.domain_names)

    others = ("medicine", "science", "code")
    assert planned() == {}
    written["final"]["replay"] = {"law": 0.1}
    assert planned() == {"law": 0.1, **dict.fromkeys(others, "free")}
    del written["final"]["max_general_loss_rise"]
    assert planned() == {"law": 0.1, **dict.fromkeys(others, 0)}
    written["final"]["limit_confidence"] = 0.8
    with pytest.raises(UserError, match=r"final\.limit_confidence: there is no limit; give"):
        ExperimentConfig.read(written)


def test_a_model_without_attention_is_a_base(model):
    change(model / "config.json", n_head=None)
    assert read_model(str(model))["heads"] == 1


def test_transformers_opens_one_file_of_weights_and_no_others(model):
    counted = read_model(str(model))["params"]
    save_file({"other": np.zeros((3, 4))}, model / "consolidated.safetensors")
    assert read_model(str(model))["params"] == counted


def remove_weights(model):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").touch()


MISTAKES = {
    "is an adapter (LoRA), not a model; merge": lambda m: (m / "adapter_config.json").touch(),
    "has no safetensors file; save": remove_weights,
    "model.safetensors is no safetensors file; download": lambda m: (
        m / "model.safetensors"
    ).write_text("version https://git-lfs.github.com/spec/v1"),
    "model.safetensors has 603024 bytes, and its tensors need 604024": lambda m: os.truncate(
        m / "model.safetensors", 603024
    ),
    "has other.safetensors, but neither model.safetensors nor": lambda m: (
        m / "model.safetensors"
    ).rename(m / "other.safetensors"),
    "model.safetensors.index.json cannot be read as an index": lambda m: (
        m / "model.safetensors"
    ).rename(m / "model.safetensors.index.json"),
    "config.json cannot be read (it has no keys)": lambda m: (m / "config.json").write_text("[1]"),
    "has quantized weights": lambda m: change(
        m / "config.json", quantization_config={"quant_method": "gptq"}
    ),
    "is a T5ForConditionalGeneration, not a causal": lambda m: change(
        m / "config.json", architectures=["T5ForConditionalGeneration"]
    ),
    "is a GPT2Model, not a causal": lambda m: change(
        m / "config.json", architectures=["GPT2Model"]
    ),
    "has no tokenizer, which": lambda m: (m / "tokenizer.json").unlink(),
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
        ("base", {"pretrain_tokens": "many"}, "is 'many'; give a whole number of at least 1, or"),
        ("base", {"pretrain_tokens": 0}, "base.pretrain_tokens: is 0; give a whole number of at"),
        ("base", {"pretrain_tokens": 10**400}, "the number is too large; give at most 9e+15"),
        ("base", {"pretrain_tokens": 2**60}, "the number is too large; give at most 9e+15"),
        ("base", {"path": 3}, "base has no path of a model; write base: {path: FOLDER, ...}"),
        ("grid", {"replay": [0, 0.0004]}, "is 0.0004; give 0, or a share from 0.001 to 0.999"),
        ("grid", {"replay": [0, 1.5]}, "grid.replay[1] is 1.5; give a number below 1"),
        ("grid", {"holdout_replay": [0.3]}, "grid.holdout_replay has 0.3, but grid.replay has 0"),
        ("grid", {"replay": [0], "holdout_replay": []}, "final.max_general_loss_rise: the plan"),
        ("final", {"unique_tokens": 40960}, "final.unique_tokens: the page of a plan with a"),
        ("final", {"replay": -0.1}, "final.replay: is -0.1; give a number of at least 0 and below"),
        ("final", {"replay": {"law": "x"}}, "final.replay: law has 'x'; give a number"),
        ("final", {"replay": 0.0005}, "final.replay: is 0.0005; give 0, or a share from 0.001"),
        ("final", {"replay": 0.9995}, "final.replay: is 0.9995; give 0, or a share from 0.001"),
        ("final", {"replay": {"law": 5e-4}}, "final.replay: law has 0.0005; give 0, or a share"),
        ("final", {"replay": {"lore": 0.1}}, "final.replay names lore; the domains are law, med"),
    ],
)
def test_a_mistake_beside_a_base_is_one_line_with_its_key(written, section, values, words):
    written[section] = {**written.get(section, {}), **values}
    with pytest.raises(UserError, match=r"^config\.yaml: ") as caught:
        ExperimentConfig.read(written)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
