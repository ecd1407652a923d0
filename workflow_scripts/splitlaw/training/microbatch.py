"""Gradients of a batch from microbatches, and the search for a microbatch that fits in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.distributed.fsdp import FSDPModule

from splitlaw.common.errors import UserError
from splitlaw.training.processes import World, set_gradient_sync


class GradientAccumulator:
    """Computes loss and gradients of this process's windows of a batch, in microbatches."""

    def __init__(
        self, module: torch.nn.Module, world: World, *, windows: int, context: int, compile: bool
    ) -> None:
        """`windows` is the number of windows of a batch that this process trains on."""
        self.module = module
        self.world = world
        self.windows = windows
        self.context = context
        self.microbatch = 0
        """Windows of one forward pass; 0 until `find_microbatch` has found it."""
        # The layers of a sharded model are compiled one by one, when they are sharded.
        whole_step = compile and not isinstance(module, FSDPModule)
        self._compiled_loss = torch.compile(self._loss, dynamic=False) if whole_step else self._loss

    def accumulate(self, batch: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean loss over (windows, context + 1) token ids; adds its gradients to the model's.

        The loss is that of this process's windows; gradients are averaged over all processes.
        """
        parts = torch.from_numpy(batch).to(self.world.device).split(self.microbatch)
        losses = []
        for part in parts:
            set_gradient_sync(self.module, part is parts[-1])
            loss = self._compiled_loss(part[:, :-1], part[:, 1:]) * (len(part) / len(batch))
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _loss(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        device = self.world.device.type
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = self.module(input_ids=inputs).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def find_microbatch(self, optimizer: torch.optim.Optimizer, *, limit: int | None) -> None:
        """Halve the microbatch until a step fits in the memory of every process.

        The search begins with `limit` windows, or with all windows. Its steps change weights and
        moments, so the caller must restore them. Raises `UserError` if one window does not fit.
        """
        self.microbatch = min(limit or self.windows, self.windows)
        while any(self.world.any(not self.fits(optimizer))):
            if self.microbatch == 1:
                raise UserError(
                    f"one window of {self.context} tokens does not fit in the memory of "
                    f"{self.world.device}; set execution.shard, or choose a smaller model"
                )
            self.microbatch = (self.microbatch + 1) // 2

    def fits(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether a step with the current microbatch fits in the memory of this process."""
        try:
            self.accumulate(np.zeros((self.windows, self.context + 1), dtype=np.int64))
            optimizer.step()
        except RuntimeError as error:
            # The CPU's allocator raises a plain RuntimeError.
            out_of_memory = isinstance(error, torch.OutOfMemoryError)
            if not out_of_memory and "allocate memory" not in str(error):
                raise
            return False
        finally:
            optimizer.zero_grad(set_to_none=True)
        return True
