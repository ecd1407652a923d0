"""Errors of a device or a compiler, distinguished by the messages of torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeGuard

import torch

from splitlaw.common.errors import UserError

OUT_OF_MEMORY = (
    "out of memory",  # CUDA, HIP and MPS
    "allocate memory",  # the allocator of the CPU
    "not enough memory",
    "bad_alloc",
    "ALLOC_FAILED",  # CUBLAS_STATUS_, CUDNN_STATUS_, CUSOLVER_STATUS_ and others
    "ALLOCATION_FAILED",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "CUBLAS_STATUS_NOT_INITIALIZED",  # no memory is left for its workspace
    "CUDNN_STATUS_NOT_INITIALIZED",
)
"""Parts of messages of errors that a smaller microbatch avoids. Libraries beside torch allocate
memory of their own, and report that none is left by these names."""
NOT_DETERMINISTIC = "does not have a deterministic implementation"
"""Part of the message of torch on an operation without a fixed order of additions."""
NO_KERNEL = "no kernel image"
"""Part of the message of CUDA where torch was not built for the GPU."""
LINE = 200
"""Characters of a line that is quoted in a message of one line."""
_CAUSE = re.compile(r"error|not found|no such file|cannot|failed|permitted", re.IGNORECASE)
"""Words of the line of a compiler's output that gives the cause."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a step does not fit in memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY)


def is_not_deterministic(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether an error says that an operation adds numbers in an order that differs between runs.

    Torch raises it where `torch.use_deterministic_algorithms` is set.
    """
    return error is not None and NOT_DETERMINISTIC in str(error)


def check_gpu(device: torch.device) -> None:
    """Compute something on a GPU; raises `UserError` if the installed torch cannot use it."""
    if device.type != "cuda":
        return
    try:
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:
        name = torch.cuda.get_device_name(device)
        capability = torch.cuda.get_device_capability(device)
        raise UserError(gpu_problem(error, name, capability, torch.cuda.get_arch_list())) from None


def gpu_problem(
    error: RuntimeError, name: str, capability: tuple[int, int], built_for: Sequence[str]
) -> str:
    """The message on a GPU of this name and compute capability that gives an error at once.

    `built_for` are the architectures of the installed torch, such as `sm_80`.
    """
    if NO_KERNEL in str(error):
        own = "sm_{}{}".format(*capability)
        return (
            f"{name} ({own}) is not supported by the installed torch {torch.__version__}, which is "
            f"built for {', '.join(built_for)}; install another build of torch, or set "
            "execution.device to cpu"
        )
    return (
        f"{name} cannot be used ({cause_line(error)}); end other programs that use it, or "
        "set execution.device to cpu"
    )


def cause_line(error: BaseException) -> str:
    """The line of a message that gives the cause; compilers print their command before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detailed = [line for line in lines if " error: " in line]
    causes = detailed or [line for line in lines if _CAUSE.search(line)] or lines
    return (causes or [type(error).__name__])[0][:LINE].rstrip(".")
