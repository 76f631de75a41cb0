"""Which items stand for the rest of the catalogue in a step, shared by all targets of the batch, and how often each is drawn.

Shapes: T targets of a batch, K negatives, V items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Kind = Literal["uniform", "popular", "in_batch"]


@dataclass(frozen=True, eq=False)
class Negatives:
    """How negatives are drawn: ``num`` of them evenly or by popularity, or the targets of the batch; 0 takes all items.

    ``counts_V`` int64 [V] tells how often each item is met.
    """

    kind: Kind
    num: int
    counts_V: NDArray[np.int64]

    @property
    def takes_all(self) -> bool:
        """Whether nothing is drawn, for all items are scored."""
        return self.num == 0 and self.kind != "in_batch"

    @cached_property
    def _cumulative_V(self) -> Tensor:
        return torch.from_numpy(np.cumsum(self.counts_V) / self.counts_V.sum())

    @cached_property
    def _log_shares_V(self) -> Tensor:
        return torch.from_numpy(np.log(np.maximum(self.counts_V, 1e-9) / self.counts_V.sum())).float()

    def draw(self, targets_T: Tensor, generator: torch.Generator) -> tuple[Tensor, float | Tensor]:
        """Return negatives, int64 [K], and the logarithm of how often each is expected among them (``sampled_softmax``).

        ``targets_T`` are those of the whole batch, where processes share it; what is drawn goes to their device.
        """
        drawn_K, log_expected = self._draw(targets_T.cpu(), generator)
        if isinstance(log_expected, Tensor):
            log_expected = log_expected.to(targets_T.device)
        return drawn_K.to(targets_T.device), log_expected

    def _draw(self, targets_T: Tensor, generator: torch.Generator) -> tuple[Tensor, float | Tensor]:
        match self.kind:
            case "uniform":
                drawn_K = torch.randint(len(self.counts_V), (self.num,), generator=generator)
                return drawn_K, math.log(self.num / len(self.counts_V))
            case "popular":
                places_K = torch.rand(self.num, generator=generator, dtype=torch.float64)
                drawn_K = torch.searchsorted(self._cumulative_V, places_K, right=True).clamp(max=len(self.counts_V) - 1)
                return drawn_K, self._log_shares_V[drawn_K] + math.log(self.num)
            case "in_batch":  # each target's draws are the others of the batch
                return targets_T, self._log_shares_V[targets_T] + math.log(max(len(targets_T) - 1, 1))
            case other:
                assert_never(other)
