"""Which commands of a worker can share the compiled training step, and compiling it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.files import digest
from splitlaw.experiment.section import load_config
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import Shape, shape_from
from splitlaw.training.model import build_model
from splitlaw.training.processes import join_world, resolve_device
from splitlaw.training.step import build_step
from splitlaw.training.stream import windows_of_batch


@dataclass(frozen=True, kw_only=True)
class Step:
    """A training step that `torch.compile` compiles, of a model with new weights."""

    shape: Shape
    training: TrainingConfig
    execution: ExecutionConfig
    windows: int
    """Windows of a batch."""

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Step | None:
        """The step of a request; None if its command compiles none, or not in this process.

        Commands with mistakes have none either: they report them.
        """
        options = dict(zip(request["words"], request["words"][1:], strict=False))
        config, execution = options.get("--config", ""), options.get("--execution", "{}")
        if not config.startswith("{") or not execution.startswith("{"):
            return None  # a file, whose name is relative to the folder of the command
        try:
            content = load_config(config)
            training = TrainingConfig.read(
                content["training"], where="--config", section="training"
            )
            shape = shape_from(content["shape"])
            windows = windows_of_batch(training, shape)
            execute = ExecutionConfig.load(execution, option="--execution")
        except (UserError, KeyError, TypeError, ValueError):
            return None
        several = execute.processes > 1 or execute.shard
        if several or not execute.compile or not isinstance(shape, Shape):
            return None
        return cls(shape=shape, training=training, execution=execute, windows=windows)

    @property
    def key(self) -> str:
        """Identifies what is compiled: a step of this shape and size."""
        execution = self.execution
        size = self.windows, execution.microbatch, execution.device
        return digest([asdict(self.shape), *size])

    def compile(self) -> None:
        """Compile the step as a trainer does, in this process and without further threads.

        `torch.compile` stores what it has compiled with the code of the step, where trainers of
        this process and of its children find it.
        """
        import torch._inductor.config as inductor
        from tqdm import tqdm

        # Threads of the compiler would be missing in children, which would wait for them.
        inductor.compile_threads = 1
        tqdm.monitor_interval = 0  # no thread that watches progress bars
        step = build_step(
            build_model(self.shape, seed=0),
            self.training,
            self.execution,
            join_world(resolve_device(self.execution.device)),
            windows=self.windows,
            context=self.shape.context,
        )
        step.gradients.find_microbatch(step.optimizer, limit=self.execution.microbatch)
