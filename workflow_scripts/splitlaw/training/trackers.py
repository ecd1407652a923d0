"""Trackers, which receive the numbers of `train_log.csv`; none of them can end a training."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from splitlaw.common.errors import UserError

START_SECONDS, FINISH_SECONDS = 30, 60
"""Longest time to wait for the server of Weights & Biases at the start and end of a segment. It
answers in seconds; a run of which something is missing can be sent later."""
LOCAL_MODES = ("offline", "disabled", "dryrun", "shared")
"""Values of `WANDB_MODE` with which no login is required."""

Say = Callable[[str], None]


class Tracker(Protocol):
    """A service or file format in which users follow the numbers of a run."""

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers after `tokens` tokens."""

    def close(self) -> None:
        """Finish the run."""


class TensorBoard:
    """Event files beside the log, for `tensorboard --logdir results/...`."""

    def __init__(self, folder: Path, *, name: str, before: int, say: Say) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=before)

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers; TensorBoard's step is the number of tokens."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, tokens)

    def close(self) -> None:
        """Write what is buffered and close the file."""
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; its environment variables set project, entity and mode.

    Without a login or a network, runs are recorded offline.
    """

    offline = False
    """Whether an earlier segment of this process could not reach the server."""

    def __init__(self, folder: Path, *, name: str, before: int, say: Say) -> None:
        import wandb

        options: dict[str, Any] = {
            "project": os.environ.get("WANDB_PROJECT", "splitlaw"),
            "id": name.replace("/", "-"),
            "name": name,
            "dir": folder,
            "resume": "allow",
            "settings": wandb.Settings(
                init_timeout=START_SECONDS,
                login_timeout=START_SECONDS,
                finish_timeout=FINISH_SECONDS,
            ),
        }
        problem = None if WeightsAndBiases.offline else self._start(options)
        if problem is not None:
            WeightsAndBiases.offline = True
            say(
                f"wandb: {problem}; runs are recorded offline in {folder}/wandb, and "
                "`wandb sync` sends them"
            )
            wandb.teardown()  # otherwise the id of the run counts as in use
        if WeightsAndBiases.offline:
            self.run = wandb.init(**options, mode="offline")

    def _start(self, options: Mapping[str, Any]) -> str | None:
        """Start the run as the environment says; why that failed, in one line, or None."""
        import wandb

        try:
            local = os.environ.get("WANDB_MODE", "") in LOCAL_MODES
            # A prompt would wait forever.
            if not local and not wandb.login(prompt=False, verify=False):
                return "no login"
            self.run = wandb.init(**options)
        except Exception as cause:
            return _reason(cause)
        return None

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Send the numbers."""
        self.run.log({"tokens": tokens, **numbers})

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


class Guarded:
    """A tracker that is left out after its first error: the training and its log continue."""

    def __init__(self, tracker: Tracker, name: str, say: Say) -> None:
        self.tracker: Tracker | None = tracker
        self.name, self.say = name, say

    def add(self, tokens: int, numbers: Mapping[str, float]) -> None:
        """Pass the numbers on."""
        self._try(lambda tracker: tracker.add(tokens, numbers))

    def close(self) -> None:
        """Finish the run."""
        self._try(lambda tracker: tracker.close())

    def _try(self, action: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            action(self.tracker)
        except Exception as cause:  # of a server, a network or a disk that is not needed to train
            self.tracker = None
            self.say(f"{self.name}: {_reason(cause)}; the training continues without this tracker")


def _reason(cause: Exception) -> str:
    return " ".join(str(cause).split())[:200].rstrip(".") or type(cause).__name__


TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def open_trackers(
    names: Sequence[str], folder: Path, *, name: str, before: int, say: Say
) -> list[Tracker]:
    """The trackers `names`, as in `execution.trackers`; `name` identifies the run in a project.

    `say` prints a line where a tracker cannot be used as configured. Raises `UserError` only for
    one that is not installed.
    """
    trackers: list[Tracker] = []
    for tracker in names:
        try:
            opened = TRACKERS[tracker](folder, name=name, before=before, say=say)
        except ImportError:
            raise UserError(
                f"execution.trackers names {tracker}, which is not installed; "
                f"run pip install {tracker}, or remove it from the list"
            ) from None
        except Exception as cause:
            say(f"{tracker}: {_reason(cause)}; the training continues without this tracker")
            continue
        trackers.append(Guarded(opened, tracker, say))
    return trackers
