"""Runs that continue from a model that exists."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from existing_models import ARCHITECTURES, write_base, write_tokenizer
from planted_tokens import job_of
from transformers import AutoModelForCausalLM

from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.shape import BaseShape, shape_from
from splitlaw.stages.final import export_model, train_strategy
from splitlaw.stages.grid import pretrain, specialize
from splitlaw.training.evaluation import evaluate
from splitlaw.training.model import build_model

EXECUTION = ExecutionConfig(compile=False, device="cpu")


def shape_of(folder) -> BaseShape:
    counted = read_model(str(folder))
    for key in ("heads", "intermediate", "longest_context"):
        del counted[key]
    return BaseShape(context=16, **counted)


@pytest.fixture(params=ARCHITECTURES)
def job(request, tokens):
    shape = shape_of(write_base(tokens / request.param, request.param))
    grid = Grid(batch_tokens=64, cells=((0, 10), (4, 10)), unsplit=(4,), replay=(0, 0.25))
    return replace(job_of(tokens, "fit", grid=grid), size="base", shape=shape, base_tokens=1000)


def test_counts_are_those_of_the_built_model(job):
    model = build_model(job.shape, seed=0)
    named = dict(model.named_parameters())
    looked_up = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    looked_up |= {id(value) for name, value in named.items() if "wpe" in name}
    assert job.shape.params == sum(value.numel() for value in named.values())
    assert job.shape.non_embedding_params == sum(
        value.numel() for value in named.values() if id(value) not in looked_up
    )
    head = model.get_output_embeddings().weight.numel()
    attention = 12 * 2 * 16 * job.shape.context
    assert job.shape.flops_per_token == 6 * (job.shape.non_embedding_params + head) + attention
    assert shape_from(json.loads(json.dumps(vars(job.shape)))) == job.shape


def test_a_base_trains_resumes_and_exports(job, tokens):
    pretrain(job, execution=EXECUTION, out=tokens / "trunk.json")
    specialize(job, "law", ["law"], execution=EXECUTION, out=tokens / "law.csv")
    given = build_model(job.shape, seed=0)
    windows = job.windows([GENERAL, "law"])
    base = json.loads((tokens / "trunk.json").read_text())["base"]
    assert base["losses"][GENERAL]["loss"] == evaluate(given, windows[GENERAL]).loss
    table = pd.read_csv(tokens / "law.csv")
    assert sorted(set(table["pretrain_tokens"])) == [1000, 1000 + 256]
    assert (table[table["domain"] == "law"]["loss"] < evaluate(given, windows["law"]).loss).all()

    run = Run(domain="law", pretrain_steps=4, specialize_steps=10, replay=0.25)
    trainer = job.trainer([GENERAL, "law"], EXECUTION, "law", {run.stream: run.mixture})
    for file in trainer.store.root.rglob("*.safetensors"):
        if "law" in str(file):
            file.unlink()  # as if the job had been killed after the trunk
    trainer.reach(job.lineage(run))
    again = evaluate(trainer.model, windows["law"]).loss
    row = table[(table["domain"] == "law") & (table["pretrain_tokens"] == 1256)]
    assert again == row.set_index("replay")["loss"][0.25]

    (tokens / "tokenizer").mkdir()
    write_tokenizer(tokens / "tokenizer", tokens=32)
    export_model(job, trainer.model, trainer.states.weights(), tokens / "out")
    exported = AutoModelForCausalLM.from_pretrained(tokens / "out", dtype=torch.float32)
    assert type(exported).__name__ == job.shape.architecture
    assert evaluate(exported, windows["law"]).loss == again


PLAN = {
    "base": {"pretrain_tokens": 1000},
    "replay": {"law": 0.1, "medicine": 0.0},
    "trunk": "shared",
    "law": "additive",
    "pretrain_tokens": 1000 + 256,
    "specialize_tokens": {"law": 576, "medicine": 320},
    "predicted_loss": {"law": [2.9, 2.8, 3.0], "medicine": [3.1, 3.0, 3.2]},
    "candidates": [],
    "baselines": [],
}


def test_the_strategies_of_a_base_are_trained_and_measured_on_general_text(tokens):
    shape = shape_of(write_base(tokens / "model", "llama"))
    job = replace(job_of(tokens, "final"), size="base", shape=shape, base_tokens=1000)
    (tokens / "tokenizer").mkdir()
    write_tokenizer(tokens / "tokenizer", tokens=32)
    (tokens / "plan.json").write_text(json.dumps(PLAN))
    tables = {}
    for strategy in ("optimal", "replay_50", "mixture"):
        out = tokens / "final/base/1216/seed0" / strategy / "losses.csv"
        plan = tokens / "plan.json"
        train_strategy(job, strategy, plan, budget="1216", execution=EXECUTION, out=out)
        tables[strategy] = pd.read_csv(out).set_index("domain")
    assert {flops for table in tables.values() for flops in table["flops"]} == {
        (256 + 640 + 320) * shape.flops_per_token
    }
    optimal = tables["optimal"]
    assert (optimal["pretrain_tokens"] == 1256).all()
    assert optimal["replay"].to_list() == [0.1, 0.0]
    assert tables["replay_50"]["specialize_tokens"].to_list() == [320, 160]
    assert (tables["replay_50"]["general_loss"] < optimal["general_loss"]).all()
    mixture = tables["mixture"]
    assert mixture["general_loss"].nunique() == 1, "one model"
    assert (mixture["pretrain_tokens"] == 1000 + 256 + 64).all()
    card = (tokens / "final/base/1216/seed0/optimal/law/README.md").read_text()
    assert "A LlamaForCausalLM of" in card and "from an existing model" in card
