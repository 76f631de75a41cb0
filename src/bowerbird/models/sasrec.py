"""SASRec: a causal transformer over a user's items foretells the next one (Kang and McAuley 2018).

Not as first published, but as it is known to work: softmax over all items or over shared negatives instead of one negative
(Klenitskiy and Vasilev 2023, Petrov and Macdonald 2023), pre-norm blocks, AdamW, fused attention, batches of like length.

Shapes: B users, L places, D width, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.layers.attention import Block, Dropout
from bowerbird.models.base import ModelConfig
from bowerbird.models.sasrec_config import SasrecConfig
from bowerbird.models.sequential import SequentialModel
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.training.batches import Context
from bowerbird.training.next_item import SequenceNetwork


class SasrecNetwork(SequenceNetwork):
    """Places, blocks, and a last norm."""

    kind_of_block: ClassVar[type[nn.Module]] = Block

    def __init__(
        self, counts_V: NDArray[np.int64], config: SasrecConfig, *, num_event_types: int, generator: torch.Generator
    ) -> None:
        width, dropout = config.embedding_size, config.dropout or 0.0
        super().__init__(counts_V, width, num_event_types=num_event_types, has_gaps=config.time_gaps)
        self.places = nn.Embedding(config.max_length or 1, width)
        self.dropout = Dropout(dropout, generator=generator)
        block = partial(self.kind_of_block, width, num_heads=config.num_heads, dropout=dropout, generator=generator)
        self.blocks = nn.ModuleList([block() for _ in range(config.num_blocks or 1)])
        self.norm = nn.LayerNorm(width)
        self.draw(generator)

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        """See ``SequenceNetwork``; right padding is read by nothing before it."""
        x_BLD = self.dropout(x_BLD + self.places.weight[: x_BLD.shape[1]])
        for block in self.blocks:
            x_BLD = block(x_BLD)
        states_BLD: Tensor = self.norm(x_BLD)
        return states_BLD


class Sasrec(SequentialModel):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "sasrec"
    Config: ClassVar[type[ModelConfig]] = SasrecConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> SasrecNetwork:
        return SasrecNetwork(counts_V, cast(SasrecConfig, settings), num_event_types=num_event_types, generator=generator)
