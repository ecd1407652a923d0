"""Trunk-and-branch training: reach the end of a lineage, training only what no state holds yet."""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.distributed.fsdp import FSDPModule

from splitlaw.common.errors import Diverged, UserError
from splitlaw.common.files import digest
from splitlaw.common.progress import Progress
from splitlaw.experiment.lineage import (
    Lineage,
    last_segment_start,
    last_stream_start,
    trained_steps,
)
from splitlaw.experiment.schedule import learning_rate_factor
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import Shape
from splitlaw.training.log import (
    EVERY,
    Tracker,
    TrainLog,
    Watch,
    logged_losses,
    open_trackers,
)
from splitlaw.training.model import build_model
from splitlaw.training.processes import (
    exchange_gradients,
    join,
    part_like,
    resolve_device,
    share,
    spread_model,
    whole,
)
from splitlaw.training.states import State, Store
from splitlaw.training.stream import TokenStream, fingerprint

MOMENTS = ("exp_avg", "exp_avg_sq")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass(kw_only=True)
class Cost:
    """What this process has trained itself."""

    steps: int = 0
    seconds: float = 0.0
    """Spent in these steps."""
    compile_seconds: float = 0.0
    """Spent on a first step that is thrown away: it compiles, and shows what fits in memory."""


class Stopped(SystemExit):
    """The process was asked to stop and has saved its state; its code is the shell's for that."""


