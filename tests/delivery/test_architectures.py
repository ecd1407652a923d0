"""Specialists of a base: other architectures, a longer context than trained, several files."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from existing_models import ARCHITECTURES, write_base
from planted_final import CONTEXT, DOMAINS, FINALS, ITEMS, plant_finals
from transformers import AutoConfig, AutoModelForCausalLM

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.delivery.final_folder import context_of, read_final
from splitlaw.delivery.routed import RoutedModel
from splitlaw.training.evaluation import load_documents
from splitlaw.zero_shot.items import write_items

KINDS = [kind for kind in ARCHITECTURES if kind != "llama"]
PROMPTS = ["law1 law2 law3 the law4", "medicine3 of medicine4", "law1 medicine3 medicine1", "quux"]


def build(kind, seed):
    """An untrained model that reads twice the context of the experiment."""
    longer = {"n_positions": 64} if kind == "gpt2" else {"max_position_embeddings": 64}
    config = AutoConfig.for_model(kind, vocab_size=300, **{**ARCHITECTURES[kind], **longer})
    config.update(dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():  # so that predictions differ between models
        parameter.data *= 8 if parameter.ndim > 1 else 1
    return model


@pytest.fixture(scope="module", params=KINDS)
def finals(request, planted, tmp_path_factory):
    """The specialists of a strategy, each in several files."""
    results = shutil.copytree(planted, tmp_path_factory.mktemp(request.param) / "results")
    shutil.rmtree(results / "final")
    plant_finals(results, lambda seed: build(request.param, seed), shard="20KB")
    folder = results / FINALS / "optimal"
    assert len(list((folder / "law").glob("model-*.safetensors"))) > 1
    return folder


def exported(finals, kind):
    out = finals.parents[5] / "exported" / kind
    assert main(["export", "--final", str(finals), "--out", str(out), "--as", kind]) == 0
    return out


def test_the_routed_model_has_the_losses_of_the_final_models(finals):
    routed = RoutedModel.from_pretrained(exported(finals, "routed"))
    assert routed.context == CONTEXT
    for number, domain in enumerate(DOMAINS):
        corpus = finals.parents[4] / "corpus"
        texts = [t for _, part in read_documents(corpus, domain, "test") for t in part]
        stored = load_documents(finals / domain / "documents.npz")[domain].nats
        sure = np.flatnonzero(routed.route(texts)[:, number] == 1)
        found = -np.array(routed.loglikelihood_rolling([texts[place] for place in sure]))
        assert len(sure) > 5
        np.testing.assert_allclose(found, stored[sure], rtol=1e-5)
    together = routed.generate(PROMPTS, max_tokens=9, seed=2)
    assert together == [
        routed.generate([prompt], max_tokens=9, seed=2 + number)[0]
        for number, prompt in enumerate(PROMPTS)
    ]


def test_the_average_is_an_ordinary_model(finals):
    folder = exported(finals, "average")
    about = json.loads((folder / "export.json").read_text())
    assert about["context"] == CONTEXT
    one = RoutedModel.from_pretrained(folder)
    for domain in DOMAINS:
        corpus = finals.parents[4] / "corpus"
        texts = [t for _, part in read_documents(corpus, domain, "test") for t in part]
        counts = load_documents(finals / domain / "documents.npz")[domain].tokens
        loss = -sum(one.loglikelihood_rolling(texts)) / counts.sum()
        assert loss == pytest.approx(about["losses"][domain], rel=1e-5)


def test_a_mixture_of_experts_of_another_architecture_is_refused(finals, tmp_path, capsys):
    words = ["export", "--final", str(finals), "--out", str(tmp_path / "moe"), "--as", "moe"]
    assert main(words) == 2
    error = capsys.readouterr().err
    kind = json.loads((finals / "law/config.json").read_text())["model_type"]
    assert error == (
        "error: --as moe: a mixture of experts is made of Llama models without biases, not of "
        f"{kind}; export as routed or average\n"
    )
    assert not (tmp_path / "moe").exists()


def test_a_missing_file_of_a_model_in_several_files_is_named(finals, tmp_path):
    copied = shutil.copytree(finals.parents[4], tmp_path / "results")
    part = sorted((copied / FINALS / "optimal/law").glob("model-*.safetensors"))[-1]
    part.unlink()
    with pytest.raises(UserError, match=rf"law: is not a model \(it has no {part.name}\); train"):
        read_final(copied / FINALS / "optimal")


@pytest.mark.parametrize("finals", ["gpt2"], indirect=True)
def test_the_comparison_leaves_the_mixture_of_experts_out(finals, tmp_path):
    write_items(tmp_path / "items/local_arc_easy.jsonl", ITEMS)
    config = {"tasks": ["local_arc_easy"], "context": CONTEXT, "test_tokens": 10**6}
    words = ["--final", str(finals), "--config", json.dumps({**config, "characters": None})]
    words += ["--items", str(tmp_path / "items"), "--out", str(tmp_path / "comparison.csv")]
    assert main(["delivery", *words, "--tasks", "tasks"]) == 0
    rows = pd.read_csv(tmp_path / "comparison.csv").set_index(["system", "domain"])
    systems = ["routed", "ensemble", "average", "average_uniform", "joint", "no_split"]
    assert list(dict.fromkeys(rows.index.get_level_values(0))) == systems
    for domain in DOMAINS:
        stored = load_documents(finals.parent / "joint/general/documents.npz")[domain].loss
        assert rows.loc[("joint", domain), "loss"] == pytest.approx(stored, rel=1e-5)


def test_the_context_is_the_smallest_of_all_models_and_at_most_a_window(finals, tmp_path):
    def saved(name, **content):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(content))
        return tmp_path / name

    long = saved("long", max_position_embeddings=64)
    window = saved("window", max_position_embeddings=64, sliding_window=16)
    unused = saved("unused", n_positions=48, sliding_window=16, use_sliding_window=False)
    assert context_of([long, unused]) == 48
    assert context_of([long, window, unused]) == 16
    (window / "run.json").write_text(json.dumps({"config": {"shape": {"context": 32}}}))
    assert context_of([window]) == 16
    assert context_of([finals / "law", long]) == CONTEXT


def test_an_architecture_that_cannot_be_continued_is_refused_when_it_is_opened(tmp_path, capsys):
    folder = write_base(tmp_path / "base", "bloom")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "seq_length": 32}))
    capsys.readouterr()  # of saving
    assert main(["serve", str(folder)]) == 2
    assert capsys.readouterr().err == (
        "error: models of the architecture bloom cannot be continued in batches; use generate of "
        "transformers\n"
    )
