import math

import numpy as np
import pytest
from lm_eval.api.metrics import mean_stderr

from splitlaw.zero_shot.tables import (
    ALL_DOMAINS,
    ALL_TASKS,
    BETTER,
    BOUND,
    INSIDE,
    WORSE,
    Measure,
    gain_rows,
    value_rows,
)


def accuracy(hits, task="t", chance=0.25):
    hits = np.asarray(hits, float)
    return Measure(
        task=task, metric="acc", numerator=hits, denominator=np.ones(len(hits)), chance=chance
    )


def bits(values, task="t"):
    values = np.asarray(values, float)
    return Measure(
        task=task, metric="bits_per_byte", numerator=values, denominator=np.full(len(values), 4.0)
    )


def test_an_accuracy_has_the_standard_error_of_lm_eval():
    hits = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert accuracy(hits).value == pytest.approx(3 / 7)
    assert accuracy(hits).stderr == pytest.approx(mean_stderr(hits))


def test_verdicts_of_differences():
    random = np.random.default_rng(0)
    base = random.normal(8, 1, 400)
    noise = random.normal(0, 1, 400)
    rows = {
        shift: gain_rows([bits(base + noise + shift)], [bits(base)])[0]["verdict"]
        for shift in (-0.5, -noise.mean(), 0.5)
    }
    assert list(rows.values()) == [BETTER, INSIDE, WORSE]


def test_higher_accuracy_is_better_and_an_oracle_is_a_bound():
    more, less = [1] * 30 + [0] * 10, [0] * 20 + [1] * 10 + [0] * 10
    assert gain_rows([accuracy(more)], [accuracy(less)])[0]["verdict"] == BETTER
    assert gain_rows([accuracy(less)], [accuracy(more)])[0]["verdict"] == WORSE
    assert gain_rows([accuracy(more)], [accuracy(less)], bound=True)[0]["verdict"] == BOUND


def test_the_difference_of_equal_answers_is_zero():
    row = gain_rows([accuracy([1, 0, 1])], [accuracy([1, 0, 1])])[0]
    assert (row["difference"], row["stderr"], row["verdict"]) == (0.0, 0.0, INSIDE)


def test_the_interval_is_that_of_resampling_items_by_hand():
    random = np.random.default_rng(1)
    base, other = random.exponential(8, 25), random.exponential(8, 25)  # few and skewed
    row = gain_rows([bits(other)], [bits(base)])[0]
    picks = random.integers(0, 25, size=(20000, 25))
    by_hand = (other - base)[picks].sum(1) / 100
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(by_hand, (0.05, 0.95)), abs=0.06)
    assert row["low"] < row["difference"] < row["high"]


def test_a_mean_of_tasks_has_a_narrower_interval_than_each():
    random = np.random.default_rng(2)
    pairs = [(random.normal(8, 1, 60), f"t{number}") for number in range(9)]
    ours = [bits(values + random.normal(0, 1, 60), task) for values, task in pairs]
    rows = gain_rows(ours, [bits(values, task) for values, task in pairs])
    widths = {row["task"]: row["high"] - row["low"] for row in rows}
    mean = widths.pop(ALL_TASKS)
    assert mean == pytest.approx(np.mean(list(widths.values())) / 3, rel=0.2)


def test_means_have_equal_weights_of_tasks_and_domains():
    measures = [
        accuracy([1, 1, 1, 0], "a"),
        accuracy([0, 1], "b", chance=0.5),
        bits([8, 9, 10], "heldout_law"),
        bits([4, 5], "heldout_code"),
    ]
    rows = {(row["task"], row["metric"]): row for row in value_rows(measures)}
    mean = rows[ALL_TASKS, "acc"]
    assert (mean["value"], mean["chance"], mean["n"]) == (0.625, 0.375, 6)
    assert mean["stderr"] == pytest.approx(math.hypot(measures[0].stderr, measures[1].stderr) / 2)
    assert rows[ALL_DOMAINS, "bits_per_byte"]["value"] == pytest.approx((2.25 + 1.125) / 2)
    assert math.isnan(rows[ALL_DOMAINS, "bits_per_byte"]["chance"])
