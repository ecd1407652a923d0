"""The page `benchmarks.md`: bits per byte, accuracies with chance levels, held-out losses."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from splitlaw.common.markdown import markdown_table
from splitlaw.experiment.strategies import JOINT, NO_SPLIT, OPTIMAL
from splitlaw.zero_shot.systems import ORACLE, SINGLE
from splitlaw.zero_shot.tables import (
    ACCURACY,
    ALL_DOMAINS,
    ALL_TASKS,
    BETTER,
    BITS,
    HELD_OUT,
    LOSS,
    NORMALISED,
    WORSE,
    at_chance,
)

MARKS = {BETTER: " **better**", WORSE: " *worse*"}
"""Verdicts in Markdown; others are not printed."""
_NAMES = {ALL_TASKS: "mean of the tasks", ALL_DOMAINS: "mean of the domains"}
_EXPLANATION = """\
Values ± one standard error. A system is called better or worse than the single model of no split,
with the same training compute, where the 90% interval of their difference on the same items or
documents excludes zero; every other difference is inside its error. The single model of joint
training has seen the text of the optimal split: its difference from no split is due to the text,
and the difference of the optimal split from it is due to the split. The oracle selects a specialist
by the right answer. It is a bound: it is better than its models even where these are equally good.
"""


def write_page(
    values: pd.DataFrame,
    gains: pd.DataFrame,
    titles: Mapping[str, str],
    counts: Mapping[str, Mapping[str, int]],
) -> str:
    """The page in Markdown, with a section for every size, budget and seed.

    `counts` are the counts of kept and removed items in `items.json`, by local task.
    """
    parts = ["# Benchmarks", "", _EXPLANATION]
    if counts:
        parts += ["## Items of the local tasks", "", *_items(counts, titles), ""]
    for key, part in values.groupby(["size", "budget", "seed"], sort=False):
        mine = gains[(gains[["size", "budget", "seed"]] == list(key)).all(axis=1)]
        parts += ["## Size {}, budget {}, seed {}".format(*key), "", *_part(part, mine, titles)]
    return "\n".join(parts)


def _items(counts: Mapping[str, Mapping[str, int]], titles: Mapping[str, str]) -> list[str]:
    columns = {
        "in_package": "in the package",
        "near_training_text": "removed: in training text",
        "answer_longer_than_context": "removed: answer longer than the context",
        "kept": "used",
        "question_cut_to_context": "of these: question truncated to the context",
    }
    rows = [["", *columns.values()]]
    for task, found in counts.items():
        rows.append([titles.get(task, task), *(f"{found[name]:,}" for name in columns)])
    totals = [sum(found[name] for found in counts.values()) for name in columns]
    return markdown_table(rows[0], [*rows[1:], ["all", *(f"{total:,}" for total in totals)]])


def _part(values: pd.DataFrame, gains: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    main = values[(values["strategy"] == OPTIMAL) | (values["system"] == SINGLE)]
    of_domains = main["task"].str.startswith(HELD_OUT) | (main["task"] == ALL_DOMAINS)
    tasks, domains = main[~of_domains], main[of_domains]
    return [
        "### Bits per byte of the right answer (lower is better)",
        "",
        *_by_task(tasks, gains, BITS, titles),
        "",
        *_accuracy(tasks, gains, titles),
        "### Held-out loss, nats per token (lower is better)",
        "",
        *_by_task(domains, gains, LOSS, titles),
        "",
        "### All strategies, means over tasks and over domains",
        "",
        *_by_system(values, gains),
        "",
        *_over_joint(gains),
    ]


def _over_joint(gains: pd.DataFrame) -> list[str]:
    """Differences of the optimal split's systems from joint training, means over tasks."""
    ours = gains[(gains["against"] == JOINT) & (gains["strategy"] == OPTIMAL)]
    ours = ours[(ours["task"] == ALL_TASKS) & ours["metric"].isin([BITS, ACCURACY])]
    if ours.empty:
        return []
    rows = [
        [
            row.system,
            str(row.metric).replace("_", " "),
            f"{row.difference:+.3f} ± {row.stderr:.3f}{MARKS.get(row.verdict, '')}",
        ]
        for row in ours.itertuples()
    ]
    head = ["system", "metric, mean of the tasks", "optimal split minus joint training"]
    return ["### Gain from the split alone", "", *markdown_table(head, rows), ""]


def _accuracy(tasks: pd.DataFrame, gains: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    guessed = tasks[
        tasks["metric"].isin([ACCURACY, NORMALISED])
        & (tasks["task"] != ALL_TASKS)
        & (tasks["system"] != ORACLE)
    ]
    if guessed.empty:
        return []
    low, count = int(at_chance(guessed).sum()), len(guessed)
    note = (
        f"The 90% interval of {low} of {count} accuracies (plain and normalised by length, without "
        "the oracle) contains the chance level."
    )
    if low > count / 2:
        note += " These models mostly guess; compare their bits per byte instead."
    lines = ["### Accuracy (higher is better)", "", note, ""]
    return [*lines, *_by_task(tasks, gains, ACCURACY, titles, chance=True), ""]


def _by_task(
    values: pd.DataFrame,
    gains: pd.DataFrame,
    metric: str,
    titles: Mapping[str, str],
    *,
    chance: bool = False,
) -> list[str]:
    """A table with one row per task and one column per system, the single model first."""
    values = values[values["metric"] == metric]
    who = list(dict.fromkeys(zip(values["strategy"], values["system"], strict=True)))
    who.sort(key=lambda pair: pair[1] != SINGLE)
    cells = _cells(values, gains)
    rows = [["", *(["chance"] if chance else []), *(", ".join(pair) for pair in who)]]
    for task, part in values.groupby("task", sort=False):
        name = _NAMES.get(task, titles.get(task, task.removeprefix(HELD_OUT)))
        guess = [f"{part['chance'].iloc[0]:.3f}"] if chance else []
        rows.append([name, *guess, *(cells[(*pair, task, metric)] for pair in who)])
    return markdown_table(rows[0], rows[1:])


def _by_system(values: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    """A table with one row per strategy and system; columns are means."""
    columns = {
        "bits per byte, tasks": (ALL_TASKS, BITS),
        "accuracy, tasks": (ALL_TASKS, ACCURACY),
        "loss, domains": (ALL_DOMAINS, LOSS),
    }
    cells = _cells(values, gains)
    rows = [["strategy", "system", *columns]]
    for pair in dict.fromkeys(zip(values["strategy"], values["system"], strict=True)):
        rows.append([*pair, *(cells.get((*pair, *column), "") for column in columns.values())])
    return markdown_table(rows[0], rows[1:])


def _cells(values: pd.DataFrame, gains: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Value, error and verdict by strategy, system, task and metric."""
    keys = ["strategy", "system", "task", "metric"]
    over_no_split = gains[gains["against"] == NO_SPLIT]
    verdicts = over_no_split.set_index(keys)["verdict"].to_dict()
    return {
        key: f"{row['value']:.3f} ± {row['stderr']:.3f}{MARKS.get(verdicts.get(key, ''), '')}"
        for key, row in values.set_index(keys).iterrows()
    }
