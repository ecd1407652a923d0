"""Throughput and memory of training a size: measured by the target `calibrate`, or estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splitlaw.common.files import read_json
from splitlaw.experiment.config import RunsConfig

CPU_FLOPS, GPU_FLOPS = 1e10, 1e13
"""FLOPs per second of a process without a calibration. One CPU core reaches 1.4e10 on the smallest
default model (docs/performance.md), and any GPU far more than 1e13 on a model that fills it; a
request that is too long costs less than a job that is killed at its time limit."""
LAUNCH_SECONDS = 0.02
"""Minimum duration of a step on a GPU: launching the kernels of a small model takes longer than
computing them."""
START_SECONDS = 40.0
"""Seconds before the first step without a calibration; compiling a model takes most of them."""
RUN_SECONDS = 0.1
"""Seconds per run for restoring and writing states without a calibration."""
EVALUATION_SPEEDUP = 2.0
"""Held-out tokens per second relative to training tokens without a calibration. A forward pass is a
third of a step's FLOPs; short documents leave part of each batch empty."""
PROCESS_MB, CUDA_MB = 900.0, 3000.0
"""Host memory of a process that has imported and compiled everything, and the addition by CUDA."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Speed, overheads and memory of training one size on one kind of device."""

    tokens_per_second: float
    """Training tokens per second of all processes of a run together."""
    evaluated_tokens_per_second: float
    """Held-out tokens per second."""
    start_seconds: float
    """Seconds per job before its first step: imports, building the model, compiling."""
    run_seconds: float
    """Seconds per run that do not depend on its tokens: restoring and writing states."""
    memory_mb: float
    """Peak host memory of all processes together."""


def throughput_of(
    config: RunsConfig, size: str, calibration: Mapping[str, Any] | None, *, gpu: bool
) -> Throughput:
    """The measured throughput of a size, or an estimate where there is no calibration.

    `execution.flops_per_second` takes precedence over a measurement.
    """
    measured = (calibration or {}).get("sizes", {}).get(size)
    execution = config.execution_of(size)
    if measured and not execution.flops_per_second:
        return Throughput(**measured)
    shape = config.shape_of(size)
    batch = config.training.batch_tokens
    flops = execution.flops_per_second or (GPU_FLOPS if gpu else CPU_FLOPS)
    flops *= execution.processes
    step = max(batch * shape.flops_per_token / flops, LAUNCH_SECONDS if gpu else 0.0)
    memory = estimated_memory_mb(config, size, gpu=gpu)
    return Throughput(
        tokens_per_second=batch / step,
        evaluated_tokens_per_second=EVALUATION_SPEEDUP * batch / step,
        start_seconds=START_SECONDS,
        run_seconds=RUN_SECONDS,
        memory_mb=execution.processes * memory,
    )


def estimated_memory_mb(config: RunsConfig, size: str, *, gpu: bool = False) -> float:
    """Peak host memory of a training process in MB.

    It is the sum of the process itself, five float32 copies of the weights (weights, gradients,
    Adam's two moments, initial weights) and the activations of one microbatch, for each token about
    16 vectors of the model's width per layer and 3 rows of logits. With a GPU, activations are in
    its memory; the copies are in that of the host while a state is restored or written.
    """
    shape, execution = config.shape_of(size), config.execution_of(size)
    if gpu:
        return PROCESS_MB + CUDA_MB + 20 * shape.params / 1e6
    rows = config.training.batch_tokens // shape.context // execution.processes
    rows = min(rows, execution.microbatch or rows)
    numbers = 16 * shape.layers * shape.width + 3 * shape.vocabulary
    return PROCESS_MB + (20 * shape.params + 4 * numbers * rows * shape.context) / 1e6


def read_calibration(file: Path, config: RunsConfig) -> dict[str, Any] | None:
    """The calibration in `file`, or None where it is absent or of another configuration."""
    if not file.exists():
        return None
    content = read_json(file)
    return content if content["measured"] == calibrated_config(config) else None


def calibrated_config(config: RunsConfig) -> dict[str, Any]:
    """The part of the configuration that the throughput depends on."""
    keys = {"compile", "device", "microbatch", "processes", "shard"}
    return {
        "shapes": {size: asdict(config.shape_of(size)) for size in config.sizes},
        "batch_tokens": config.training.batch_tokens,
        "execution": {
            size: config.execution_of(size).model_dump(include=keys, exclude_unset=True)
            for size in config.sizes
        },
    }
