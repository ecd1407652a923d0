"""configs/paper.yaml: planned and costed on local files, and a shrunken copy of it that is run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_embedding import save_embedding
from tiny_project import Project

from splitlaw.common.files import read_json

datasets = pytest.importorskip("datasets")
TOPICS = ("a", "b")
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
    words = write_text(tmp_path / "web", documents=500)
    corpus = project.config["corpus"]
    corpus["general"]["sources"][0]["dataset"] = str(tmp_path / "web")
    corpus["domains"]["embedding"] = save_embedding(tmp_path / "model", words)
    project.write_config()
    return project


def shrink(config: dict) -> None:
    """Keep every key of the configuration, with values that take a minute."""
    corpus = config["corpus"]
    corpus["shards"], corpus["domains"]["discover"] = 2, 2
    corpus["splits"] = {"validation": 0.1, "test": 0.1}
    corpus["cleaning"]["benchmarks"] = ["sciq"]  # reading the items of all tasks takes longer
    config["model"]["context"] = 64
    config["sizes"] = {
        "small": {"width": 8, "layers": 1, "heads": 2, "intermediate": 16},
        "large": {"width": 16, "layers": 1, "heads": 2, "intermediate": 32},
    }
    config["holdout_sizes"] = []
    cells = {"pretrain_tokens": [0, 1024, 2048], "specialize_tokens": [512, 1024]}
    config["grid"] |= {
        "trunk_tokens": 4096,
        "min_tokens_per_param": 0,
        "fit": {**cells, "unsplit_tokens": [4096]},
        "holdout": cells,
    }
    del config["grid"]["repeat"]  # it would train the same jobs once more
    config["training"] |= {"batch_tokens": 256, "warmup_tokens": 256}
    config["tune_learning_rate"] |= {"sizes": ["small", "large"], "tokens": 1024}
    config["evaluation"]["tokens"] = 1000
    config["law"]["draws"] = 20
    config["final"] |= {"size": "large", "budget_tokens": 4096}
    config["compare"] = {"sizes": ["large"], "budgets": [4096], "seeds": [0]}
    config["frontier"] |= {"size": "small", "budget_tokens": 4096}
    config["execution"] = {
        "compile": False,
        "microbatch": 2,
        "by_size": {"large": {"processes": 2}},
    }


def test_the_configuration_is_planned_and_costed_on_local_files(project):
    planned = project.planned()
    assert planned["read_shard"] == planned["write_shard"] == planned["encode_shard"] == 64
    assert planned["merge_shards"] == 1
    assert planned["specialize_domain"] == 5 * 17 * 2  # sizes, domains and general, seeds
    done = project.run("cost")
    assert done.returncode == 0, done.stderr
    with (project.folder / "results/paper/forecast.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["size"] for row in rows[::2]] == ["m50", "m110", "m340", "m730", "m1300", "m1300"]
    assert sum(float(row["hours"]) for row in rows) > 1000


@pytest.mark.slow
def test_a_shrunken_copy_runs_from_the_data_set_to_the_plan(project):
    shrink(project.config)
    project.write_config()
    done = project.run("choose_split")
    assert done.returncode == 0, done.stderr + done.stdout
    results = project.folder / "results/paper"
    tokenizer = json.loads((results / "tokenizer/tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == 32768
    assert not [file for file in (results / "corpus_shards").rglob("*") if file.is_file()]
    assert read_json(results / "corpus/router/router.json")["accuracy"] > 0.9
    assert list(read_json(results / "law/fit.json")["domains"]) == ["cluster_1", "cluster_2"]
    run = next((results / "runs/large").rglob("D*/run.json"))
    assert read_json(run)["world_size"] == 2
    assert 0 <= read_json(results / "split/plan.json")["fraction_general"] <= 1
