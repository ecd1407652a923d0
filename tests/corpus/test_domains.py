"""Discovered domains and the router: planted topics are recovered."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_embedding import save_embedding

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.domains.clusters import fit_clusters, top_words
from splitlaw.corpus.domains.embedding import Embedding
from splitlaw.corpus.domains.router import Router, load_router, measure_accuracy, train_router


class Topics:
    """Documents of three vocabularies that share half of their words."""

    def __init__(self, writer) -> None:
        self.writer = writer
        self.own = [
            np.array([word + topic for word in writer.words[:300]]) for topic in ("a", "b", "c")
        ]

    def document(self, topic: int, words: int = 80) -> str:
        half = self.writer.document(words // 2).split()
        half += self.writer.random.choice(self.own[topic], words // 2).tolist()
        return " ".join(self.writer.random.permutation(half))


@pytest.fixture
def topics(writer) -> Topics:
    return Topics(writer)


def test_planted_topics_are_found(topics: Topics) -> None:
    truth = np.repeat([0, 1, 2], [150, 60, 30])
    texts = [topics.document(topic, 80).encode() for topic in truth]
    clusters = fit_clusters(texts, 3, seed=0)
    found = clusters.assign(texts)
    assert len({(t, f) for t, f in zip(truth.tolist(), found.tolist(), strict=True)}) == 3
    assert (fit_clusters(texts, 3, seed=0).centres == clusters.centres).all()
    words = top_words([b"all alpha alpha", b"all beta beta"], np.array([0, 1]), 2)
    assert [listed[0] for listed in words] == ["alpha", "beta"]


def test_too_few_documents_for_the_clusters_is_an_error() -> None:
    with pytest.raises(UserError, match=r"discover is 3, and general has 2 documents"):
        fit_clusters([b"one text", b"another"], 3, seed=0)


def test_router_assigns_unseen_texts_to_their_domain(topics: Topics, tmp_path: Path) -> None:
    names = ("law", "code", "maths")
    train = {
        name: iter([topics.document(i).encode() for _ in range(60)]) for i, name in enumerate(names)
    }
    router = train_router(train)
    held_out = {name: [topics.document(i) for _ in range(20)] for i, name in enumerate(names)}
    measured = measure_accuracy(router, held_out)
    assert measured["accuracy"] > 0.98
    assert sum(measured["confusion"]["code"].values()) == 20
    router.save(tmp_path / "router", **measured)
    again = load_router(tmp_path / "router")
    assert isinstance(again, Router)
    texts = [text for listed in held_out.values() for text in listed]
    assert again.route(texts) == router.route(texts)
    assert json.loads((tmp_path / "router/router.json").read_text())["accuracy"] > 0.98


def test_missing_router_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"router\.json: no such file"):
        load_router(tmp_path)
    (tmp_path / "router.json").write_text('{"domains": ["law"]}')
    with pytest.raises(UserError, match=r"router\.npz: cannot be read"):
        load_router(tmp_path)


def test_embedding_does_not_depend_on_the_batch(topics: Topics, tmp_path: Path) -> None:
    texts = [topics.document(i % 3, 20 + 7 * i) for i in range(40)]
    space = Embedding(save_embedding(tmp_path / "model", texts))
    together = space.vectors([text.encode() for text in texts])
    assert together.shape == (40, 64)
    assert np.allclose(np.linalg.norm(together, axis=1), 1)
    assert np.allclose(space.vectors([texts[5].encode()]), together[5], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01  # far above the tolerance of 1e-5
    assert space.vectors([]).shape == (0, 64)


def test_documents_may_be_assigned_to_clusters_of_a_model_by_their_words(
    topics: Topics, tmp_path: Path, write_lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitlaw.corpus.domains.clusters.SAMPLE_DOCUMENTS", 240)
    texts = [topics.document(i % 3) for i in range(480)]
    config = {
        "general": {
            "sources": [{"files": str(write_lines("mixed.jsonl", texts))}],
            "includes_domains": True,
        },
        "splits": {"validation": 0.1, "test": 0.1},
        "cleaning": {"benchmarks": []},
    }
    folder = save_embedding(tmp_path / "model", texts)
    found = []
    for assign in ("model", "words"):
        domains = {"discover": 3, "embedding": folder, "assign": assign}
        words = ["--config", json.dumps({**config, "domains": domains})]
        out = tmp_path / assign
        assert main(["prepare_corpus", *words, "--out", str(out)]) == 0
        for number in (1, 2, 3):
            batches = read_documents(out, f"cluster_{number}", "train")
            found.append({text for _, batch in batches for text in batch})
    assert found[:3] != found[3:]  # the words decide, not the model
    for topic in range(3):
        best = max(len(found[topic] & other) for other in found[3:])
        assert best > 0.7 * len(found[topic])  # by chance, a third; the model's weights are random


def test_missing_embedding_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.domains\.embedding: .* is not a folder"):
        Embedding(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"corpus\.domains\.embedding: .*AutoModel"):
        Embedding(str(tmp_path))


@pytest.mark.parametrize("by", ["words", "model"])
def test_command_discovers_domains(topics: Topics, tmp_path: Path, write_lines, by: str) -> None:
    texts = [topics.document(i % 3) for i in range(360)]
    path = write_lines("mixed.jsonl", texts)
    model = {"embedding": save_embedding(tmp_path / "model", texts)} if by == "model" else {}
    config = {
        "general": {"sources": [{"files": str(path)}]},
        "domains": {"discover": 3, **model},
        "splits": {"validation": 0.1, "test": 0.1},
        "cleaning": {"benchmarks": []},
    }
    out = tmp_path / "out"
    assert main(["prepare_corpus", "--config", json.dumps(config), "--out", str(out)]) == 0
    names = ["general", "cluster_1", "cluster_2", "cluster_3"]
    cards = [json.loads((out / name / "card.json").read_text()) for name in names]
    kept = [sum(part["documents"] for part in card["splits"].values()) for card in cards]
    assert sum(kept) == 360
    assert kept[0] == pytest.approx(180, abs=40)  # four standard deviations of 360 even draws
    about = json.loads((out / "clusters.json").read_text())["clusters"]
    assert list(about) == names[1:]
    assert len({listed["top_words"][0][-1] for listed in about.values()}) == 3
    assert [card["label"] for card in cards[1:]] == [c["label"] for c in about.values()]
    assert about["cluster_1"]["label"].split() == about["cluster_1"]["top_words"][:3]
    accuracy = json.loads((out / "router/router.json").read_text())["accuracy"]
    assert accuracy > (0.95 if by == "words" else 0.8)  # the model's weights are random
