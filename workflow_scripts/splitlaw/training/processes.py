"""The processes of one run: one of them, or several that torchrun starts on a machine."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaForCausalLM

from splitlaw.common.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """Who this process is among the processes of its run.

    Decisions that steer the training are taken on the CPU, over gloo, so that they never wait for
    the queue of a GPU.
    """

    rank: int
    """0 is the one that writes files and speaks."""
    size: int
    """Processes of the run."""
    device: torch.device
    """What this process computes on."""
    parent: int = field(default_factory=os.getppid)
    """The process that started this one."""

    @property
    def main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether what started these processes is gone, and another run of them may begin."""
        return self.size > 1 and os.getppid() != self.parent

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in some process."""
        if self.size == 1:
            return list(flags)
        held = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(held, op=dist.ReduceOp.MAX)
        return [bool(flag) for flag in held]

    def mean(self, value: torch.Tensor) -> float:
        """Mean of a number over the processes."""
        if self.size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def decide(self, action: Callable[[], T]) -> T:
        """Run `action` on the main process; all get what it gives, or the mistake it found."""
        if self.size == 1:
            return action()
        held: list[Any] = [None]
        if self.main:
            try:
                held = [action()]
            except (UserError, OSError) as mistake:
                held = [mistake]
        dist.broadcast_object_list(held, src=0)
        if isinstance(held[0], (UserError, OSError)):
            raise held[0]
        return held[0]


def resolve_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def share(rows: int, size: int, rank: int = 0) -> slice:
    """The rows of a batch that fall to process `rank` of `size`."""
    each, left = divmod(rows, size)
    if left or not each:
        raise UserError(
            f"execution.processes is {size}, which does not divide the {rows} windows of a batch "
            "(training.batch_tokens / model.context); take a divisor of that"
        )
    return slice(rank * each, (rank + 1) * each)


def join(device: torch.device) -> World:
    """Take this process's place in its run, on a device of its own if it is a GPU."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    gpu = device.type == "cuda"
    if gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    return World(rank=rank, size=size, device=device)


def spread_model(
    model: LlamaForCausalLM, world: World, *, shard: bool, compile: bool
) -> torch.nn.Module:
    """What a batch goes through: the model, its replica (DDP), or the model in parts (FSDP2).

    A model in parts is compiled layer by layer here; the others are compiled by whoever calls them.
    """
    if world.size == 1:
        return model
    if not shard:
        cards = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=cards, gradient_as_bucket_view=True)
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layer in model.model.layers:
        if compile:
            layer.compile()
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def exchange_gradients(replica: torch.nn.Module, wanted: bool) -> None:
    """Whether the next backward pass sums gradients over the processes; the last of a step does."""
    if isinstance(replica, DistributedDataParallel):
        replica.require_backward_grad_sync = wanted
    elif isinstance(replica, FSDPModule):
        replica.set_requires_gradient_sync(wanted)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on the CPU, put together where the processes hold a part each."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def part_like(full: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """What this process holds of `full`, given a tensor that is spread the same way."""
    full = full.to(like.device)
    if not isinstance(like, DTensor):
        return full
    # Every process has read the whole; none has to send it.
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def launched() -> bool:
    """Whether this process is one of those that `launch` or torchrun has started."""
    return "WORLD_SIZE" in os.environ


def launch(processes: int) -> int:
    """Run this command in `processes` processes, as torchrun would, and give the exit status.

    A signal to this process reaches all of them and ends them as it ends one.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    )
    try:
        elastic_launch(config, sys.executable)(*sys.argv)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    return 0
