import json

import numpy as np
import pandas as pd
import pytest

from splitlaw.cli import main
from splitlaw.corpus.documents import read_documents, split_path, write_documents
from splitlaw.corpus.domains.router import load_router
from splitlaw.experiment.columns import BENCHMARKS, ROUTES
from splitlaw.training.evaluation import load_documents

FINALS = "final/tiny/1000/seed0"


@pytest.fixture
def run(root, config, capsys):
    """Run the command on an experiment; returns its status and standard error."""

    def inner(results, **changes):
        settings = json.dumps(json.loads(config) | changes)
        arguments = ["--config", settings, "--results", results, "--items", results / "items"]
        arguments += ["--tasks", root / "tasks", "--out", results / "benchmarks.csv", "--tables"]
        arguments += [results / FINALS / strategy / "losses.csv" for strategy in ORDER]
        status = main(["benchmark", *(str(argument) for argument in arguments)])
        return status, capsys.readouterr().err

    return inner


ORDER = ("optimal", "joint", "no_split")


def test_four_systems_on_tasks_and_documents(run, changed):
    status, output = run(changed)
    assert (status, output) == (0, "")
    table = pd.read_csv(changed / "benchmarks.csv")
    assert list(table.columns) == BENCHMARKS
    assert set(zip(table["strategy"], table["system"], strict=True)) == {
        ("optimal", "routed"),
        ("optimal", "oracle"),
        ("optimal", "ensemble"),
        ("joint", "single"),
        ("no_split", "single"),
    }
    others = table[table["strategy"] != "joint"]
    found = others.set_index(["system", "task", "metric"])["value"]
    own = load_documents(changed / FINALS / "optimal/law/documents.npz")["law"]
    assert found["routed", "heldout_law", "loss"] == pytest.approx(own.loss)
    for task in ("local_arc_easy", "local_winogrande", "heldout_law", "heldout_medicine"):
        bits = found[:, task, "bits_per_byte"]
        assert bits["oracle"] <= bits["routed"] + 1e-9  # an ensemble may be better than both
    assert table.loc[table["metric"] == "acc", "chance"].unique().tolist() == [0.5]
    gains = pd.read_csv(changed / "benchmark_gains.csv")
    assert set(zip(gains["strategy"], gains["against"], strict=True)) == {
        ("optimal", "no_split"),
        ("optimal", "joint"),
        ("joint", "no_split"),
    }
    of = gains.set_index(["system", "against", "task", "metric"])["difference"]
    key = ("all_tasks", "bits_per_byte")
    assert of["routed", "no_split", *key] == pytest.approx(
        found["routed", *key] - found["single", *key]
    )
    from_text, from_split = of["single", "no_split", *key], of["routed", "joint", *key]
    assert of["routed", "no_split", *key] == pytest.approx(from_text + from_split)
    page = (changed / "benchmarks.md").read_text()
    assert page.index("Bits per byte") < page.index("Accuracy") < page.index("Held-out loss")
    assert "contains the chance level" in page and "### Gain from the split alone" in page


def test_the_loss_that_wrong_routes_cause(run, changed):
    assert run(changed)[0] == 0
    table = pd.read_csv(changed / "benchmark_routes.csv")
    assert list(table.columns) == ROUTES
    texts = {"law", "medicine", "all_domains", "general"}
    assert set(zip(table["text"], table["characters"], strict=True)) == {
        (text, characters) for text in texts for characters in (50, 200, 1000)
    }
    of = table.set_index(["text", "characters"])
    router = load_router(changed / "corpus/router")
    folder = changed / FINALS / "optimal"
    specialists = [load_documents(folder / name / "documents.npz") for name in ("law", "medicine")]
    routed, own = 0.0, 0.0
    for number, domain in enumerate(("law", "medicine")):
        documents = read_documents(changed / "corpus", domain, "test")
        names = router.route([text[:50] for _, batch in documents for text in batch])
        assert of.loc[(domain, 50), "accuracy"] == np.mean([name == domain for name in names])
        nats = [losses[domain].nats for losses in specialists]
        routed += np.where([name == "law" for name in names], *nats).sum()
        own += nats[number].sum()
    # The mixture consists of the documents of both domains.
    tokens = specialists[0]["general"].tokens.sum()
    mixture = of.loc[("general", 50)]
    assert mixture["loss"] == pytest.approx(routed / tokens, rel=1e-5)
    assert mixture["own_loss"] == pytest.approx(own / tokens, rel=1e-5)
    assert mixture["excess"] == pytest.approx(mixture["loss"] - mixture["own_loss"])
    single = load_documents(changed / FINALS / "no_split/general/documents.npz")["general"]
    assert mixture["over_no_split"] == pytest.approx(single.loss - mixture["loss"])
    mean = (of.loc[("law", 50), "loss"] + of.loc[("medicine", 50), "loss"]) / 2
    assert of.loc[("all_domains", 50), "loss"] == pytest.approx(mean)


