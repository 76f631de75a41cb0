"""Processes that train one network together: each takes some rows of every batch, and their gradients are added up.

All draw the same batches from generators in the same state, and chance is drawn for the whole batch by everybody: negatives,
masks and which items go by their description. The gradient is the mean over all targets of the batch, whoever had them. So the
loss curve is that of one process but for the order in which numbers are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, distributed, nn


class Rows(Protocol):
    """A batch that can be shared and moved."""

    @property
    def num_rows(self) -> int: ...
    def rows(self, start: int, stop: int) -> Self: ...
    def to(self, device: torch.device) -> Self: ...


AnyBatch = TypeVar("AnyBatch", bound=Rows)


@dataclass(frozen=True)
class Workers:
    """Which of how many this process is; one alone shares nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> Workers:
        """Return the place of this process in torch's process group, or one alone where there is none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, batch: AnyBatch, network: nn.Module) -> tuple[AnyBatch, bool]:
        """Return this worker's rows of a batch, and whether they count: where there are too few it gets the first for nothing.

        Modules with a ``part`` (``Dropout``) are told which rows of the whole they see.
        """
        if self.size == 1:
            return batch, True
        num_rows = batch.num_rows
        start, stop = num_rows * self.rank // self.size, num_rows * (self.rank + 1) // self.size
        counts = stop > start
        part = (start, stop, num_rows) if counts else (0, 1, num_rows)
        for module in network.modules():
            if hasattr(module, "part"):
                module.part = part  # type: ignore[assignment] # torch types what a module may have as tensors
        return batch.rows(part[0], part[1]), counts

    def combine(self, loss: Tensor, num: int, *, counts: bool) -> tuple[Tensor, float, int]:
        """Return the loss to take the gradient of, the mean loss over the targets of all workers, and their number."""
        value = float(loss.detach())
        if self.size == 1:
            return loss, value, num
        num = num if counts else 0
        sums = torch.tensor([value * num if num else 0.0, num], dtype=torch.float64)
        distributed.all_reduce(sums)
        num_all = int(sums[1])
        return loss * (num / num_all), float(sums[0]) / num_all, num_all

    def add_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by the sum over all workers."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).cpu()  # gloo speaks for the CPU
        distributed.all_reduce(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))
