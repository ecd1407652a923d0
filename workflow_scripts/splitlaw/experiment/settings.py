"""Settings of the training and of how it is run, as the configuration gives them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A section of the configuration: immutable, and without keys that are not declared.

    The docstring below a field is its description in the schema.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrainingConfig(Settings):
    """How every model of an experiment is trained; part of what identifies a result."""

    batch_tokens: int = Field(ge=1)
    """Tokens in a step; a multiple of `model.context`."""
    warmup_tokens: int = Field(ge=0)
    """Tokens over which the learning rate rises to its peak."""
    cooldown_fraction: float = Field(gt=0, lt=1)
    """Share of D + D' over which the learning rate falls to zero."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of a model of `reference_params` parameters."""
    reference_params: int = Field(ge=1)
    """Number of parameters that `learning_rate` is for."""
    learning_rate_exponent: float
    """The peak learning rate is proportional to N to this power; 0 gives every size the same."""
    weight_decay: float = Field(ge=0)
    """Decoupled weight decay of the weight matrices; norms have none."""
    betas: tuple[float, float]
    """Decay rates of AdamW's two moments."""
    clip: float = Field(gt=0)
    """Largest global norm of the gradients; larger ones are scaled down to it."""

    def peak_learning_rate(self, params: int) -> float:
        """The peak learning rate of a model of `params` parameters."""
        return self.learning_rate * (params / self.reference_params) ** self.learning_rate_exponent

    def steps(self, tokens: float) -> int:
        """Number of whole batches nearest to `tokens`."""
        return round(tokens / self.batch_tokens)


class ExecutionConfig(Settings):
    """Where and how a run is computed; never part of what identifies a result."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train on; `auto` takes a GPU where there is one."""
    compile: bool = True
    """Use `torch.compile` where a C++ compiler or a GPU is available."""
    microbatch: int | None = Field(default=None, ge=1)
    """Sequences in one forward pass of a process; by default the most that fit in memory."""
    processes: int = Field(default=1, ge=1)
    """Processes that share each batch, one for each GPU."""
    shard: bool = False
    """Divide weights and moments among the processes (FSDP2) instead of replicating them (DDP)."""
    checkpoint_seconds: float = Field(default=300.0, gt=0)
    """Seconds between resume states."""
    repeat: bool = False
    """Read a domain's text again when its tokens are used up, instead of refusing the run."""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Trackers that receive the numbers of `train_log.csv` as well."""
