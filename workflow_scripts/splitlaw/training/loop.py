"""Trunk-and-branch training: bring a model to the end of a lineage, training only what is missing.

`Trainer.reach` decides what is missing, and `Trainer._train` is the training loop. They use the
other modules: `text` and `stream` (batches), `step` and `microbatch` (optimizer, and gradients of a
batch), `states` (saving and restoring), `log` (the record of a run), `processes` (several
processes) and `signals` (requests to stop).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from splitlaw.common.progress import Progress
from splitlaw.experiment.lineage import Lineage, cut_at, last_segment_start, last_stream_start
from splitlaw.experiment.schedule import learning_rate_factor
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape
from splitlaw.training.launcher import batch_slice
from splitlaw.training.log import LOG_EVERY, record_steps
from splitlaw.training.model import build_model
from splitlaw.training.processes import gather_full, join_world, resolve_device
from splitlaw.training.signals import Stopped, StopSignals
from splitlaw.training.states import Checkpointer, open_store
from splitlaw.training.step import build_step
from splitlaw.training.stream import Streams, windows_of_batch
from splitlaw.training.text import TrainingText


@dataclass(kw_only=True)
class Usage:
    """Steps that this process has trained, and the time they took."""

    steps: int = 0
    seconds: float = 0.0
    """Duration of these steps."""
    compile_seconds: float = 0.0
    """Duration of the trial steps that compile the model and find a microbatch that fits."""

    def count(self, *, since: float) -> float:
        """Count a step that began at the time `since`, and return the time.

        A GPU may compute a step later than it is started, but the loop waits for it at every step
        that is logged, and before it stores a state.
        """
        now = time.perf_counter()
        self.steps += 1
        self.seconds += now - since
        return now


@dataclass(kw_only=True)
class Trainer:
    """One model in memory that is brought to the end of one lineage after another."""

    shape: Shape | BaseShape
    config: TrainingConfig
    seed: int
    """Determines initial weights and the order of the data."""
    text: TrainingText
    """Token files of all domains, and mixtures of them."""
    checkpoints: Path
    """Folder of the states of this size and seed."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    progress: Progress = field(default_factory=lambda: Progress("training"))
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        shape, config, execution = self.shape, self.config, self.execution
        self.world = join_world(resolve_device(execution.device))
        self.device = self.world.device
        self.progress.quiet |= not self.world.main
        batch = windows_of_batch(config, shape)
        self.windows = batch_slice(batch, self.world.size, self.world.rank)
        self.warmup = max(1, config.steps(config.warmup_tokens))
        self.peak = config.peak_learning_rate(shape.params)
        self.streams = Streams(
            text=self.text,
            vocabulary=shape.vocabulary,
            context=shape.context,
            batch=batch,
            seed=self.seed,
            repeat=execution.repeat,
        )
        self.store = open_store(self.checkpoints, shape, config, self.seed, self.text)
        self.stop_signals = StopSignals()
        self._build_model()

    def _build_model(self) -> None:
        """Build the model, its training step, and what saves and restores its states."""
        self.model = build_model(self.shape, seed=self.seed)
        initial = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        step = build_step(
            self.model,
            self.config,
            self.execution,
            self.world,
            windows=self.windows.stop - self.windows.start,
            context=self.shape.context,
        )
        self.optimizer, self.gradients = step.optimizer, step.gradients
        if self.execution.compile and not self.gradients.compiled:
            self.progress.say("no C++ compiler is found: training without torch.compile")
        self.states = Checkpointer(
            store=self.store,
            world=self.world,
            module=step.module,
            parameters=dict(self.model.named_parameters()),
            optimizer=self.optimizer,
            initial=initial,
            progress=self.progress,
        )

    def expect(self, lineages: Sequence[Lineage]) -> None:
        """Set the total of the progress display to the steps left until `lineages` are stored."""
        self.progress.expect(self.states.steps_left(lineages) * self.config.batch_tokens)

    def reach(self, lineage: Lineage) -> None:
        """Bring model and optimizer to the end of `lineage`; store the state of every segment."""
        done = self.states.restore(lineage)
        if done < lineage[-1].stop and not self.gradients.microbatch:
            self._find_microbatch()
            done = self.states.restore(lineage)  # the trial steps have changed the weights
        for length in range(1, len(lineage) + 1):
            prefix = lineage[:length]
            if prefix[-1].stop > done:
                self._train(prefix, begin=max(done, last_segment_start(prefix)))

    def _find_microbatch(self) -> None:
        """Compile the model and find a microbatch that fits, by trial steps."""
        began = time.perf_counter()
        self.gradients.find_microbatch(self.optimizer, limit=self.execution.microbatch)
        self.usage.compile_seconds = time.perf_counter() - began
        if (problem := self.gradients.compile_problem) is not None:
            self.progress.say(f"torch.compile cannot be used ({problem}): training without it")
        if (operation := self.gradients.random_order) is not None:
            self.progress.say(f"a resumed run may differ in its last bits ({operation})")

    def _train(self, lineage: Lineage, *, begin: int) -> None:
        """Train the last segment of `lineage` from step `begin` to its end and store the state."""
        segment, batch_tokens = lineage[-1], self.config.batch_tokens
        stream, stream_start = self.streams.for_last_segment(lineage), last_stream_start(lineage)
        recording = record_steps(
            self.store,
            lineage,
            begin=begin,
            batch_tokens=batch_tokens,
            trackers=self.execution.trackers,
            progress=self.progress,
            main=self.world.main,
        )
        saved, timed = time.monotonic(), time.perf_counter()
        with self.stop_signals.caught(), recording as record:
            for step in range(begin, segment.stop):
                rate = self._learning_rate(step, segment.total)
                loss, norm = self._step(stream.read(step - stream_start, self.windows), rate)
                if step % LOG_EVERY == LOG_EVERY - 1 or step == segment.stop - 1:
                    numbers = {
                        "learning_rate": rate,
                        "loss": self.world.mean(loss),
                        "gradient_norm": float(gather_full(norm)),
                    }
                    record(step, numbers)
                else:
                    self.progress.add(batch_tokens)
                timed = self.usage.count(since=timed)

                due = time.monotonic() - saved > self.execution.checkpoint_seconds
                stop, save = self.world.any(self._stop_requested, due and self.world.main)
                if (save or stop) and step + 1 < segment.stop:
                    self._wait_for_device()
                    self.usage.seconds += time.perf_counter() - timed
                    self.states.save_resume(cut_at(lineage, step + 1))
                    saved, timed = time.monotonic(), time.perf_counter()
                    self._stop_if(stop)
        self.states.save(lineage)
        self._stop_if(*self.world.any(self._stop_requested))

    def _learning_rate(self, step: int, total: int | None) -> float:
        """Learning rate of `step`; `total` is the run's length if the segment cools down."""
        return self.peak * learning_rate_factor(
            step, warmup=self.warmup, total=total, fraction=self.config.cooldown_fraction
        )

    def _step(self, batch: npt.NDArray[np.int64], rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step on (windows, context + 1) token ids of this process.

        Returns the mean loss of these windows and the norm of the gradients of the whole batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.gradients.accumulate(batch)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss, norm

    def _wait_for_device(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    @property
    def _stop_requested(self) -> bool:
        return bool(self.stop_signals.received) or self.world.orphaned

    def _stop_if(self, requested: bool) -> None:
        """Raise `Stopped` if a stop was requested of this process or of another one."""
        if requested:
            number = self.stop_signals.received or signal.SIGTERM
            self.progress.say(f"stopped by signal {number:d}: the same command resumes")
            raise Stopped(number)

    @property
    def tokens_per_second(self) -> float:
        """Training throughput so far, without compilation; 0 before the first step."""
        tokens = self.usage.steps * self.config.batch_tokens
        return tokens / self.usage.seconds if tokens else 0.0
