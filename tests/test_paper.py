"""configs/paper.yaml: planned and costed on local files, and a shrunken copy of it that is run."""

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hub_tasks import CHOICES, ITEMS, save_tasks
from small_embedding import save_embedding
from tiny_project import Project

from splitlaw.common.files import read_json
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.splitting import SPLITS
from splitlaw.experiment.strategies import BASELINES, OPTIMAL, STRATEGIES
from splitlaw.tokens import read_sidecar

datasets = pytest.importorskip("datasets")
TOPICS = ("a", "b")
CLUSTERS = ("cluster_1", "cluster_2")
DOCUMENTS = 500
WORDS = 300
"""Words of a topic, which the embedding model knows."""
RARE_WORDS = 40_000
"""Further words, each about once, from which the tokenizer learns 32,768 tokens."""


def write_text(folder: Path, *, documents: int) -> list[str]:
    """Write a data set in the layout of the Hub, in four files; returns the words of its topics."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfw"))
    rare = iter(["".join(random.choice(letters, 9)) for _ in range(RARE_WORDS)])
    topics = {name: [f"{name}{number}" for number in range(WORDS)] for name in TOPICS}
    texts = []
    for number in range(documents):
        own = random.choice(topics[TOPICS[number % 2]], 60).tolist()
        texts.append(" ".join(own + [next(rare) for _ in range(RARE_WORDS // documents)]))
    (folder / "sample/100BT").mkdir(parents=True)
    for part in range(4):
        saved = datasets.Dataset.from_dict({"text": texts[part::4]})
        saved.to_parquet(folder / f"sample/100BT/{part:03}_00000.parquet")
    header = "configs:\n- config_name: sample-100BT\n  data_files: sample/100BT/*.parquet\n"
    (folder / "README.md").write_text(f"---\n{header}---\n")
    return [" ".join(words) for words in topics.values()]


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Project:
    """A project whose configuration is that of paper.yaml, with local sources."""
    project = Project(root, tmp_path)
    project.config = yaml.safe_load((root / "configs/paper.yaml").read_text())
    words = write_text(tmp_path / "web", documents=DOCUMENTS)
    corpus = project.config["corpus"]
    corpus["general"]["sources"][0]["dataset"] = str(tmp_path / "web")
    corpus["domains"]["embedding"] = save_embedding(tmp_path / "model", words)
    project.write_config()
    return project


UNTRAINED = np.log(32768)
"""Loss of a model that gives every token the same probability."""
BATCH = 128
"""Tokens of a batch: two sequences, one for each of two processes."""


def shrink(config: dict) -> None:
    """Keep every key of the configuration, with values that take a minute."""
    corpus = config["corpus"]
    corpus["shards"], corpus["domains"]["discover"] = 2, 2
    corpus["splits"] = {"validation": 0.1, "test": 0.1}
    corpus["cleaning"]["benchmarks"] = ["sciq"]  # reading the items of all tasks takes longer
    config["model"]["context"] = 64
    config["sizes"] = {
        name: {"width": width, "layers": 1, "heads": 2, "intermediate": 2 * width}
        for name, width in (("small", 8), ("middle", 12), ("large", 16))
    }
    config["holdout_sizes"] = ["large"]
    config["grid"] |= {
        "trunk_tokens": 16 * BATCH,
        "min_tokens_per_param": 0,
        "fit": {
            "pretrain_tokens": [0, 4 * BATCH, 8 * BATCH],
            "specialize_tokens": [2 * BATCH, 4 * BATCH],
            "unsplit_tokens": [16 * BATCH],
        },
        "holdout": {"pretrain_tokens": [8 * BATCH], "specialize_tokens": [4 * BATCH]},
    }
    del config["grid"]["repeat"]  # it would train the same jobs once more
    # A rate at which so few steps change the loss.
    config["training"] |= {"batch_tokens": BATCH, "warmup_tokens": BATCH, "learning_rate": 0.01}
    config["tune_learning_rate"] = {
        "sizes": ["small", "middle"],
        "rates": [0.1, 0.2, 0.4, 0.8],  # the best one of a few steps
        "tokens": 8 * BATCH,
    }
    config["evaluation"]["tokens"] = 500
    config["law"]["draws"] = 20
    config["final"] |= {"size": "large", "budget_tokens": 16 * BATCH}
    config["compare"] = {"sizes": ["large"], "budgets": [16 * BATCH], "seeds": [0]}
    config["frontier"] |= {"size": "small", "budget_tokens": 16 * BATCH}
    config["execution"] = {
        "compile": False,
        "microbatch": 1,
        "by_size": {"large": {"processes": 2}},
    }


def test_the_configuration_is_planned_and_costed_on_local_files(project):
    planned = project.planned()
    assert planned["read_shard"] == planned["write_shard"] == planned["encode_shard"] == 64
    assert planned["merge_shards"] == 1
    assert planned["specialize_domain"] == 5 * 17 * 2  # sizes, domains and general, seeds
    done = project.run("cost")
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(project.folder / "results/paper/forecast.csv")
    assert list(rows["size"][::2]) == ["m50", "m110", "m340", "m730", "m1300", "m1300"]
    assert rows["hours"].sum() > 1000


def test_the_trial_costs_a_hundredth(project, root):
    done = project.run(
        "cost", "--configfile", "config.yaml", str(root / "configs/paper_trial.yaml")
    )
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(project.folder / "results/paper_trial/forecast.csv")
    assert list(rows["size"][::2]) == ["m50", "m110", "m340", "m730", "m1300", "m340"]
    assert 50 < rows["hours"].sum() < 80


@pytest.mark.slow
def test_a_shrunken_copy_runs_from_the_data_set_to_the_report(project, monkeypatch):
    """Every path of the configuration but bf16 and the GPU, without the network.

    Two processes train the trunk of a size, and one process its branches and final models: to
    import torch in both of them takes longer than the training.
    """
    shrink(project.config)
    project.write_config()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(project.folder / "hub"))
    tasks = save_tasks(project.folder / "hub")
    results = project.folder / "results/paper"
    done = project.run("results/paper/runs/large/seed0/trunk.json")
    assert done.returncode == 0, done.stderr + done.stdout
    del project.config["execution"]["by_size"]
    project.write_config()
    # `compare` repeats the last stages for other budgets, and is run in test_workflow.py.
    done = project.run("all", "frontier", "tune_learning_rate")
    assert done.returncode == 0, done.stderr + done.stdout
    check_corpus(results)
    check_grid(results, project.config)
    check_final(results, project.config)
    check_tasks(results, tasks)
    check_report(results, tasks)


def check_corpus(results: Path) -> None:
    """The clusters of the embedding model are the topics, and general text is all of it."""
    tokenizer = json.loads((results / "tokenizer/tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == 32768
    assert not [file for file in (results / "corpus_shards").rglob("*") if file.is_file()]
    assert read_json(results / "corpus/router/router.json")["accuracy"] > 0.9
    shares, documents = [], 0
    for domain in CLUSTERS:
        batches = [read_documents(results / "corpus", domain, split) for split in SPLITS]
        texts = [text for _, batch in chain.from_iterable(batches) for text in batch]
        shares.append(np.mean([text.startswith(TOPICS[0]) for text in texts]))
        documents += len(texts)
    assert min(shares) < 0.1 and max(shares) > 0.9
    assert documents == DOCUMENTS
    files = [results / f"tokens/{domain}/tokens.json" for domain in ("general", *CLUSTERS)]
    general, *parts = [read_sidecar(file, "train").tokens for file in files]
    assert general == sum(parts)


def check_grid(results: Path, config: dict) -> None:
    """Every run of the grid has its losses, and the law its held-out size."""
    runs = results / "runs/large/seed0"
    assert read_json(runs / "trunk.json")["world_size"] == 2
    assert {read_json(file)["world_size"] for file in runs.rglob("D*/run.json")} == {1}
    losses = pd.read_csv(results / "losses.csv")
    # Losses rise above that in the first steps at a high rate.
    assert losses["loss"].between(1, 1.1 * UNTRAINED).all()
    whole = losses["pretrain_tokens"] == config["grid"]["trunk_tokens"]
    assert losses["loss"][whole].max() < UNTRAINED
    branches = losses[losses["stage"] == "branch"]
    for size, split in (("small", "fit"), ("middle", "fit"), ("large", "holdout")):
        cells = config["grid"][split]
        wanted = {(p, s) for p in cells["pretrain_tokens"] for s in cells["specialize_tokens"]}
        for domain in CLUSTERS:
            rows = branches[(branches["size"] == size) & (branches["train_domain"] == domain)]
            assert (
                set(zip(rows["pretrain_tokens"], rows["specialize_tokens"], strict=True)) == wanted
            )
            assert set(rows["split"]) == {split} and set(rows["domain"]) == {domain}
    fit = read_json(results / "law/fit.json")
    assert list(fit["domains"]) == list(CLUSTERS)
    assert "params" in {row["kind"] for row in fit["holdout"]}
    rule = read_json(results / "learning_rate/rule.json")
    assert set(rule["rates"]) == {"small", "middle"} and rule["learning_rate"] > 0
    measured = pd.read_csv(results / "frontier/frontier.csv")
    assert set(config["frontier"]["fractions"]) <= set(measured["fraction_general"].round(2))


def check_final(results: Path, config: dict) -> None:
    """Every strategy has a loss on every domain, at the compute of the plan."""
    plan = read_json(results / "split/plan.json")
    budget = config["final"]["budget_tokens"]
    tokens = plan["pretrain_tokens"] + sum(plan["specialize_tokens"].values())
    assert budget - 3 <= tokens <= budget, "each of three numbers is rounded to whole tokens"
    assert {baseline["strategy"] for baseline in plan["baselines"]} == set(BASELINES)
    final = pd.read_csv(results / "final/comparison.csv")
    assert sorted(zip(final["strategy"], final["domain"], strict=True)) == sorted(
        (strategy, domain) for strategy in STRATEGIES for domain in CLUSTERS
    )
    assert final["loss"].between(1, UNTRAINED).all() and final["flops"].nunique() == 1
    optimal = final[final["strategy"] == OPTIMAL].set_index("domain")
    assert (optimal["pretrain_tokens"] - plan["pretrain_tokens"]).abs().max() <= BATCH
    for domain in CLUSTERS:
        own = plan["specialize_tokens"][domain] - optimal.loc[domain, "specialize_tokens"]
        assert abs(own) <= BATCH


def check_tasks(results: Path, tasks: list[str]) -> None:
    """Every system has an accuracy on all items of every task, at the tasks' chance level."""
    table = pd.read_csv(results / "benchmarks.csv").query("metric == 'acc'")
    systems = {"routed", "oracle", "ensemble", "single"}
    for task in tasks:
        rows = table[table["task"] == task]
        assert set(rows["system"]) == systems and (rows["n"] == ITEMS).all()
        assert rows["value"].isin(np.arange(ITEMS + 1) / ITEMS).all()
        assert np.allclose(rows["chance"], 1 / CHOICES[task])


def check_report(results: Path, tasks: list[str]) -> None:
    page = (results / "report.html").read_text().lower().replace("-", "_")  # ARC-Easy
    clusters = read_json(results / "corpus/clusters.json")["clusters"].values()
    for text in (*tasks, *(cluster["label"] for cluster in clusters)):
        assert text in page
