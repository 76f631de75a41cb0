"""GRU4Rec: a recurrent net reads a user's items one after the other, and foretells the next (Hidasi et al. 2016).

A gated recurrent unit (Cho et al. 2014) keeps one state and no way back to what was read: the small one beside the transformers.
It is trained with their losses instead of the ranking losses of the paper, and with tied vectors. Events with a weight above 0
are read, however large it is.

Shapes: B users, L places, D width, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.layers.attention import Dropout
from bowerbird.models.base import ModelConfig
from bowerbird.models.gru4rec_config import Gru4recConfig
from bowerbird.models.sequential import SequentialModel
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.training.batches import Context
from bowerbird.training.next_item import SequenceNetwork


class Gru4recNetwork(SequenceNetwork):
    """Recurrent layers, and a last norm."""

    def __init__(
        self, counts_V: NDArray[np.int64], config: Gru4recConfig, *, num_event_types: int, generator: torch.Generator
    ) -> None:
        width = config.embedding_size
        super().__init__(counts_V, width, num_event_types=num_event_types, has_gaps=config.time_gaps)
        self.dropout = Dropout(config.dropout or 0.0, generator=generator)
        self.layers = nn.ModuleList([nn.GRU(width, width, batch_first=True) for _ in range(config.num_blocks)])
        self.norm = nn.LayerNorm(width)
        self.draw(generator)

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        """See ``SequenceNetwork``; right padding is read after all that counts."""
        for layer in self.layers:
            x_BLD, _ = layer(self.dropout(x_BLD))
        states_BLD: Tensor = self.norm(self.dropout(x_BLD))
        return states_BLD


class Gru4rec(SequentialModel):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "gru4rec"
    Config: ClassVar[type[ModelConfig]] = Gru4recConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> Gru4recNetwork:
        return Gru4recNetwork(counts_V, cast(Gru4recConfig, settings), num_event_types=num_event_types, generator=generator)
