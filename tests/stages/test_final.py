import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted_tokens import job_of
from transformers import AutoModelForCausalLM, GenerationConfig

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import COMPARISON
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.experiment.strategies import REPLAY_STRATEGIES
from splitlaw.stages.final import train_strategy, train_trunk
from splitlaw.stages.recipe_tokens import read_recipes
from splitlaw.training.evaluation import evaluate, load_documents

PLAN = {
    "trunk": "shared",
    "law": "additive",
    "pretrain_tokens": 650,
    "specialize_tokens": {"law": 650, "medicine": 1},
    "predicted_loss": {"law": [2.9, 2.8, 3.0], "medicine": [3.1, 3.0, 3.2]},
    "candidates": [
        {"law": "additive", "weight": 0.5},
        {"law": "two_skills", "weight": 0.5},
        {"law": "chinchilla", "weight": 0.0},
    ],
    "baselines": [
        {
            "strategy": "no_split",
            "law": "additive",
            "pretrain_tokens": 1301,
            "specialize_tokens": {"law": 0, "medicine": 0},
            "predicted_loss": {"law": [None] * 3, "medicine": [None] * 3},
        },
        {
            "strategy": "joint",
            "law": None,
            "pretrain_tokens": 650,
            "specialize_tokens": {"law": 520, "medicine": 130},
            "predicted_loss": {"law": [None] * 3, "medicine": [None] * 3},
        },
    ],
}


@pytest.fixture
def plan(tokens):
    file = tokens / "plan.json"
    file.write_text(json.dumps(PLAN))
    return file


@pytest.fixture
def job(tokens):
    (tokens / "tokenizer").mkdir()
    (tokens / "tokenizer/tokenizer.json").write_text("{}")
    return job_of(tokens, "final")


def train(job, plan, strategy):
    out = job.results / "final/tiny/1301/seed0" / strategy / "losses.csv"
    execution = ExecutionConfig(compile=False, device="cpu")
    train_strategy(job, strategy, plan, budget="1301", execution=execution, out=out)
    return pd.read_csv(out)


def test_recipes_are_in_whole_steps_and_name_their_law(plan):
    recipes = read_recipes(plan, batch_tokens=64)
    assert recipes["optimal"].specialize_steps == {"law": 10, "medicine": 0}
    assert recipes["optimal"].law == "the mean of additive and two_skills"
    assert recipes["optimal"].interval["law"] == (2.8, 3.0)


def test_a_recipe_without_a_predicted_loss_is_trained(job, plan):
    table = train(job, plan, "no_split")
    assert table["predicted_loss"].isna().all() and table["loss"].notna().all()
    card = (job.results / "final/tiny/1301/seed0/no_split/general/README.md").read_text()
    assert "nan" not in card


def test_joint_training_is_one_model_on_the_tokens_of_the_plan(job, plan):
    table = train(job, plan, "joint").set_index("domain")
    assert table["pretrain_tokens"].to_list() == [640, 640]
    assert table["specialize_tokens"].to_dict() == {"law": 512, "medicine": 128}
    assert (table["flops"] == 1280 * job.shape.flops_per_token).all()
    assert table["predicted_loss"].isna().all()
    folder = job.results / "final/tiny/1301/seed0/joint/general"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["general"]
    run = json.loads((folder / "run.json").read_text())
    assert run["mixture_steps"] == {"general": 10, "law": 8, "medicine": 2}
    assert {name: run["losses"][name]["loss"] for name in table.index} == table["loss"].to_dict()
    card = (folder / "README.md").read_text()
    assert "# general, strategy joint" in card and "| medicine | 128 | 2% |  |" in card
    assert "No law covers this recipe" in card and "nan" not in card


def test_scarce_text_is_all_that_every_recipe_reads(job, plan):
    whole = {name: train(job, plan, name) for name in ("optimal", "joint")}
    plan.write_text(json.dumps({**PLAN, "unique_tokens": {"law": 64.0, "general": 1e6}}))
    for name, before in whole.items():
        table = train(job, plan, name)
        assert table["specialize_tokens"].equals(before["specialize_tokens"])
        assert not np.isclose(table["loss"][0], before["loss"][0], rtol=1e-6)
    folder = job.results / "final/tiny/1301/seed0"
    run = json.loads((folder / "optimal/law/run.json").read_text())
    assert run["run"]["unique_tokens"] == 64 and "-unique-64/" in run["state"]
    assert "| law | 640 | 1000% |" in (folder / "optimal/law/README.md").read_text()


INDEPENDENT = {
    **PLAN,
    "trunk": "independent",
    "pretrain_tokens": 650,
    "specialize_tokens": {"law": 640, "medicine": 320},
}


