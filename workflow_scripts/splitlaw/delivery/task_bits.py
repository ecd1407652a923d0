"""Zero-shot tasks of exported folders: bits per byte of the right answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from splitlaw.delivery.final_folder import FinalFolder
from splitlaw.delivery.routed import RoutedModel
from splitlaw.zero_shot import harness
from splitlaw.zero_shot.models import open_model
from splitlaw.zero_shot.scoring import sums


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Items of all tasks, as requests that any system can score."""

    questions: harness.Questions
    encoded: list[tuple[list[int], list[int]]]

    @classmethod
    def load(cls, names: Sequence[str], final: FinalFolder, *, folder: Path, items: Path) -> Tasks:
        """Load tasks by name; see `splitlaw.zero_shot.harness.load_tasks`."""
        with tempfile.TemporaryDirectory() as cache:
            loaded = harness.load_tasks(names, folder=folder, items=items, cache=Path(cache))
            questions = harness.build_questions(loaded)
        tokenizer = AutoTokenizer.from_pretrained(final.general, local_files_only=True)
        encoded = harness.encode(questions, open_model(final.general), tokenizer)
        return cls(questions=questions, encoded=encoded)

    def bits_per_byte(self, model: RoutedModel) -> float:
        """Mean over the tasks of the bits per byte of the right answers, routed by the item."""
        questions = self.questions
        tokens, bounds = model.token_log_likelihoods(
            self.encoded, questions.item, model.route(questions.texts)
        )
        bits = -sums(tokens, bounds)[questions.gold] / np.log(2)
        of_task = [
            bits[mine].sum() / questions.bytes[mine].sum()
            for mine in (questions.task == number for number in range(len(questions.tasks)))
        ]
        return float(np.mean(of_task))
