import dataclasses
import re

import pandas as pd
import pytest

from splitlaw.report import reliability, sentences, tables_plan
from splitlaw.report.headline import headline
from splitlaw.report.inputs import read_inputs, read_recipes
from splitlaw.report.number_format import count, listing, percent, power, signed
from splitlaw.report.summary import summarise


@pytest.fixture(scope="module")
def inputs(planted):
    return read_inputs(planted)


@pytest.fixture(scope="module")
def recipes(inputs):
    return read_recipes(inputs)


def changed(recipes, **fields):
    return [dataclasses.replace(recipes[0], **fields), *recipes[1:]]


def test_the_answer_is_one_sentence_with_its_interval(inputs, recipes):
    text = sentences.answer(inputs, recipes)
    assert text.count(". ") == 0
    for part in ("of the tokens on general text", "90% interval", "expect a mean loss", "law"):
        assert part in text


def test_the_headline_is_the_gain_over_the_best_baseline(inputs, recipes):
    best = min((r for r in recipes if r.gain is not None), key=lambda r: r.gain)
    text = headline(inputs, recipes)
    side = "lower" if best.gain > 0 else "higher"
    assert f"is {abs(best.gain):.3f}" in text
    assert f" {side} than that of {best.prose}, the best baseline." in text
    for change, side in ((1.0, "lower"), (-1.0, "higher")):
        changed = [dataclasses.replace(r, gain=r.gain and r.gain + change) for r in recipes]
        assert f" {side} than that of" in headline(inputs, changed)
    unmeasured = [dataclasses.replace(r, measured=None, gain=None) for r in recipes]
    assert headline(inputs, unmeasured).startswith("The law predicts that the loss of the optimal")
    for predicted, words in (((0.02, 0.01, 0.03), "below"), ((-0.02, -0.03, -0.01), "above")):
        gains = [r.predicted_gain and predicted for r in unmeasured]
        given = [
            dataclasses.replace(r, predicted_gain=g) for r, g in zip(unmeasured, gains, strict=True)
        ]
        text = headline(inputs, given).replace("\u00a0", " ")
        assert "is 0.020 (0.010 to 0.030) nats per token" in text and f" {words} that of" in text
    assert headline(inputs, []) == ""


def test_under_a_limit_the_headline_compares_recipes_that_forget_no_more(inputs, recipes):
    rise = {"limit": 0.05, "reference": 4.0}
    limited = dataclasses.replace(inputs, plan={**inputs.plan, "general_loss_rise": rise})
    forgets = {"optimal": 4.24, "half": 4.1, "scratch": 4.6}
    gains = {"optimal": None, "half": 0.02, "scratch": -0.3}
    given = [
        dataclasses.replace(r, measured_general=forgets[r.strategy], gain=gains[r.strategy])
        for r in recipes
        if r.strategy in forgets
    ]
    text = headline(limited, given).replace("\u00a0", " ")
    assert "rises by 6.0% on average, where the limit is 5.0% for each" in text
    assert "is 0.020" in text and "lower than that of half and half" in text
    worse = [r for r in given if r.strategy != "half"]
    assert headline(limited, worse).endswith("; no other recipe keeps it as low.")


def test_the_headline_has_the_gain_on_tasks_with_a_paired_error(inputs, recipes):
    scores = {"optimal": 2.0, "half": 2.1, "no_split": 2.3}
    system = {"no_split": "single"}
    rows = [(s, system.get(s, "routed"), "all_tasks", v, 0.09, 800) for s, v in scores.items()]
    rows += [(s, system.get(s, "routed"), "sciq", v, 0.09, 800) for s, v in scores.items()]
    rows += [("optimal", "oracle", "all_tasks", 1.0, 0.09, 800)]
    table = pd.DataFrame(rows, columns=["strategy", "system", "task", "value", "stderr", "n"])
    table = table.assign(metric="bits_per_byte")
    gains = table[["strategy", "system", "task", "metric"]].assign(against="no_split", stderr=0.03)
    measured = dataclasses.replace(inputs, benchmarks=table, benchmark_gains=gains)
    text = headline(measured, recipes).replace("\u00a0", " ")
    # The errors of both from no split, 0.03, are added in quadrature.
    wanted = "on the task it needs 0.100 ± 0.042 bits per byte (4.8%) less than half and half"
    assert wanted in text


