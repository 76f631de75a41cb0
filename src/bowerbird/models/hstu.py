"""HSTU: attention without softmax, with biases for how far back an event is in places and in time (Zhai et al. 2024).

The layer is that of ``layers.hstu``. The time of an event is read as its distance from the last event read before the target,
never from the target itself, unless ``request_time`` is set: see there. Events with a weight above 0 are read, however large it
is.

Shapes: B users, L places, D width, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.layers.attention import Dropout
from bowerbird.layers.hstu import PointwiseBlock, time_bins
from bowerbird.models.base import ModelConfig
from bowerbird.models.hstu_config import HstuConfig
from bowerbird.models.sequential import SequentialModel
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.training.batches import Context
from bowerbird.training.next_item import SequenceNetwork

MAX_WEIGHTS = 2**22
"""When lists are made, attention weights are computed for so many pairs of places at once, but for a single row: memory is
bounded. A step of training keeps them all for its gradient, whatever is done."""


class HstuNetwork(SequenceNetwork):
    """Layers, and a last norm."""

    def __init__(
        self, counts_V: NDArray[np.int64], config: HstuConfig, *, num_event_types: int, generator: torch.Generator
    ) -> None:
        width, dropout, heads = config.embedding_size, config.dropout or 0.0, config.num_heads
        super().__init__(counts_V, width, num_event_types=num_event_types, has_gaps=config.time_gaps)
        self.reads_request = config.request_time
        self.dropout = Dropout(dropout, generator=generator)
        length = config.max_length or 1
        block = partial(PointwiseBlock, width, num_heads=heads, max_length=length, dropout=dropout, generator=generator)
        self.blocks = nn.ModuleList([block() for _ in range(config.num_blocks or 1)])
        self.norm = nn.LayerNorm(width)
        self.draw(generator)

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        """See ``SequenceNetwork``; right padding is read by nothing before it."""
        timestamps_BL, now_BL = context.timestamps, context.asked if self.reads_request else context.timestamps
        rows, length, _ = x_BLD.shape
        size = rows if self.training else max(1, MAX_WEIGHTS // length**2)
        parts = [slice(start, start + size) for start in range(0, rows, size)]
        bins = (None if timestamps_BL is None or now_BL is None else time_bins(now_BL[p], timestamps_BL[p]) for p in parts)
        return torch.cat([self._encode(x_BLD[part], bins_BLL) for part, bins_BLL in zip(parts, bins, strict=True)])

    def _encode(self, x_BLD: Tensor, bins_BLL: Tensor | None) -> Tensor:
        x_BLD = self.dropout(x_BLD)
        for block in self.blocks:
            x_BLD = block(x_BLD, bins_BLL)
        states_BLD: Tensor = self.norm(x_BLD)
        return states_BLD


class Hstu(SequentialModel):
    """Foretells a user's next item from the order and times of the ones before; users need a history only."""

    name: ClassVar[str] = "hstu"
    Config: ClassVar[type[ModelConfig]] = HstuConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> HstuNetwork:
        return HstuNetwork(counts_V, cast(HstuConfig, settings), num_event_types=num_event_types, generator=generator)