def test_the_ensemble_is_compared_with_that_at_temperature_1(run, changed):
    # The router is certain of every text, and a third of its validation text is of another domain.
    texts = []
    for domain, count in {"law": 8, "medicine": 4}.items():
        documents = read_documents(changed / "corpus", domain, "validation")
        texts += [text.encode() for _, batch in documents for text in batch][:count]
    names = [str(number) for number in range(len(texts))]
    write_documents(split_path(changed / "corpus", "law", "validation"), [(names, names, texts)])
    assert run(changed)[0] == 0
    record = json.loads((changed / "benchmark_run.json").read_text())
    fitted = {row["task"]: row for row in record["ensemble_against_temperature_1"]}
    assert set(fitted) == {"all_tasks", "all_domains"}
    assert record["router_temperature"] > 2 and fitted["all_tasks"]["difference"] != 0
    router = changed / "corpus/router/router.npz"
    with np.load(router) as arrays:
        scaled = arrays["log_likelihood"] / record["router_temperature"]
    np.savez_compressed(router, log_likelihood=scaled)  # the temperature that fits it is 1
    assert run(changed)[0] == 0
    record = json.loads((changed / "benchmark_run.json").read_text())
    assert record["router_temperature"] == pytest.approx(1, abs=0.02)
    (same,) = (r for r in record["ensemble_against_temperature_1"] if r["task"] == "all_tasks")
    assert abs(same["difference"]) < abs(fitted["all_tasks"]["difference"]) / 10


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("tokenizer.json", "optimal/law: has no tokenizer.json"),
        ("losses.csv", "optimal/losses.csv: is not a table of final models"),
    ],
)
def test_a_missing_file_is_named(run, changed, name, output):
    for path in (changed / FINALS / "optimal").rglob(name):
        path.unlink()
    status, error = run(changed)
    assert status == 2 and output in error and error.count("\n") == 1
    assert not (changed / "benchmarks.csv").exists()


def test_another_tokenizer_is_refused(run, changed):
    path = changed / FINALS / "optimal/law/tokenizer.json"
    path.write_text(path.read_text() + " ")
    status, error = run(changed)
    assert status == 2 and "differs from the tokenizer in" in error


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(run, changed):
    path = changed / FINALS / "optimal/law/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 20}))
    status, error = run(changed)
    assert status == 2 and "the tokenizer has 300 tokens, but the model has 20" in error


def test_an_empty_test_domain_is_refused(run, changed):
    path = changed / "tokens/law/tokens.json"
    content = json.loads(path.read_text())
    content["splits"]["test"] |= {"tokens": 0, "documents": 0}
    path.write_text(json.dumps(content))
    (path.parent / "test.bin").write_bytes(b"")
    status, error = run(changed)
    assert status == 2 and error.count("\n") == 1 and "law" in error


def test_losses_on_other_documents_are_refused(run, changed):
    status, error = run(changed, test_tokens=100)
    assert status == 2 and "documents.npz: its losses are not on the test documents of law" in error


def test_an_unknown_task_is_one_line(run, changed):
    status, error = run(changed, tasks=["local_arc_esy"])
    assert status == 2 and error.count("\n") == 1
    assert "no task local_arc_esy; did you mean local_arc_easy" in error
    assert not (changed / "benchmarks.csv").exists()


def test_an_item_without_a_right_answer_is_one_line(run, changed):
    path = changed / "items/local_arc_easy.jsonl"
    path.write_text(path.read_text().replace('"gold": 0', '"gold": 7', 1))
    status, error = run(changed)
    assert status == 2 and error.count("\n") == 1
    assert "local_arc_easy: item 1 has no right answer" in error


def test_the_page_counts_removed_items(run, changed):
    counts = {"in_package": 9, "near_training_text": 2, "answer_longer_than_context": 1}
    counts |= {"kept": 5, "question_cut_to_context": 1}
    content = {"tasks": {"local_arc_easy": counts, "local_winogrande": counts}}
    (changed / "items/items.json").write_text(json.dumps(content))
    assert run(changed)[0] == 0
    page = (changed / "benchmarks.md").read_text()
    assert "| ARC-Easy | 9 | 2 | 1 | 5 | 1 |" in page and "| all | 18 | 4 | 2 | 10 | 2 |" in page


def test_an_empty_list_of_tasks_is_refused(run, changed):
    status, error = run(changed, tasks=[])
    assert (status, error) == (2, "error: --config: tasks has 0 values; give at least 1\n")
