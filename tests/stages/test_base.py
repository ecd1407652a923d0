"""Runs that continue from a model that exists."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from existing_models import ARCHITECTURES, write_base
from planted_tokens import job_of
from transformers import AutoModelForCausalLM

from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.shape import BaseShape, shape_from
from splitlaw.stages.final import export_model
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

    shutil.copytree(job.shape.folder, tokens / "tokenizer", ignore=lambda *_: ["config.json"])
    (tokens / "tokenizer/model.safetensors").unlink()
    (tokens / "tokenizer/generation_config.json").unlink()
    export_model(job, trainer.model, trainer.states.weights(), tokens / "out")
    exported = AutoModelForCausalLM.from_pretrained(tokens / "out", dtype=torch.float32)
    assert type(exported).__name__ == job.shape.architecture
    assert evaluate(exported, windows["law"]).loss == again
