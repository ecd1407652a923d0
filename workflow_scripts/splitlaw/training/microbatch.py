"""Gradients of a batch from microbatches, and the search for a microbatch that fits in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.distributed.fsdp import FSDPModule

from splitlaw.common.errors import UserError
from splitlaw.training.device_errors import (
    cause_line,
    is_not_deterministic,
    is_out_of_memory,
)
from splitlaw.training.processes import World, set_gradient_sync


class GradientAccumulator:
    """Computes loss and gradients of this process's windows of a batch, in microbatches."""

    def __init__(
        self,
        module: torch.nn.Module,
        world: World,
        *,
        windows: int,
        context: int,
        compile: bool,
        bfloat16: bool,
    ) -> None:
        """`windows` is the number of windows of a batch that this process trains on.

        With `bfloat16`, matrix products are computed in it.
        """
        self.module = module
        self.bfloat16 = bfloat16
        self.world = world
        self.windows = windows
        self.context = context
        self.microbatch = 0
        """Windows of one forward pass; 0 until `find_microbatch` has found it."""
        self.compiled = compile
        """Whether steps are compiled."""
        self.compile_problem: str | None = None
        """Why they are not although `compile` is set."""
        self.random_order: str | None = None
        """Why resumed runs may differ in their last bits: an operation without a fixed order."""
        # The layers of a sharded model are compiled one by one, when they are sharded.
        whole_step = compile and not isinstance(module, FSDPModule)
        self._compiled_loss = torch.compile(self._loss, dynamic=False) if whole_step else self._loss

    def accumulate(self, batch: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean loss over (windows, context + 1) token ids; adds its gradients to the model's.

        The loss is that of this process's windows; gradients are averaged over all processes.
        """
        parts = self._on_device(batch).split(self.microbatch)
        losses = []
        for part in parts:
            set_gradient_sync(self.module, part is parts[-1])
            loss = self._compiled_loss(part[:, :-1], part[:, 1:]) * (len(part) / len(batch))
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _on_device(self, batch: npt.NDArray[np.int64]) -> torch.Tensor:
        """The batch on the device; the copy to a GPU does not wait for the step before."""
        ids = torch.from_numpy(batch)
        if self.world.device.type == "cuda":
            return ids.pin_memory().to(self.world.device, non_blocking=True)
        return ids

    def _loss(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        device = self.world.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
            logits = self.module(input_ids=inputs).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def find_microbatch(self, optimizer: torch.optim.Optimizer, *, limit: int | None) -> None:
        """Halve the microbatch until a step fits in the memory of every process.

        The search begins with `limit` windows, or with all windows. Its steps change weights and
        moments, so the caller must restore them. If the first step cannot be compiled, all
        processes continue without compilation. Raises `UserError` if one window does not fit.
        """
        self.microbatch = min(limit or self.windows, self.windows)
        while True:
            problem = self.try_step(optimizer)
            if is_not_deterministic(problem):
                torch.use_deterministic_algorithms(False)
                self.random_order = cause_line(problem)
                continue
            memory = problem is not None and is_out_of_memory(problem)
            too_large, other = self.world.any(memory, problem is not None and not memory)
            if other:
                if not self.compiled:
                    raise problem or RuntimeError("a step failed in another process")
                self._use_eager(problem)
            elif not too_large:
                return
            elif self.microbatch == 1:
                reason = cause_line(problem) if problem else "in another process"
                raise UserError(
                    f"one window of {self.context} tokens does not fit in the memory of "
                    f"{self.world.device} ({reason}); set execution.shard, or choose a smaller "
                    "model"
                )
            else:
                self.microbatch = (self.microbatch + 1) // 2

    def try_step(self, optimizer: torch.optim.Optimizer) -> Exception | None:
        """The error of a step with the current microbatch, or None."""
        try:
            self.accumulate(np.zeros((self.windows, self.context + 1), dtype=np.int64))
            optimizer.step()
        except Exception as error:  # compilers and libraries raise errors of many types
            # The frames of a step that does not fit hold its tensors.
            return error.with_traceback(None) if is_out_of_memory(error) else error
        finally:
            optimizer.zero_grad(set_to_none=True)
            if self.world.device.type == "cuda":
                torch.cuda.empty_cache()  # cuBLAS and cuDNN cannot use what torch has cached
        return None

    def _use_eager(self, problem: Exception | None) -> None:
        """Continue without compilation, which gave the error `problem`."""
        self.compiled = False
        self._compiled_loss = self._loss
        for part in self.module.modules():
            part._compiled_call_impl = None
        self.compile_problem = cause_line(problem) if problem else "in another process"