@dataclass(kw_only=True)
class Trainer:
    """One model in memory that is brought to the end of one lineage after another."""

    shape: Shape
    recipe: TrainingConfig
    seed: int
    sidecars: dict[str, Path]
    """`tokens.json` of every stream, by domain."""
    checkpoints: Path
    """Folder of the states of this size and seed."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    progress: Progress = field(default_factory=lambda: Progress("training"))
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        self.world = join(resolve_device(self.execution.device))
        self.device = self.world.device
        self.rows = self.recipe.batch_tokens // self.shape.context
        if self.rows * self.shape.context != self.recipe.batch_tokens:
            raise UserError(
                f"training.batch_tokens is {self.recipe.batch_tokens}; give a multiple of "
                f"model.context, which is {self.shape.context}"
            )
        self.share = share(self.rows, self.world.size, self.world.rank)
        self.model = build_model(self.shape, seed=self.seed)
        self.initial = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.model.to(device=self.device)  # type: ignore[call-arg, arg-type]
        self.compiled = self._can_compile()
        self.replica = spread_model(
            self.model, self.world, shard=self.execution.shard, compile=self.compiled
        )
        self.named = dict(self.model.named_parameters())
        self.optimizer = self._optimizer()
        layers_compiled = isinstance(self.replica, FSDPModule) or not self.compiled
        self.loss = self._loss if layers_compiled else torch.compile(self._loss, dynamic=False)
        self.microbatch = 0
        self.streams: dict[str, TokenStream] = {}
        self.store = self._store()
        self.warmup = max(1, self.recipe.steps(self.recipe.warmup_tokens))
        self.progress.quiet |= not self.world.main
        self._stop_signal: int | None = None

    # ---- the loop -------------------------------------------------------------------------

    def reach(self, lineage: Lineage) -> None:
        """Bring model and optimizer to the end of `lineage`, storing the state of every segment."""
        done = self._restore(lineage)
        if done < lineage[-1].stop and not self.microbatch:
            self._find_microbatch()
            done = self._restore(lineage)
        for length in range(1, len(lineage) + 1):
            prefix = lineage[:length]
            if prefix[-1].stop > done:
                self._train(prefix, begin=max(done, last_segment_start(prefix)))

    def _train(self, lineage: Lineage, *, begin: int) -> None:
        """Train the last segment of `lineage` from step `begin` to its end and store the state."""
        segment, recipe = lineage[-1], self.recipe
        stream, offset = self._stream(lineage), last_stream_start(lineage)
        peak = recipe.peak_learning_rate(self.shape.params)
        saved = time.monotonic()
        with self._catch_signals(), self._record(lineage, begin) as record:
            for step in range(begin, segment.stop):
                began = time.perf_counter()
                rate = peak * learning_rate_factor(
                    step, warmup=self.warmup, total=segment.total, fraction=recipe.cooldown_fraction
                )
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                loss = self._accumulate_gradients(stream.read(step - offset, self.share))
                norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                self._count(time.perf_counter() - began)
                if step % EVERY == EVERY - 1 or step == segment.stop - 1:
                    record(step, rate, self.world.mean(loss), float(whole(norm)))
                else:
                    self.progress.add(recipe.batch_tokens)
                late = time.monotonic() - saved > self.execution.checkpoint_seconds
                stop, save = self.world.any(self._stopping, late and self.world.main)
                if (save or stop) and step + 1 < segment.stop:
                    self._save_to_resume(lineage, step + 1)
                    saved = time.monotonic()
                    self._stop_if_asked(stop)
        self._save(lineage, weights_only=segment.stop == segment.total)
        self._stop_if_asked(*self.world.any(self._stopping))

    def _accumulate_gradients(self, batch: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean loss of (rows, context + 1) token ids, its gradient left in the model.

        Loss and rows are this process's; the gradient is the mean over all processes.
        """
        parts = torch.from_numpy(batch).to(self.device).split(self.microbatch)
        losses = []
        for part in parts:
            exchange_gradients(self.replica, part is parts[-1])
            loss = self.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(batch))
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _loss(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.replica(input_ids=inputs).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    # ---- what surrounds it ----------------------------------------------------------------

    def _find_microbatch(self) -> None:
        """Halve the microbatch until a step fits in memory; the trial spoils the model's state."""
        began = time.perf_counter()
        most = self.share.stop - self.share.start
        self.microbatch = min(self.execution.microbatch or most, most)
        while any(self.world.any(not self._fits())):
            if self.microbatch == 1:
                raise UserError(
                    f"one window of {self.shape.context} tokens does not fit in the memory of "
                    f"{self.device}; share the model with execution.shard, or make it smaller"
                )
            self.microbatch = (self.microbatch + 1) // 2
        self.cost.compile_seconds = time.perf_counter() - began

    def _fits(self) -> bool:
        """Whether a step with this microbatch finds the memory it needs."""
        rows = self.share.stop - self.share.start
        try:
            self._accumulate_gradients(np.zeros((rows, self.shape.context + 1), dtype=np.int64))
            self.optimizer.step()
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(
                error
            ):
                raise
            return False
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return True

    @contextmanager
    def _record(self, lineage: Lineage, begin: int) -> Iterator[Any]:
        """Give the function that logs a step; nothing is written by any but the main process."""
        folder, segment = self.store.folder(lineage), lineage[-1]
        file = folder / "train_log.csv"
        watch = Watch(logged_losses(file, before=begin))
        log, trackers = None, list[Tracker]()
        if self.world.main:
            log = TrainLog(file, before=begin)
            name = str(folder.relative_to(self.checkpoints.parent.parent))
            tokens = begin * self.recipe.batch_tokens
            trackers = open_trackers(self.execution.trackers, folder, name=name, before=tokens)

        def record(step: int, rate: float, loss: float, norm: float) -> None:
            self._check(loss, step, watch)
            tokens = (step + 1) * self.recipe.batch_tokens
            numbers = {"learning_rate": rate, "loss": loss, "gradient_norm": norm}
            self.progress.add(self.recipe.batch_tokens, loss)
            if log is not None:
                log.add(step, tokens, segment.domain, numbers)
            for tracker in trackers:
                tracker.add(tokens, numbers)

        try:
            yield record
        finally:
            if log is not None:
                log.close()
            for tracker in trackers:
                tracker.close()

    def _check(self, loss: float, step: int, watch: Watch) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"{self.store.root}: the loss at step {step} is {loss}; the states before it are "
                "kept; lower training.learning_rate or lengthen training.warmup_tokens"
            )
        if watch.diverged(loss):
            raise Diverged(
                f"{self.store.root}: at step {step} the loss has stayed above {watch.best:.2f}, "
                f"its best, by more than {watch.RISE:.2f} for {watch.LAST * EVERY} steps; the "
                "states before are kept; lower training.learning_rate or training.clip, or "
                "lengthen training.warmup_tokens"
            )

    def has(self, lineage: Lineage) -> bool:
        """Whether the state at the end of `lineage` is stored."""
        return self.world.decide(lambda: self.store.has(lineage))

    def expect(self, wanted: Sequence[Lineage]) -> None:
        """Tell the progress how much is left to train until all of `wanted` are reached."""
        steps = self.world.decide(lambda: self._steps_left(wanted))
        self.progress.expect(steps * self.recipe.batch_tokens)

    def _steps_left(self, wanted: Sequence[Lineage]) -> int:
        missing = [lineage for lineage in wanted if not self.store.has(lineage)]
        stored = {reached for lineage in missing for _, reached in self.store.nearest(lineage)[:1]}
        return trained_steps([*missing, *stored]) - trained_steps(stored)

    def weights(self) -> State:
        """The model's weights on the CPU, whole; every process has to call this."""
        return {name: whole(p) for name, p in self.named.items()}

    def _save_to_resume(self, lineage: Lineage, stop: int) -> None:
        """Store the state inside the last segment of `lineage`, after `stop` steps."""
        here = replace(lineage[-1], stop=stop)
        state = self._state()
        self.world.decide(lambda: self.store.save((*lineage[:-1], here), state, resume=True))

    def _save(self, lineage: Lineage, *, weights_only: bool) -> None:
        """Store the state at the end of `lineage`; a cooled-down model keeps its weights alone."""
        state = self.weights() if weights_only else self._state()

        def save() -> None:
            self.store.save(lineage, state)
            self.store.drop_resume(lineage)

        self.world.decide(save)

    @property
    def _stopping(self) -> bool:
        return bool(self._stop_signal) or self.world.orphaned

    def _stop_if_asked(self, asked: bool) -> None:
        if asked:
            number = self._stop_signal or signal.SIGTERM  # the others' signal may not be ours
            self.progress.say(f"stopped by signal {number:d}; the same command goes on from here")
            raise Stopped(128 + number)

    @property
    def speed(self) -> float:
        """Tokens a second so far, compilation not counted."""
        tokens = self.cost.steps * self.recipe.batch_tokens
        return tokens / self.cost.seconds if tokens else 0.0

    def _optimizer(self) -> torch.optim.AdamW:
        parameters = list(self.model.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim >= 2]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            groups,
            lr=0.0,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )

    def _can_compile(self) -> bool:
        compiler = self.device.type == "cuda" or shutil.which("g++") or shutil.which("clang++")
        return self.execution.compile and bool(compiler)

    def _store(self) -> Store:
        data = {domain: fingerprint(file) for domain, file in self.sidecars.items()}
        identity = digest(
            {
                "shape": asdict(self.shape),
                "recipe": self.recipe.model_dump(),
                "seed": self.seed,
            }
        )
        return Store(root=self.checkpoints / identity, identity=identity, data=data)

    def unique_tokens(self, domain: str) -> int:
        """Tokens of a domain that can be seen before one is seen again."""
        return self._open(domain).unique_tokens

    def _open(self, domain: str) -> TokenStream:
        if domain not in self.streams:
            self.streams[domain] = TokenStream(
                self.sidecars[domain],
                vocabulary=self.shape.vocabulary,
                context=self.shape.context,
                batch=self.rows,
                seed=self.seed,
            )
        return self.streams[domain]

    def _stream(self, lineage: Lineage) -> TokenStream:
        segment = lineage[-1]
        stream = self._open(segment.domain)
        needed = (segment.stop - last_stream_start(lineage)) * self.recipe.batch_tokens
        if needed > stream.unique_tokens and not self.execution.repeat:
            raise UserError(
                f"{self.sidecars[segment.domain]}: {stream.unique_tokens} training tokens of "
                f"{segment.domain}, but a run needs {needed}; add documents, train on fewer, or "
                "set execution.repeat to true"
            )
        return stream

    def _restore(self, lineage: Lineage) -> int:
        """Load the furthest whole state on the way to the end of `lineage`; give its step."""
        read: list[State] = []
        found = self.world.decide(lambda: self._find(lineage, read))
        if found is None:
            self._load(self.initial, step=0)
            return 0
        file, step = found
        state = read[0] if read else self.store.load(file)
        assert state is not None, f"{file} was whole a moment ago"
        self._load(state, step=step)
        return step

    def _find(self, lineage: Lineage, read: list[State]) -> tuple[Path, int] | None:
        """The file and step of that state, which is appended to `read`."""
        for file, reached in self.store.nearest(lineage):
            state = self.store.load(file)
            if state is None:
                self.progress.say(f"{file}: damaged, the one before it is used")
                file.unlink(missing_ok=True)
                continue
            if set(state) == set(self.named) and reached != lineage:
                continue  # cooled-down weights alone; nothing can go on from them
            read.append(state)
            return file, reached[-1].stop
        return None

    def _state(self) -> State:
        """Weights and moments on the CPU, whole; every process has to call this."""
        state = self.weights()
        for name, parameter in self.named.items():
            for moment in MOMENTS:
                state[f"{moment}/{name}"] = whole(self.optimizer.state[parameter][moment])
        return state

    @torch.no_grad()
    def _load(self, state: State, *, step: int) -> None:
        if isinstance(self.replica, FSDPModule):
            self.replica.reshard()  # an evaluation leaves the whole weights in place
        self.optimizer.state.clear()
        for name, parameter in self.named.items():
            parameter.copy_(part_like(state[name], parameter))
            if f"exp_avg/{name}" in state:
                moments = {m: part_like(state[f"{m}/{name}"], parameter) for m in MOMENTS}
                count = torch.tensor(float(step), device=self.device)
                self.optimizer.state[parameter] = {"step": count, **moments}

    def _count(self, seconds: float) -> None:
        self.cost.steps += 1
        self.cost.seconds += seconds

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Let a signal to stop end the loop after the current step, with its state saved."""

        def note(number: int, frame: object) -> None:
            self._stop_signal = number

        before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
