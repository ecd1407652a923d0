"""The processes of one run: a single one, or several that torchrun starts on a machine."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch._inductor import config as inductor_config
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from splitlaw.common.errors import UserError
from splitlaw.training.device_errors import check_gpu
from splitlaw.training.gpus import reason_to_expect_gpu

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among the processes of its run.

    The processes coordinate on the CPU, over gloo, so that they never wait for work queued on a
    GPU.
    """

    rank: int
    """0 is the main process."""
    size: int
    """Number of processes."""
    device: torch.device
    """Device of this process."""
    parent: int = field(default_factory=os.getppid)
    """Process id of the process that started this one."""

    @property
    def main(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether the launcher of these processes has ended, so that another run may begin."""
        return self.size > 1 and os.getppid() != self.parent

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in at least one process."""
        if self.size == 1:
            return list(flags)
        combined = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(combined, op=dist.ReduceOp.MAX)
        return [bool(flag) for flag in combined]

    def mean(self, value: torch.Tensor) -> float:
        """Mean of a scalar over the processes."""
        if self.size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def on_main(self, action: Callable[[], T]) -> T:
        """Run `action` on the main process and broadcast its result.

        Raises in every process the `UserError` or `OSError` that `action` raises.
        """
        if self.size == 1:
            return action()
        result: list[Any] = [None]
        if self.main:
            try:
                result = [action()]
            except (UserError, OSError) as error:
                result = [error]
        dist.broadcast_object_list(result, src=0)
        if isinstance(result[0], (UserError, OSError)):
            raise result[0]
        return result[0]


def resolve_device(name: str) -> torch.device:
    """The device named `name`; `auto` is a GPU if there is one, else the CPU.

    Raises `UserError` where torch finds no GPU although one was requested, or given to this
    process: training on the CPU instead could take days.
    """
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    given = "a GPU was requested" if name == "cuda" else reason_to_expect_gpu()
    if given is None:
        return torch.device("cpu")
    raise UserError(
        f"{given}, but torch {torch.__version__} finds none ({_cuda_problem()}); install a torch "
        "that supports this GPU and its driver, or set execution.device to cpu"
    )


def _cuda_problem() -> str:
    """Why CUDA cannot be used, in torch's words."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as cause:
        return str(cause).strip().splitlines()[0].rstrip(".")
    return "no device is visible"


def uses_bfloat16(device: torch.device, precision: str) -> bool:
    """Whether matrix products are computed in bfloat16, by `execution.precision`.

    Raises `UserError` if that was requested of a GPU that does not compute in it.
    """
    if device.type != "cuda" or precision == "float32":
        return False
    supported = torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not supported:
        raise UserError(
            f"execution.precision is bfloat16, in which {torch.cuda.get_device_name(device)} does "
            "not compute; set it to float32 or auto"
        )
    return supported


def set_up_gpu() -> None:
    """Let the GPU add numbers in the same order in every run, so that a resumed run keeps its bits.

    The backward passes of attention and of the embedding otherwise add in the order in which
    threads finish, and compiled kernels are chosen by their speed in a short trial.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA is first used
    torch.use_deterministic_algorithms(True)
    # No operation here reads memory that is not written before.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    inductor_config.deterministic = True
    # The few products that autocast leaves in float32, such as the angles of positions, need it.
    warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")


def check_gpu_count(gpus: int, processes: int) -> None:
    """Refuse more processes than there are GPUs."""
    if processes > gpus:
        raise UserError(
            f"execution.processes is {processes}, but torch finds {gpus} GPU(s); request as many "
            "GPUs as processes, or lower execution.processes"
        )


def join_world(device: torch.device) -> World:
    """Join the processes of this run; on GPUs, each process takes the one of its local rank."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    gpu = device.type == "cuda"
    if gpu:
        set_up_gpu()
        check_gpu_count(torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        check_gpu(device)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    return World(rank=rank, size=size, device=device)


def shard_model(
    model: PreTrainedModel, world: World, *, shard: bool, compile: bool
) -> torch.nn.Module:
    """The module to call in training: the model itself, replicated (DDP), or sharded (FSDP2).

    With `compile`, a sharded model is compiled here, layer by layer; callers compile the others.
    """
    if world.size == 1:
        return model
    if not shard:
        devices = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layer in blocks_of(model):
        if compile:
            layer.compile()
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def blocks_of(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The transformer blocks of a causal model: the outermost list of its modules."""
    return next(part for part in model.modules() if isinstance(part, torch.nn.ModuleList))


def set_gradient_sync(module: torch.nn.Module, enabled: bool) -> None:
    """Set whether the next backward pass averages gradients over the processes."""
    if isinstance(module, DistributedDataParallel):
        module.require_backward_grad_sync = enabled
    elif isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(enabled)


def gather_full(tensor: torch.Tensor) -> torch.Tensor:
    """The full tensor on the CPU; a sharded one is gathered, so every process must call this."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def shard_like(full: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The part of `full` that this process holds if it is sharded like `like`."""
    full = full.to(like.device)
    if not isinstance(like, DTensor):
        return full
    # Every process has read the full tensor, so none has to send it.
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
