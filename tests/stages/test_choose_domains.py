"""The number of domains, chosen in a mixture of four artificial vocabularies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from splitlaw.cli import main
from splitlaw.corpus.documents import split_path, write_documents
from splitlaw.corpus.domains.partitions import partition_documents
from splitlaw.experiment.columns import DOMAINS
from splitlaw.experiment.settings import HeldOutConfig
from splitlaw.stages.gather import read_tables
from splitlaw.tokens import open_documents, open_tokens
from splitlaw.tokens import tokenizer as tokenizers
from splitlaw.tokens.writing import tokenize_domain

TOPICS = ("law", "code", "maths", "news")
CONFIG = {
    "size": "tiny",
    "shape": {"vocabulary": 300, "width": 8, "layers": 1, "heads": 2, "intermediate": 12,
              "context": 16},
    "training": {"batch_tokens": 64, "warmup_tokens": 128, "cooldown_fraction": 0.2,
                 "learning_rate": 0.01, "reference_params": 1000, "learning_rate_exponent": 0.0,
                 "weight_decay": 0.1, "betas": [0.9, 0.95], "clip": 1.0},
    "seed": 0,
    "numbers": [2, 4],
    "embedding": None,
    "corpus_seed": 0,
    "budget_tokens": 12800,
    "pretrain_tokens": 3200,
    "specialize_tokens": [640, 2560],
    "test_tokens": 500,
    "minimum_tokens": 50,
    "law": {"form": "two_skills", "draws": 10, "seed": 0},
}  # fmt: skip


def documents(count: int, seed: int) -> list[bytes]:
    """Sentences whose words occur in one topic only, apart from common ones."""
    random = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        topic = TOPICS[number % len(TOPICS)]
        words = np.array([f"{topic}{i}" for i in range(20)] + ["the", "of", "and"])
        texts.append(" ".join(random.choice(words, 30)).encode())
    return texts


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The corpus and the tokens of a mixture."""
    results = tmp_path_factory.mktemp("results")
    counts = {"train": 400, "validation": 20, "test": 100}
    for seed, (split, count) in enumerate(counts.items()):
        names = [str(number) for number in range(count)]
        batch = (names, ["mixture"] * count, documents(count, seed))
        write_documents(split_path(results / "corpus", "general", split), [batch])
    texts = (text.decode() for text in documents(400, 0))
    tokenizers.save_tokenizer(tokenizers.train_bpe(texts, 300), results / "tokenizer")
    cut = HeldOutConfig(minimum_tokens=1)
    folder = results / "tokens/general"
    tokenize_domain(results / "corpus", results / "tokenizer", "general", cut, folder)
    return results


def run(results: Path, **changes: object) -> int:
    words = ["choose_domains", "--config", json.dumps(CONFIG | changes), "--results", str(results)]
    words += ["--execution", '{"device": "cpu", "compile": false, "repeat": true}']
    return main([*words, "--out", str(results / "choose_domains.csv")])


def test_every_number_of_domains_is_predicted_on_the_same_text(results, capsys):
    assert run(results) == 0
    table = pd.read_csv(results / "choose_domains.csv", keep_default_na=False)
    assert list(table.columns) == DOMAINS
    assert table["k"].tolist() == [1, 2, 4, 3]
    assert [bool(merged) for merged in table["merged"]] == [False, False, False, True]
    assert (table["predicted_low"] <= table["predicted_loss"]).all()
    assert (table["predicted_loss"] <= table["predicted_high"]).all()
    # Each of K = 2 and 4 has a law of its own, and both know the loss of the unsplit run.
    assert table["no_split_loss"].std() < 0.05
    # The cooldown of the shorter branch begins in general text: the two have nothing in common.
    assert table["branch_tokens"].tolist() == [k * (640 + 2560) for k in (0, 2, 4, 3)]
    output = capsys.readouterr().out
    assert "have the lowest predicted loss for 0.01M tokens at size tiny" in output
    assert "Of 4 domains, merging the nearest two" in output and output.count("\n") == 2
    for number in (2, 4):
        whole = open_documents(results / "choose_domains/tokens/general/tokens.json", "test")
        parts = [
            open_documents(results / f"choose_domains/tokens/k{number}_{n + 1}/tokens.json", "test")
            for n in range(number)
        ]
        assert sum(len(part[0]) for part in parts) == len(whole[0])
        assert sum(part[2].sum() for part in parts) == whole[2].sum()


def test_trained_splits_have_the_budget_and_the_loss_of_their_specialists(results, capsys):
    assert run(results, train=True) == 0
    table = pd.read_csv(results / "choose_domains.csv").set_index("k")
    trained = table["trained_loss"]
    assert trained[[1, 2, 4]].notna().all() and np.isnan(trained[3])
    assert "Measured loss by number of domains: " in capsys.readouterr().out
    splits = read_tables(results.glob("choose_domains/runs/tiny/seed0/split/k4_*/losses.csv"))
    (pretrain,) = splits["pretrain_tokens"].unique()
    assert pretrain + splits["specialize_tokens"].sum() == pytest.approx(12800, abs=4 * 64)
    assert splits["loss"].min() <= trained[4] <= splits["loss"].max()
    # A law of a few branches is not far from what comes out.
    assert trained[[2, 4]].to_numpy() == pytest.approx(table["predicted_loss"][[2, 4]], rel=0.1)


def test_clusters_are_the_topics_and_two_of_them_are_merged(results):
    options = {"seed": 0, "embedding": None, "key": "numbers"}
    four, merged = partition_documents(results / "corpus", [4], **options)
    topic = np.arange(400) % 4
    pairs = set(zip(topic.tolist(), four.members["train"].tolist(), strict=True))
    assert len(pairs) == 4
    assert {label[:3] for label in four.labels} == {topic[:3] for topic in TOPICS}
    assert len(merged.names) == 3 and merged.merged in merged.labels
    shared = set(four.names) & set(merged.names)
    assert len(shared) == 2
    for name in shared:
        before = four.members["test"] == four.names.index(name)
        assert (before == (merged.members["test"] == merged.names.index(name))).all()


def test_the_tokens_of_a_cluster_are_those_of_its_documents(results):
    folder = results / "choose_domains/tokens"
    if not folder.exists():
        run(results)
    (two, *_) = partition_documents(results / "corpus", [2], seed=0, embedding=None, key="numbers")
    tokens = open_tokens(results / "tokens/general/tokens.json", "train")
    starts = np.append(np.flatnonzero(tokens == 0), len(tokens))
    own = np.flatnonzero(two.members["train"] == 1)
    wanted = np.concatenate([tokens[starts[row] : starts[row + 1]] for row in own])
    assert (open_tokens(folder / "k2_2/tokens.json", "train") == wanted).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numbers": [2, 50]}, "choose_domains.numbers is 50, and general has 400 documents"),
        ({"minimum_tokens": 3000}, "held-out tokens, fewer than evaluation.minimum_tokens 3000"),
        ({"embedding": "nothing"}, "corpus.domains.embedding: nothing is not a folder"),
    ],
)
def test_mistakes_are_one_line(results, capsys, changes, message):
    assert run(results, **changes) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
