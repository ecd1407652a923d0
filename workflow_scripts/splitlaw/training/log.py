"""The record of a run: `train_log.csv`, trackers that receive the same numbers, divergence."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from splitlaw.common.errors import Diverged
from splitlaw.common.files import write_text
from splitlaw.common.progress import Progress
from splitlaw.experiment.columns import TRAIN_LOG
from splitlaw.experiment.lineage import Lineage
from splitlaw.training.states import Store
from splitlaw.training.trackers import Tracker, open_trackers

NUMBERS = ("learning_rate", "loss", "gradient_norm")
"""Columns of `train_log.csv` that trackers receive too; the loss is in nats per token."""
LOG_EVERY = 10
"""Steps between two rows; to read the loss of every step would make a GPU wait."""


class TrainLog:
    """The rows of one segment; each is on disk as soon as it is added."""

    def __init__(self, file: Path, *, before: int) -> None:
        """Continue `file` at step `before`: rows of earlier steps are kept, others are removed."""
        rows = [TRAIN_LOG, *_rows(file, before=before)]
        write_text(file, "".join(",".join(row) + "\n" for row in rows))
        self.stream = file.open("a", buffering=1)

    def add(self, step: int, tokens: int, domain: str, numbers: Mapping[str, float]) -> None:
        """Write the row of one step."""
        values = [f"{numbers[name]:.8g}" for name in NUMBERS]
        self.stream.write(",".join([str(step), str(tokens), domain, *values]) + "\n")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def logged_losses(file: Path, *, before: int) -> list[float]:
    """The losses in `file` of the steps before `before`."""
    return [float(row[TRAIN_LOG.index("loss")]) for row in _rows(file, before=before)]


def _rows(file: Path, *, before: int) -> list[list[str]]:
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    # The last row of a killed run may be incomplete.
    return [row for row in rows if len(row) == len(TRAIN_LOG) and int(row[0]) < before]


class DivergenceMonitor:
    """Distinguishes a loss that has diverged from a noisy one.

    A run has diverged when each of its last `ROWS` logged losses is more than `RISE` above the
    lowest mean of `MEAN` consecutive losses.
    """

    RISE = math.log(2.0)
    """Nats per token: the perplexity has doubled, which noise between batches does not do."""
    ROWS = 30
    """300 steps: spikes from which training recovers are shorter."""
    MEAN = 5
    """Enough that one batch with easy text is not the reference."""

    def __init__(self, losses: Sequence[float] = ()) -> None:
        """`losses` are those logged before a resumed run was interrupted."""
        self.lowest = math.inf
        self.rows_above = 0
        self.recent: deque[float] = deque(maxlen=self.MEAN)
        for loss in losses:
            self.diverged(loss)

    def diverged(self, loss: float) -> bool:
        """Add the next logged loss and return whether the run has diverged."""
        self.recent.append(loss)
        if len(self.recent) == self.MEAN:
            self.lowest = min(self.lowest, sum(self.recent) / self.MEAN)
        self.rows_above = self.rows_above + 1 if loss > self.lowest + self.RISE else 0
        return self.rows_above >= self.ROWS

    def check(self, loss: float, step: int, root: Path) -> None:
        """Add the next logged loss; raise `Diverged` if it is not finite or the run has diverged.

        `root` is the folder of the states, which the message names.
        """
        if not math.isfinite(loss):
            raise Diverged(
                f"{root}: the loss at step {step} is {loss}; the states before it are kept; lower "
                "training.learning_rate or lengthen training.warmup_tokens"
            )
        if self.diverged(loss):
            raise Diverged(
                f"{root}: at step {step} the loss has stayed above its lowest value, "
                f"{self.lowest:.2f}, by more than {self.RISE:.2f} for {self.ROWS * LOG_EVERY} "
                "steps; the states before are kept; lower training.learning_rate or "
                "training.clip, or lengthen training.warmup_tokens"
            )


@contextmanager
def record_steps(
    store: Store,
    lineage: Lineage,
    *,
    begin: int,
    batch_tokens: int,
    trackers: Sequence[str],
    progress: Progress,
    main: bool,
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Context with a function that records a step of the last segment of `lineage`.

    Its arguments are the step, counted from 0, and its `NUMBERS`. It raises `Diverged`, see
    `DivergenceMonitor`. The segment is trained from step `begin`. Only the main process writes
    files and trackers.
    """
    folder, domain = store.folder(lineage), lineage[-1].domain
    file = folder / "train_log.csv"
    monitor = DivergenceMonitor(logged_losses(file, before=begin))
    with ExitStack() as stack:
        log, opened = None, list[Tracker]()
        if main:
            log = stack.enter_context(closing(TrainLog(file, before=begin)))
            name = str(folder.relative_to(store.root.parents[2]))  # size, seed, identity, segments
            before = begin * batch_tokens
            opened = open_trackers(trackers, folder, name=name, before=before, say=progress.say)
            for tracker in opened:
                stack.callback(tracker.close)

        def record(step: int, numbers: Mapping[str, float]) -> None:
            monitor.check(numbers["loss"], step, store.root)
            progress.add(batch_tokens, numbers["loss"])
            tokens = (step + 1) * batch_tokens
            if log is not None:
                log.add(step, tokens, domain, numbers)
            for tracker in opened:
                tracker.add(tokens, numbers)

        yield record