def test_an_even_split_is_one_number_and_an_uneven_one_is_listed_by_domain(inputs, recipes):
    even = dict.fromkeys(inputs.domains, 500_000)
    assert "on each of law" in sentences.answer(inputs, changed(recipes, specialize_tokens=even))
    uneven = {**even, "law": 900_000}
    assert "% on law and " in sentences.answer(inputs, changed(recipes, specialize_tokens=uneven))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"specialize_tokens": {"law": 0, "code": 0}}, "do not split"),
        ({"pretrain_tokens": 0}, "train on no general text"),
        ({"specialize_tokens": {"law": 900_000, "code": 0}}, "none on code"),
    ],
)
def test_splits_without_some_kind_of_text_are_described(inputs, recipes, change, text):
    assert text in sentences.answer(inputs, changed(recipes, **change))


def test_an_existing_base_is_named(inputs, recipes):
    plan = {**inputs.plan, "pretrain_tokens_paid": False}
    text = sentences.answer(dataclasses.replace(inputs, plan=plan), recipes)
    assert "from the base of" in text


def test_winning_and_losing_are_both_reported(recipes):
    assert "has the lowest mean loss" in sentences.outcome(recipes)[0]
    best = dataclasses.replace(
        recipes[2], measured=1.0, gain=-2.0, predicted_gain=(0.1, 0.1, 0.1), gain_stderr=0.01
    )
    lost = sentences.outcome([recipes[0], recipes[1], best, *recipes[3:]])
    assert "did not win" in lost[0]
    assert "half and half: wrong sign" in " ".join(lost)


def test_the_gain_over_no_split_is_divided_between_text_and_split(recipes):
    of = {recipe.strategy: recipe for recipe in recipes}
    joint, total = of["joint"], of["no_split"].gain
    assert joint.data_gain + joint.gain == pytest.approx(total)
    assert 0 < joint.data_gain_stderr < of["no_split"].stderr
    text = " ".join(sentences.outcome(recipes))
    assert f"The gain over no split is {total:.4f}" in text
    assert f"{joint.data_gain:.4f}" in text and f"{joint.gain:.4f}" in text


def test_without_measurements_there_is_no_outcome(recipes):
    none = [dataclasses.replace(r, measured=None, gain=None) for r in recipes]
    assert sentences.outcome(none) == []


def test_recipes_with_too_few_tokens_are_marked(recipes):
    few = [dataclasses.replace(r, tokens_per_param=3.2) for r in recipes]
    assert "fewer than 5 tokens per parameter" in " ".join(sentences.outcome(few))
    assert "†" in tables_plan.recipes_table(few).rows[1][0]


def test_the_assessment_names_the_held_out_size_and_the_extrapolation(inputs):
    text = " ".join(reliability.assessment(inputs))
    assert "2.6 times the largest size" in text
    assert "The plan extrapolates: 2.6 times the largest N" in text
    assert re.search(r"the 90% interval of its loss is \d+\.\d% of it wide", text)


def test_numbers():
    assert [count(n) for n in (0, 512, 25_328, 3_670_016, 2e9)] == [
        "0",
        "512",
        "25.3k",
        "3.67M",
        "2B",
    ]
    assert power(2.871e12).replace("\u00a0", " ") == "2.87 × 10¹²"
    assert [percent(0.1234), percent(None), signed(-0.00001)] == ["12.3%", "–", "+0.00%"]
    assert listing(["a", "b", "c"]) == "a, b and c"


def test_the_brief_assessment_names_the_error_and_the_expected_regret(inputs):
    text = reliability.brief_assessment(inputs)
    assert "the mean error of the law is" in text
    assert "The expected regret of the plan is" in text
    assert any("2.56 times the largest" in w for w in reliability.decisive_warnings(inputs))
    assert reliability.brief_assessment(dataclasses.replace(inputs, fit=None)) == ""


def test_a_caution_precedes_the_answer_where_runs_are_too_short(inputs, recipes, tmp_path):
    assert sentences.caution(inputs) == ""
    losses = inputs.losses.assign(pretrain_tokens=10, specialize_tokens=10)
    short = dataclasses.replace(inputs, losses=losses)
    text = sentences.caution(short)
    assert text.startswith("These results are not meaningful: 100%")
    shown = summarise(short, recipes, tmp_path / "report.html")
    assert shown.startswith("These results are not meaningful")
