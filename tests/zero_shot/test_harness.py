import json

import numpy as np
import pytest
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

from splitlaw.common.errors import UserError
from splitlaw.zero_shot import harness
from splitlaw.zero_shot.models import open_model
from splitlaw.zero_shot.scoring import log_likelihoods, pack

TASKS = ["local_arc_easy", "local_winogrande"]


@pytest.fixture
def load(root, experiment, tmp_path):
    def inner(names, items=experiment / "items"):
        return harness.load_tasks(names, folder=root / "tasks", items=items, cache=tmp_path)

    return inner


def test_accuracies_of_planted_log_likelihoods(load):
    """The first choice always has the highest likelihood; it is right for three of eight items."""
    questions = harness.build_questions(load(TASKS))
    assert questions.choices.tolist() == [2] * 8
    assert [questions.requests[g].idx for g in questions.gold] == [0, 1, 1, 0, 1, 0, 1, 0]
    bounds = np.arange(len(questions.requests) + 1)
    likely = np.array([-1.0 if request.idx == 0 else -9.0 for request in questions.requests])
    found = harness.hits(questions, likely, bounds)
    assert found["local_arc_easy"]["acc"].tolist() == [1, 0, 0, 1, 0]
    assert found["local_winogrande"]["acc"].tolist() == [1, 0, 1]


def test_acc_norm_divides_by_length_as_in_lm_eval(load):
    """Item c: `yes indeed`, -5 nats in 10 characters, is above `no`, -2 nats in 2 characters."""
    questions = harness.build_questions(load(["local_arc_easy"]))
    values = np.full(10, -3.0)
    values[4:6] = [-5.0, -2.0]
    found = harness.hits(questions, values, np.arange(11))["local_arc_easy"]
    assert (found["acc"][2], found["acc_norm"][2]) == (1, 0)


def test_metrics_are_those_of_lm_eval_with_the_model(load, experiment):
    folder = experiment / "final/tiny/1000/seed0/no_split/general"
    model, tokenizer = open_model(folder), AutoTokenizer.from_pretrained(folder)
    tasks = load(TASKS)
    questions = harness.build_questions(tasks)
    packed = pack(harness.encode(questions, model, tokenizer), context=32)
    ours = harness.hits(questions, log_likelihoods(model, packed), packed.bounds)
    theirs = evaluate(HFLM(pretrained=model, tokenizer=tokenizer), {"tasks": tasks})["results"]
    for task, metrics in ours.items():
        for metric, found in metrics.items():
            assert found.mean() == theirs[task][f"{metric},none"]


def test_an_answer_that_the_tokenizer_joins_with_the_question_is_named(load, experiment):
    """lm-eval issue 1053: `: C` is one token, and an assertion failed within the evaluation."""
    folder = experiment / "final/tiny/1000/seed0/no_split/general"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["heals?\nAnswer: sage"])
    questions = harness.build_questions(load(["local_arc_easy"]))
    with pytest.raises(UserError, match="local_arc_easy: item 1 has an answer without tokens of"):
        harness.encode(questions, open_model(folder), tokenizer)


def test_the_router_reads_the_question_with_all_choices(load):
    texts = harness.build_questions(load(TASKS)).texts
    assert texts[0] == "Question: which herb heals?\nAnswer: sage oak"
    assert texts[5].count(" was large.") == 1 and "fitted" in texts[5]


def test_bytes_are_those_of_the_right_answer(load):
    questions = harness.build_questions(load(TASKS))
    assert questions.bytes.tolist() == [4, 7, 2, 6, 4, 10, 10, 10]


def test_an_unknown_task_is_named_with_similar_ones(load):
    with pytest.raises(UserError, match="no task local_arc_esy; did you mean local_arc_easy"):
        load(["local_arc_esy"])


def test_a_task_without_items_names_the_file(load, tmp_path):
    with pytest.raises(UserError, match=r"local_sciq.jsonl: not found; run benchmark_items"):
        load(["local_sciq"], items=tmp_path)


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("gold", [2, -1])
def test_an_item_without_a_right_answer_is_named(load, tmp_path, gold, place):
    item = {"query": "Which?", "choices": ["this", "that"], "gold": 0}
    lines = [json.dumps(item), json.dumps(item)]
    lines[place - 1] = json.dumps(item | {"gold": gold})
    (tmp_path / "local_sciq.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=f"local_sciq: item {place} has no right answer"):
        harness.build_questions(load(["local_sciq"], items=tmp_path))


def test_a_file_that_is_not_json_is_named(load, tmp_path):
    (tmp_path / "local_sciq.jsonl").write_text('{"query": \n')
    with pytest.raises(UserError, match="local_sciq: its items cannot be read"):
        load(["local_sciq"], items=tmp_path)


def test_a_task_that_requires_the_hub_is_named_offline(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    task = "task: far\ndataset_path: someone/absent\noutput_type: multiple_choice\ntest_split: test"
    (tmp_path / "far.yaml").write_text(task)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    with pytest.raises(UserError, match="far: requires the hub, which does not respond"):
        harness._load(manager, "far", "far")


def test_a_hub_that_fails_without_a_message_is_named_by_the_type_of_its_error():
    class Manager:
        def load(self, _):
            raise ConnectionError("")

    with pytest.raises(UserError, match=r"far: requires the hub.*respond \(ConnectionError\)"):
        harness._load(Manager(), "far", "far")


def test_a_task_whose_data_set_has_a_loading_script_is_named(tmp_path):
    """lm-eval issue 3171."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far/far.py").write_text("import datasets\n")
    task = f"task: far\ndataset_path: {tmp_path}/far\noutput_type: multiple_choice"
    (tmp_path / "far.yaml").write_text(task)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    with pytest.raises(UserError, match=r"far: cannot be opened \(its data set has a loading scr"):
        harness._load(manager, "far", "far")
