"""eSASRec: SASRec's way of foretelling the next item, with LiGR's gated blocks and sampled softmax (Tikhonovich et al. 2025).

The blocks are those of Borisyuk et al. (2025), see ``layers.ligr``; they have three times the weights of ``sasrec``'s. Events
with a weight above 0 are read, however large it is.

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
from bowerbird.layers.ligr import GatedBlock
from bowerbird.models.base import ModelConfig
from bowerbird.models.esasrec_config import EsasrecConfig
from bowerbird.models.sequential import SequentialModel
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.training.batches import Context
from bowerbird.training.next_item import SequenceNetwork


class EsasrecNetwork(SequenceNetwork):
    """Places, gated blocks, and a last norm."""

    def __init__(
        self, counts_V: NDArray[np.int64], config: EsasrecConfig, *, num_event_types: int, generator: torch.Generator
    ) -> None:
        width, dropout = config.embedding_size, config.dropout or 0.0
        super().__init__(counts_V, width, num_event_types=num_event_types, has_gaps=config.time_gaps)
        self.places = nn.Embedding(config.max_length or 1, width)
        self.dropout = Dropout(dropout, generator=generator)
        block = partial(GatedBlock, width, num_heads=config.num_heads, dropout=dropout, generator=generator)
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


class Esasrec(SequentialModel):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "esasrec"
    Config: ClassVar[type[ModelConfig]] = EsasrecConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> EsasrecNetwork:
        return EsasrecNetwork(counts_V, cast(EsasrecConfig, settings), num_event_types=num_event_types, generator=generator)
