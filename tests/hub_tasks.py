"""Data sets of `lm-eval`'s tasks, as `datasets` stores them once it has read them from the Hub."""

from pathlib import Path
from typing import Any

import pytest

ITEMS = 2
"""Items of every task."""


def _arc(number: int) -> dict[str, Any]:
    choices = {"text": [f"a{number}", f"b{number}"], "label": ["A", "B"]}
    return {"question": f"a1 a2 a{number}?", "choices": choices, "answerKey": "AB"[number % 2]}


def _hellaswag(number: int) -> dict[str, Any]:
    endings = [f"a{number} a2.", f"b{number} b2."]
    text = {"activity_label": "a4", "ctx_a": f"a1 a{number}", "ctx_b": "a3", "endings": endings}
    return {**text, "label": str(number % 2)}


def _piqa(number: int) -> dict[str, Any]:
    return {"goal": f"a{number}", "sol1": "a2 a3", "sol2": "b2 b3", "label": number % 2}


def _winogrande(number: int) -> dict[str, Any]:
    text = {"sentence": f"a{number} a2 _ a3 a4.", "option1": "a5", "option2": "b5"}
    return {**text, "answer": "12"[number % 2]}


def _openbookqa(number: int) -> dict[str, Any]:
    item = _arc(number)
    return {"question_stem": item.pop("question"), **item}


def _siqa(number: int) -> dict[str, Any]:
    answers = {"answerA": "a1", "answerB": "b1", "answerC": "a2 b2"}
    text = {"context": f"a{number} a3.", "question": "a4?", **answers}
    return {**text, "label": str(number % 3 + 1)}


def _sciq(number: int) -> dict[str, Any]:
    wrong = {f"distractor{place}": f"b{place}" for place in (1, 2, 3)}
    return {"support": f"a1 a{number}", "question": "a2?", **wrong, "correct_answer": "a3"}


DATA_SETS = {
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", _arc),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", _arc),
    "hellaswag": ("Rowan/hellaswag", "default", _hellaswag),
    "piqa": ("baber/piqa", "default", _piqa),
    "winogrande": ("allenai/winogrande", "winogrande_xl", _winogrande),
    "openbookqa": ("allenai/openbookqa", "main", _openbookqa),
    "social_iqa": ("lighteval/siqa", "default", _siqa),
    "sciq": ("allenai/sciq", "default", _sciq),
}
"""Repository, configuration and item of each task of `configs/paper.yaml`, as in its task file."""

CHOICES = {**dict.fromkeys(DATA_SETS, 2), "social_iqa": 3, "sciq": 4}
"""Choices of each item, by task."""


def save_tasks(cache: Path) -> list[str]:
    """Save items of the tasks below the folder HF_DATASETS_CACHE; returns the tasks' names.

    The words are those of the topics in `test_paper.py`. `datasets` reads this layout when the Hub
    cannot be reached.
    """
    datasets = pytest.importorskip("datasets")
    parquet = pytest.importorskip("datasets.packaged_modules.parquet.parquet")
    for task, (repository, config, item) in DATA_SETS.items():
        file = cache / f"{task}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        items = [item(number) for number in range(ITEMS)]
        datasets.Dataset.from_list(items).to_parquet(file)
        name = repository.split("/")[1]
        files = {split: [str(file)] for split in ("train", "validation", "test")}
        builder = parquet.Parquet(
            cache_dir=str(cache / "other"), dataset_name=name, config_name=config, data_files=files
        )
        folder = cache / repository.replace("/", "___") / config / "0.0.0" / ("0" * 40)
        builder.download_and_prepare(str(folder))
    return list(DATA_SETS)
