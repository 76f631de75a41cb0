"""eSASRec: SASRec's way of foretelling the next item, with LiGR's gated blocks and sampled softmax (Tikhonovich et al. 2025).

The blocks are those of Borisyuk et al. (2025), see ``layers.ligr``; they have three times the weights of ``sasrec``'s. Events
with a weight above 0 are read, however large it is.

Shapes: B users, L places, D width, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bowerbird.layers.ligr import GatedBlock
from bowerbird.models.base import ModelConfig
from bowerbird.models.esasrec_config import EsasrecConfig
from bowerbird.models.sasrec import Sasrec, SasrecNetwork
from bowerbird.models.sequential_config import SequentialConfig


class EsasrecNetwork(SasrecNetwork):
    """Places, gated blocks, and a last norm."""

    kind_of_block: ClassVar[type[nn.Module]] = GatedBlock


class Esasrec(Sasrec):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "esasrec"
    Config: ClassVar[type[ModelConfig]] = EsasrecConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> EsasrecNetwork:
        return EsasrecNetwork(counts_V, cast(EsasrecConfig, settings), num_event_types=num_event_types, generator=generator)