def test_independent_trunks_have_their_own_seeds_and_the_same_compute(job, tokens):
    plan = tokens / "plan.json"
    plan.write_text(json.dumps(INDEPENDENT))
    execution = ExecutionConfig(compile=False, device="cpu")
    for domain in ("law", "medicine"):
        out = job.results / f"{domain}.json"
        train_trunk(job, plan, domain=domain, execution=execution, out=out)
        assert json.loads(out.read_text())["trained_tokens_of_this_process"] == 640
    table = train(job, plan, "optimal").set_index("domain")
    assert (table["seed"] == 0).all()
    assert (table["flops"] == (2 * 640 + 960) * job.shape.flops_per_token).all()
    folder = job.results / "final/tiny/1301/seed0/optimal"
    runs = {
        domain: json.loads((folder / domain / "run.json").read_text())
        for domain in ("law", "medicine")
    }
    assert {domain: run["seed"] for domain, run in runs.items()} == {
        "law": 1_000_000,
        "medicine": 2_000_000,
    }
    trained = sum(run["trained_tokens_of_this_process"] for run in runs.values())
    assert trained == 960, "the trunks are not trained again"
    no_split = train(job, plan, "no_split")
    assert (no_split["flops"] == 1280 * job.shape.flops_per_token).all()


def test_a_domain_without_tokens_cannot_have_its_own_trunk(job, tokens):
    plan = tokens / "plan.json"
    plan.write_text(json.dumps({**INDEPENDENT, "specialize_tokens": {"law": 640, "medicine": 1}}))
    with pytest.raises(UserError, match="an independent trunk for medicine, which has no tokens"):
        train(job, plan, "optimal")


def test_a_plan_of_an_earlier_version_is_refused(job, plan):
    with pytest.raises(UserError, match=r"plan.json: has no recipe half; run choose_split again"):
        train(job, plan, "half")


def test_every_model_is_evaluated_on_every_domain_and_its_folder_opens(job, plan):
    train_trunk(job, plan, execution=ExecutionConfig(compile=False), out=job.results / "trunk.json")
    table = train(job, plan, "optimal").set_index("domain")
    assert set(table.reset_index().columns) == set(COMPARISON)
    folder = job.results / "final/tiny/1301/seed0/optimal/law"
    run = json.loads((folder / "run.json").read_text())
    assert set(run["losses"]) == {"general", "law", "medicine"}
    assert run["losses"]["law"]["loss"] == table.loc["law", "loss"]
    # Medicine has no steps of its own: its model is the trunk, cooled down.
    assert table.loc["medicine", "specialize_tokens"] == 0
    model = AutoModelForCausalLM.from_pretrained(folder).requires_grad_(False)
    windows = job.windows(["medicine"])["medicine"]
    kept = load_documents(folder / "documents.npz")["medicine"]
    np.testing.assert_allclose(evaluate(model, windows).nats, kept.nats, rtol=1e-6)
    generation = GenerationConfig.from_pretrained(folder)
    assert (generation.eos_token_id, generation.max_new_tokens) == (0, 8)


def test_the_card_has_training_text_compute_losses_and_the_command(job, plan):
    source = {"splits": {"train": {"by_source": {"a": {"bytes": 10}, "b": {"bytes": 30}}}}}
    (job.results / "corpus/law").mkdir(parents=True)
    (job.results / "corpus/law/card.json").write_text(json.dumps(source))
    train(job, plan, "optimal")
    card = (job.results / "final/tiny/1301/seed0/optimal/law/README.md").read_text()
    assert "| general | 640 | 11% |  |" in card
    assert "| law | 640 | 11% | b 75%, a 25% |" in card
    assert f"{1280 * job.shape.flops_per_token:.3g} FLOPs" in card
    assert "2.9000 (2.8000 to 3.0000)" in card and "3.1000" not in card
    name = job.results.name
    assert f"splitlaw run results/{name}/final/tiny/1301/seed0/optimal/losses.csv" in card


def test_every_model_has_its_loss_on_general_text(job, plan):
    table = train(job, plan, "optimal").set_index("domain")
    run = json.loads((job.results / "final/tiny/1301/seed0/optimal/law/run.json").read_text())
    assert table.loc["law", "general_loss"] == run["losses"]["general"]["loss"]
    assert (table["replay"] == 0).all()


def test_replay_in_final_models_keeps_the_compute(job, plan):
    table = train(replace(job, final_replay={"law": 0.25}), plan, "optimal").set_index("domain")
    law = table.loc["law"]
    assert law[["pretrain_tokens", "specialize_tokens", "replay"]].to_list() == [640, 480, 0.25]
    assert law["flops"] == 1280 * job.shape.flops_per_token
    assert np.isnan(law["predicted_loss"]), "the law predicts no loss with replay"
    card = (job.results / "final/tiny/1301/seed0/optimal/law/README.md").read_text()
    assert "| law | 480 |" in card and "| general, mixed with the text above | 160 |" in card


def test_the_strategies_of_a_base_have_the_same_compute(tokens):
    plan = tokens / "plan.json"
    amounts = {"pretrain_tokens": 1640, "specialize_tokens": {"law": 640, "medicine": 288}}
    own = {"base": {"pretrain_tokens": 1000}, "replay": {"law": 0.0, "medicine": 0.1}}
    plan.write_text(json.dumps({**PLAN, **amounts, **own, "baselines": []}))
    recipes = read_recipes(plan, batch_tokens=32, base_tokens=1000)
    assert tuple(recipes) == REPLAY_STRATEGIES
    assert {recipe.steps for recipe in recipes.values()} == {20 + 20 + 10}
    assert recipes["optimal"].runs["medicine"].replay == 0.1
    assert {run.replay for run in recipes["replay_25"].runs.values()} == {0.25}
    assert not any(run.replay for run in recipes["no_replay"].runs.values())
    assert recipes["mixture"].mixture == {"general": 21, "law": 20, "medicine": 9}
