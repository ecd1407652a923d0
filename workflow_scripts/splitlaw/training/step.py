"""The training step of a model: its optimizer, and the gradients of a batch.

Trainers build it here, and so does a worker that compiles it for trainers of other processes
(`splitlaw.cli.compiled`): both then compile the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.training.microbatch import GradientAccumulator
from splitlaw.training.model import build_optimizer, can_compile, use_causal_attention
from splitlaw.training.processes import World, shard_model, uses_bfloat16


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """What computes the steps of one model."""

    module: torch.nn.Module
    """The model as it is called in training, possibly replicated or sharded."""
    optimizer: torch.optim.Optimizer
    """Optimizer of its parameters."""
    gradients: GradientAccumulator
    """Computes loss and gradients of a batch."""


def build_step(
    model: PreTrainedModel,
    config: TrainingConfig,
    execution: ExecutionConfig,
    world: World,
    *,
    windows: int,
    context: int,
) -> TrainingStep:
    """Move a model to its device and build its step.

    `windows` is the number of windows of a batch that this process trains on, of `context` tokens
    each. Without a compiler, the step is not compiled.
    """
    use_causal_attention(model)
    model.to(device=world.device)  # type: ignore[call-arg, arg-type]
    compile = execution.compile and can_compile(world.device)
    module = shard_model(model, world, shard=execution.shard, compile=compile)
    gradients = GradientAccumulator(
        module,
        world,
        windows=windows,
        context=context,
        compile=compile,
        bfloat16=uses_bfloat16(world.device, execution.precision),
    )
    return TrainingStep(
        module=module, optimizer=build_optimizer(model, config), gradients=gradients
    )
