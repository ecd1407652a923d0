"""Trunk-and-branch training: reach the end of a path, training only what no state holds yet."""

from __future__ import annotations

import csv
import io
import math
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from splitlaw.checkpoints import State, Store
from splitlaw.data import TokenStream, fingerprint
from splitlaw.errors import UserError
from splitlaw.files import digest, write_text
from splitlaw.model import Shape, build_model
from splitlaw.paths import Path, start, stream_start
from splitlaw.schedule import learning_rate_factor

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
LOG_COLUMNS = ["step", "tokens", "domain", "learning_rate", "loss", "gradient_norm"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every model of an experiment is trained; part of what a result is."""

    batch_tokens: int
    """Tokens a step, a whole number of contexts."""
    warmup_tokens: int
    """Tokens until the learning rate has risen to its peak."""
    cooldown_fraction: float
    """Share of D + D' over which the learning rate falls to zero."""
    learning_rate: float
    """Peak learning rate at `reference_params` parameters."""
    reference_params: int
    """Size at which `learning_rate` holds."""
    learning_rate_exponent: float
    """The peak goes with params to this power; 0 gives every size the same."""
    weight_decay: float
    """Decoupled decay of the weight matrices; norms have none."""
    betas: tuple[float, float]
    """Decay rates of AdamW's two moments."""
    clip: float
    """Gradients are scaled down to this global norm."""

    def peak_learning_rate(self, params: int) -> float:
        """The peak learning rate of a model of `params` parameters."""
        return self.learning_rate * (params / self.reference_params) ** self.learning_rate_exponent

    def steps(self, tokens: float) -> int:
        """Whole batches nearest to `tokens`."""
        return round(tokens / self.batch_tokens)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where and how a run is computed; never part of what it results in."""

    device: str = "auto"
    """`cpu`, `cuda` or `auto`."""
    compile: bool = True
    """Whether to use torch.compile where a C++ compiler or a GPU is at hand."""
    microbatch: int | None = None
    """Sequences that pass through the model at once; None takes the whole batch."""
    checkpoint_seconds: float = 300.0
    """Seconds between resume states."""
    repeat: bool = False
    """Whether a stream may be read again when its tokens are used up, or the run is refused."""

    def resolve_device(self) -> torch.device:
        """The device to train on."""
        if self.device != "auto":
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(kw_only=True)
class Cost:
    """What this process has trained itself."""

    steps: int = 0
    seconds: float = 0.0
    first_step_seconds: float = 0.0


class Stopped(SystemExit):
    """The process was asked to stop and has saved its state; its code is the shell's for that."""


@dataclass(kw_only=True)
class Trainer:
    """One model in memory that is brought to the end of one path after another."""

    shape: Shape
    recipe: Recipe
    seed: int
    sidecars: dict[str, FilePath]
    """`tokens.json` of every stream, by domain."""
    checkpoints: FilePath
    """Folder of the states of this size and seed."""
    execution: Execution = field(default_factory=Execution)
    report: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        self.device = self.execution.resolve_device()
        self.rows = self.recipe.batch_tokens // self.shape.context
        if self.rows * self.shape.context != self.recipe.batch_tokens:
            raise UserError(
                f"training.batch_tokens is {self.recipe.batch_tokens}; give a multiple of "
                f"model.context, which is {self.shape.context}"
            )
        self.model = build_model(self.shape, seed=self.seed)
        self.model.to(device=self.device)  # type: ignore[call-arg, arg-type]
        self.named = dict(self.model.named_parameters())
        self.initial = {name: p.detach().clone() for name, p in self.named.items()}
        self.optimizer = self._optimizer()
        self.compiled = self._can_compile()
        self.loss = torch.compile(self._loss, dynamic=False) if self.compiled else self._loss
        self.streams: dict[str, TokenStream] = {}
        self.store = self._store()
        self.warmup = max(1, self.recipe.steps(self.recipe.warmup_tokens))
        self._stop_signal: int | None = None

    # ---- the loop -------------------------------------------------------------------------

    def reach(self, path: Path) -> None:
        """Bring model and optimizer to the end of `path`, storing the state of every leg."""
        done = self._restore(path)
        for length in range(1, len(path) + 1):
            node = path[:length]
            if node[-1].stop > done:
                self._train(node, begin=max(done, start(node)))

    def _train(self, path: Path, *, begin: int) -> None:
        """Train the last leg of `path` from step `begin` to its end and store the state."""
        leg, recipe = path[-1], self.recipe
        stream, offset = self._stream(path), stream_start(path)
        peak = recipe.peak_learning_rate(self.shape.params)
        log = TrainLog(self.store.folder(path) / "train_log.csv", before=begin)
        saved = time.monotonic()
        with self._catch_signals():
            for step in range(begin, leg.stop):
                began = time.perf_counter()
                rate = peak * learning_rate_factor(
                    step, warmup=self.warmup, total=leg.total, fraction=recipe.cooldown_fraction
                )
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                loss = self._accumulate_gradients(stream.read(step - offset))
                norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                self._count(time.perf_counter() - began)
                if step % 10 == 9 or step == leg.stop - 1:
                    self._check_finite(float(loss), step)
                    tokens = (step + 1) * recipe.batch_tokens
                    log.add(step, tokens, leg.domain, rate, float(loss), float(norm))
                late = time.monotonic() - saved > self.execution.checkpoint_seconds
                if (late or self._stop_signal) and step + 1 < leg.stop:
                    self._save_to_resume(path, step + 1)
                    log.write()
                    saved = time.monotonic()
                    self._stop_if_asked()
        log.write()
        self.store.save(path, self._state(weights_only=leg.stop == leg.total))
        self.store.drop_resume(path)
        self._stop_if_asked()

    def _save_to_resume(self, path: Path, stop: int) -> None:
        """Store the state inside the last leg of `path`, after `stop` steps."""
        here = replace(path[-1], stop=stop)
        self.store.save((*path[:-1], here), self._state(), resume=True)

    def _stop_if_asked(self) -> None:
        if self._stop_signal:
            self.report(
                f"stopped by signal {self._stop_signal}; the same command goes on from here"
            )
            raise Stopped(128 + self._stop_signal)

    def _accumulate_gradients(self, batch: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean loss of a batch of (rows, context + 1) token ids, its gradient left in the model."""
        tokens = torch.from_numpy(batch).to(self.device)
        size = self.execution.microbatch or self.rows
        losses = []
        for part in tokens.split(size):
            loss = self.loss(part[:, :-1], part[:, 1:]) * (len(part) / self.rows)
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _loss(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.model(input_ids=inputs).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    # ---- what surrounds it ----------------------------------------------------------------

    @property
    def speed(self) -> float:
        """Tokens a second so far, without the first step, which compiles."""
        seconds = self.cost.seconds - self.cost.first_step_seconds
        return (self.cost.steps - 1) * self.recipe.batch_tokens / seconds if seconds > 0 else 0.0

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
        data = {domain: fingerprint(path) for domain, path in self.sidecars.items()}
        identity = digest(
            {
                "shape": asdict(self.shape),
                "recipe": asdict(self.recipe),
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
                self.sidecars[domain], context=self.shape.context, batch=self.rows, seed=self.seed
            )
        return self.streams[domain]

    def _stream(self, path: Path) -> TokenStream:
        leg = path[-1]
        stream = self._open(leg.domain)
        needed = (leg.stop - stream_start(path)) * self.recipe.batch_tokens
        if needed > stream.unique_tokens and not self.execution.repeat:
            raise UserError(
                f"{self.sidecars[leg.domain]}: {stream.unique_tokens} training tokens of "
                f"{leg.domain}, but a run needs {needed}; add documents, ask for fewer tokens, or "
                "set execution.repeat to true"
            )
        return stream

    def _restore(self, path: Path) -> int:
        """Load the furthest whole state on the way to the end of `path`; give its step."""
        for file, reached in self.store.nearest(path):
            state = self.store.load(file)
            if state is None:
                self.report(f"{file}: damaged, the one before it is used")
                file.unlink(missing_ok=True)
                continue
            if set(state) == set(self.named) and reached != path:
                continue  # cooled-down weights alone; nothing can go on from them
            self._load(state, step=reached[-1].stop)
            return reached[-1].stop
        self._load(self.initial, step=0)
        return 0

    def _state(self, *, weights_only: bool = False) -> State:
        state = {name: p.detach().cpu() for name, p in self.named.items()}
        if weights_only:
            return state
        for name, parameter in self.named.items():
            for moment in ("exp_avg", "exp_avg_sq"):
                state[f"{moment}/{name}"] = self.optimizer.state[parameter][moment].cpu()
        return state

    @torch.no_grad()
    def _load(self, state: State, *, step: int) -> None:
        self.optimizer.state.clear()
        for name, parameter in self.named.items():
            parameter.copy_(state[name])
            if f"exp_avg/{name}" in state:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(step), device=self.device),
                    "exp_avg": state[f"exp_avg/{name}"].to(self.device),
                    "exp_avg_sq": state[f"exp_avg_sq/{name}"].to(self.device),
                }

    def _count(self, seconds: float) -> None:
        if not self.cost.steps:
            self.cost.first_step_seconds = seconds
        self.cost.steps += 1
        self.cost.seconds += seconds

    def _check_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"{self.store.root}: the loss at step {step} is {loss}; the states before it are "
                "kept; lower training.learning_rate or lengthen training.warmup_tokens"
            )

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


class TrainLog:
    """Every tenth step's loss, rewritten whole whenever a state is saved."""

    def __init__(self, file: FilePath, *, before: int) -> None:
        self.file = file
        self.rows: list[list[str]] = []
        if file.exists():
            with file.open(newline="") as stream:
                self.rows = [row for row in list(csv.reader(stream))[1:] if int(row[0]) < before]

    def add(self, step: int, tokens: int, domain: str, *numbers: float) -> None:
        """Note one step: learning rate, loss and gradient norm."""
        self.rows.append([str(step), str(tokens), domain, *(f"{number:.6g}" for number in numbers)])

    def write(self) -> None:
        """Write all rows atomically."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([LOG_COLUMNS, *self.rows])
        write_text(self.file, text.getvalue())
