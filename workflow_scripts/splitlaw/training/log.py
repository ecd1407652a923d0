"""`train_log.csv`, the trackers that get the same numbers, and the watch over the loss."""

from __future__ import annotations

import csv
import math
import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_text

COLUMNS = ["step", "tokens", "domain", "learning_rate", "loss", "gradient_norm"]
EVERY = 10
"""Steps between two rows; reading a loss off a GPU makes it wait."""


class TrainLog:
    """The rows of one stretch of training, each on disk as soon as it is known."""

    def __init__(self, file: Path, *, before: int) -> None:
        """Keep what a killed run has left of the steps before `before`, and go on from there."""
        rows = [COLUMNS, *_rows(file, before=before)]
        write_text(file, "".join(",".join(row) + "\n" for row in rows))
        self.stream = file.open("a", buffering=1)

    def add(self, step: int, tokens: int, domain: str, numbers: Mapping[str, float]) -> None:
        """Write the row of one step; `numbers` are the last three columns."""
        values = [f"{numbers[name]:.8g}" for name in COLUMNS[3:]]
        self.stream.write(",".join([str(step), str(tokens), domain, *values]) + "\n")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def logged_losses(file: Path, *, before: int) -> list[float]:
    """The losses in a log, of the steps before `before`."""
    return [float(row[COLUMNS.index("loss")]) for row in _rows(file, before=before)]


def _rows(file: Path, *, before: int) -> list[list[str]]:
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    # A killed run may have left half a row at the end.
    return [row for row in rows if len(row) == len(COLUMNS) and int(row[0]) < before]


class Watch:
    """Tells a loss that has left for good from one that is only noisy.

    A run has diverged when each of its last 30 logged losses lies more than log 2 above the best
    mean of five that it had reached: its perplexity has doubled and 300 steps did not mend it.
    """

    RISE = math.log(2.0)
    LAST = 30
    MEAN = 5

    def __init__(self, losses: Sequence[float] = ()) -> None:
        self.best = math.inf
        self.above = 0
        self.recent: deque[float] = deque(maxlen=self.MEAN)
        for loss in losses:
            self.diverged(loss)

    def diverged(self, loss: float) -> bool:
        """Take in the next logged loss, and say whether the run has left for good."""
        self.recent.append(loss)
        if len(self.recent) == self.MEAN:
            self.best = min(self.best, sum(self.recent) / self.MEAN)
        self.above = self.above + 1 if loss > self.best + self.RISE else 0
        return self.above >= self.LAST


class Tracker(Protocol):
    """Where a person follows the numbers of a run."""

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Show the numbers after so many tokens."""

    def close(self) -> None:
        """Finish."""


class TensorBoard:
    """Event files beside the log, for `tensorboard --logdir results/...`."""

    def __init__(self, folder: Path, *, name: str, before: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=before)

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers; TensorBoard's step is in tokens."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, tokens)

    def close(self) -> None:
        """Flush and close."""
        self.writer.close()


class WeightsAndBiases:
    """A run of W&B; project, entity and mode come from its own environment variables."""

    def __init__(self, folder: Path, *, name: str, before: int) -> None:
        import wandb

        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "splitlaw"),
            id=name.replace("/", "-"),
            name=name,
            dir=folder,
            resume="allow",
        )

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Send the numbers."""
        self.run.log({"tokens": tokens, **numbers})

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def open_trackers(names: Sequence[str], folder: Path, *, name: str, before: int) -> list[Tracker]:
    """The trackers that `execution.trackers` names; `name` is the run's, unique in a project."""
    trackers = []
    for tracker in names:
        try:
            trackers.append(TRACKERS[tracker](folder, name=name, before=before))
        except ImportError:
            raise UserError(
                f"execution.trackers names {tracker}, which is not installed; "
                f"pip install {tracker}, or take it out"
            ) from None
    return trackers
