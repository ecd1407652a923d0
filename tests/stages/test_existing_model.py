"""Runs that continue from a model that exists."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from existing_models import ARCHITECTURES, write_base, write_tokenizer
from planted_tokens import job_of
from transformers import AutoModelForCausalLM

from splitlaw import plan
from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import FRONTIER, FRONTIER_REPLAY, SCARCITY
from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.shape import BaseShape, shape_from
from splitlaw.experiment.strategies import REPLAY_STRATEGIES
from splitlaw.laws import fit_table
from splitlaw.planner import splits_at
from splitlaw.report.frontier import write_frontier
from splitlaw.report.scarcity import write_scarcity
from splitlaw.stages.final import export_model, train_strategy
from splitlaw.stages.frontier import measure
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


def planted_fit(rise):
    """A law of both losses of planted branches from a base of 1000 tokens."""
    rows = []
    for total, branch, share in product((1000, 1256, 1512, 2024), (256, 512, 1024), (0.0, 0.5)):
        special = (1 - share) * branch
        general = 2 + (total / 1e3 + share * branch / 1e3) ** -0.3
        at = {"params": 1e4, "pretrain_tokens": total, "specialize_tokens": special}
        at |= {"replay": share, "trunk": str(total)}
        for name, k in (("law", 1.0), ("medicine", 1.1)):
            own = {"domain": name, "loss": k * (1.5 + general / 3 + (special / 300) ** -0.3)}
            after = {"domain": GENERAL, "loss": general * (1 + rise * (1 - share) * special / 2e3)}
            rows += [{**at, "train_domain": name, **loss} for loss in (own, after)]
    bases = [{**row, "specialize_tokens": 0, "replay": 0.0} for row in rows[::24]]
    for row in bases:
        row |= {
            "train_domain": GENERAL,
            "domain": GENERAL,
            "loss": 2 + (row["pretrain_tokens"] / 1e3) ** -0.3,
        }
    return fit_table(pd.DataFrame(rows + bases), law="coupled", draws=5, base_tokens=1000)


def test_a_frontier_after_a_base_keeps_the_limit_and_measures_both_losses(tokens):
    shape = shape_of(write_base(tokens / "model", "llama"))
    job = replace(job_of(tokens, "frontier"), size="base", shape=shape, base_tokens=1000)
    fit = planted_fit(0.5)
    limits = {"max_general_loss_rise": 0.1, "limit_confidence": 0.5}
    made = plan(fit, flops=6e3 * 6400, params=1e4, flops_per_token=6e3, **limits)
    made.save(tokens / "plan.json")
    fractions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    out = tokens / "frontier/losses.csv"
    about = {
        "budget": "6400",
        "execution": ExecutionConfig(compile=False, device="cpu", repeat=True),
    }
    measure(job, fit, tokens / "plan.json", fractions, out=out, **about)
    table = pd.read_csv(out)
    assert list(table) == [*FRONTIER, *FRONTIER_REPLAY]
    assert sorted({*table["fraction_general"]} - {*fractions}) == [
        pytest.approx(made.fraction_general)
    ]
    for fraction, part in table.groupby("fraction_general"):
        added = part["pretrain_tokens"].iloc[0] - 1000
        assert added == pytest.approx(fraction * 6400, abs=64)
        branches = part["specialize_tokens"] / (1 - part["replay"])
        assert added + branches.sum() <= 6400 + 3 * 64
        at = (1e4, part["pretrain_tokens"], part["specialize_tokens"], np.arange(2))
        general = fit.general_after.losses(*at, replay=part["replay"])
        assert (general <= 1.1 * made.general_loss_rise["reference"] * 1.01).all()
    assert (table["replay"] > 0).any()
    assert table["general_loss"].between(0.5, 6).all()
    own = table[~table["fraction_general"].isin(fractions)].set_index("domain")
    assert own["predicted_loss"].mean() == pytest.approx(made.predicted_mean_loss[0], rel=1e-3)
    text = write_frontier(
        [out], plan_file=tokens / "plan.json", fit=fit, out=tokens / "frontier.csv"
    )
    assert "regret" in text and (tokens / "frontier.svg").exists()
    assert list(pd.read_csv(tokens / "frontier.csv")) == list(table)


def test_a_fraction_at_which_no_split_keeps_the_limit_is_named():
    fit = planted_fit(0.5)
    options = {"max_general_loss_rise": -0.1, "limit_confidence": 0.5, "flops_per_token": 6e3}
    with pytest.raises(UserError, match="no split with 0 of its tokens general keeps the limit"):
        splits_at(fit, flops=6e3 * 6400, params=1e4, fractions=np.array([0.0, 0.9]), **options)


def test_scarce_text_after_a_base_is_planned_trained_and_gathered(tokens):
    shape = shape_of(write_base(tokens / "model", "llama"))
    job = replace(job_of(tokens, "final"), size="base", shape=shape, base_tokens=1000)
    (tokens / "tokenizer").mkdir()
    write_tokenizer(tokens / "tokenizer", tokens=32)
    fit, cell = planted_fit(0.5), tokens / "scarcity/320/base/3200"
    options = {"params": 1e4, "flops_per_token": 6e3, "replay": 0.1}
    unique = dict.fromkeys(("law", "medicine"), 320.0)
    made = plan(fit, flops=6e3 * 3200, unique_tokens=unique, **options)
    made.save(cell / "plan.json")
    execution = ExecutionConfig(compile=False, device="cpu", repeat=True)
    about = {"budget": "3200", "execution": execution}
    for name in REPLAY_STRATEGIES:
        out = cell / "seed0" / name / "losses.csv"
        train_strategy(job, name, cell / "plan.json", out=out, **about)
    out = cell / "seed0/frontier/losses.csv"
    measure(job, fit, cell / "plan.json", [0.25, 0.5, 0.9], even=True, out=out, **about)
    out = tokens / "scarcity/scarcity.csv"
    write_scarcity(["320/base/3200"], [0], folder=tokens / "scarcity", out=out)
    table = pd.read_csv(out)
    assert list(table) == [*SCARCITY, *FRONTIER_REPLAY]
    assert set(table["strategy"].dropna()) == set(REPLAY_STRATEGIES)
    others = table[table["strategy"].isna()]
    assert (others["replay"] == 0.1).all() and len(others) == 3 * 2
    read = others["specialize_tokens"] / 0.9
    even = (1 - others["fraction_general"]) * 3200 / 2
    np.testing.assert_allclose(read, even, atol=2 * 64)
    assert table["general_loss"].between(0.5, 6).all()
    regret = pd.read_csv(out.with_name("regret.csv")).iloc[0]
    assert regret["general_share"] == pytest.approx(made.fraction_general, abs=1e-3)
    branches = [*made.specialize_tokens.values(), *made.replay_tokens.values()]
    spent = (made.pretrain_tokens - 1000 + sum(branches)) / 3200
    assert regret["unspent"] == pytest.approx(1 - spent, abs=1e-6)
    run = json.loads((cell / "seed0/optimal/law/run.json").read_text())["run"]
    assert run["unique_tokens"] == 320 and run["replay"] == 0.1
