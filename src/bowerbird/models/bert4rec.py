"""BERT4Rec: items of a user's history are masked, and foretold from those on both sides (Sun et al. 2019).

Asked for what comes next, it reads the history with a masked event behind. In training the last event of a window is therefore
always masked, and a share of the others; and a share of the windows end early, or a short history would ask for one event
alone however often it is read. Softmax over shared negatives, or gBCE, stand in for softmax over all items (Petrov and
Macdonald 2022 and 2023), and places count from the end, so that what is asked for is always at the same one. Of a masked event
neither type nor time is read: when lists are made, nobody knows them. Events with a weight above 0 are read, however large it is.

Shapes: B users, L places, S = L + 1 places, D width, T masked events, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.layers.attention import Block, Dropout
from bowerbird.models.base import ModelConfig
from bowerbird.models.bert4rec_config import Bert4recConfig
from bowerbird.models.sequential import BatchLoss, SequentialModel
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.training.batches import Batch, Context
from bowerbird.training.losses import ItemLoss
from bowerbird.training.negatives import Negatives
from bowerbird.training.next_item import SequenceNetwork, item_loss

UNKNOWN_TYPE = 2**31
"""Beyond all types of events: it shares the vector of those that came after training."""


class Bert4recNetwork(SequenceNetwork):
    """A mask, places from the end, blocks that read both ways, and a last norm."""

    def __init__(
        self, counts_V: NDArray[np.int64], config: Bert4recConfig, *, num_event_types: int, generator: torch.Generator
    ) -> None:
        width, dropout = config.embedding_size, config.dropout or 0.0
        super().__init__(counts_V, width, num_event_types=num_event_types, has_gaps=config.time_gaps)
        self.mask = nn.Embedding(1, width)
        self.places = nn.Embedding((config.max_length or 1) + 1, width)
        self.dropout = Dropout(dropout, generator=generator)
        block = partial(Block, width, num_heads=config.num_heads, dropout=dropout, generator=generator, is_causal=False)
        self.blocks = nn.ModuleList([block() for _ in range(config.num_blocks or 1)])
        self.norm = nn.LayerNorm(width)
        self.draw(generator)
        self._begin_with_a_mean()

    @torch.no_grad()
    def _begin_with_a_mean(self) -> None:
        """Let attention hand on what it reads unchanged: a masked place holds no item, and begins as the mean of the others.

        Places begin as large as the items read: one that is small beside them is not told apart when all are averaged.
        """
        self.places.weight.mul_(math.sqrt(self.places.embedding_dim))
        for block in self.blocks:
            attention = cast(Block, block).attention
            width = attention.out.in_features
            attention.query_key_value.weight[2 * width :] = torch.eye(width)
            attention.out.weight.copy_(torch.eye(width))

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        """See ``SequenceNetwork``, but all places are read, except padding."""
        from_end_BL = context.lengths[:, None] - 1 - torch.arange(x_BLD.shape[1], device=x_BLD.device)
        is_real_BL = None if bool((from_end_BL >= 0).all()) else from_end_BL >= 0
        x_BLD = self.dropout(x_BLD + self.places(from_end_BL.clamp(min=0)))
        for block in self.blocks:
            x_BLD = block(x_BLD, is_real_BL)
        states_BLD: Tensor = self.norm(x_BLD)
        return states_BLD

    def masked_states(self, vectors_BSD: Tensor, is_masked_BS: Tensor, context: Context) -> Tensor:
        """Encode what is expected at the masked places, row by row; [T, D]."""
        vectors_BSD = torch.where(is_masked_BS[:, :, None], self.mask.weight[0], vectors_BSD)
        return self.states(vectors_BSD, _without(context, is_masked_BS))[is_masked_BS]

    def last_states(self, tokens_BL: Tensor, context: Context) -> Tensor:
        """Encode what comes next after each row, which is what stands at a masked place behind it; [B, D]."""
        context = _one_more(context)
        is_last_BS = torch.arange(tokens_BL.shape[1] + 1, device=tokens_BL.device) == context.lengths[:, None] - 1
        return self.masked_states(self.items(functional.pad(tokens_BL, (0, 1))), is_last_BS, context)


class Bert4rec(SequentialModel):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "bert4rec"
    Config: ClassVar[type[ModelConfig]] = Bert4recConfig

    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> Bert4recNetwork:
        return Bert4recNetwork(counts_V, cast(Bert4recConfig, settings), num_event_types=num_event_types, generator=generator)

    def _loss(self, counts_V: NDArray[np.int64], settings: SequentialConfig, generator: torch.Generator) -> BatchLoss:
        negatives = Negatives(settings.negatives, settings.num_negatives or 0, counts_V)
        loss = ItemLoss(settings.loss, settings.calibration)
        given = cast(Bert4recConfig, settings)
        masked = partial(masked_item_loss, mask_share=given.mask_share, cut_share=given.cut_share)
        return partial(masked, loss=loss, negatives=negatives, generator=generator)


def masked_item_loss(
    network: SequenceNetwork,
    batch: Batch,
    *,
    mask_share: float,
    cut_share: float,
    loss: ItemLoss,
    negatives: Negatives,
    generator: torch.Generator,
) -> tuple[Tensor, int]:
    """Cut a share of the windows, mask the last event of each and a share of the others; return their mean loss and number."""
    whole, here = _cut(batch.whole or batch, cut_share, generator), slice(batch.start, batch.start + batch.num_rows)
    context = _one_more(replace(batch.context, lengths=whole.context.lengths[here]))
    is_masked_WS = _masked(whole, mask_share, generator)
    drawn = None if negatives.takes_all else negatives.draw(whole.tokens[is_masked_WS], generator)
    is_masked_BS = is_masked_WS[here]
    states = partial(cast(Bert4recNetwork, network).masked_states, is_masked_BS=is_masked_BS, context=context)
    return item_loss(network, batch.tokens, is_masked_BS.flatten().nonzero()[:, 0], states, loss=loss, drawn=drawn)


def _cut(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """End a share of the windows after one of their events but the first, drawn anew each time; the rest becomes padding."""
    lengths_B = batch.context.lengths
    is_cut_B, end_B = (chance.to(lengths_B.device) for chance in torch.rand((2, len(lengths_B)), generator=generator))
    ends_B = torch.minimum(1 + (end_B * lengths_B).long(), lengths_B)
    return replace(batch, context=replace(batch.context, lengths=torch.where(is_cut_B < share, ends_B, lengths_B)))


def _masked(batch: Batch, share: float, generator: torch.Generator) -> Tensor:
    """Draw what is foretold: the last event of each window, and a share of the others; bool [B, S]."""
    from_end_BS = batch.context.lengths[:, None] - torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    is_drawn_BS = torch.rand(from_end_BS.shape, generator=generator).to(from_end_BS.device) < share
    return (from_end_BS == 0) | ((from_end_BS > 0) & is_drawn_BS)


def _one_more(context: Context) -> Context:
    """Add the place of the event that is asked for; what is written there is masked."""
    timestamps, events = (
        None if column is None else functional.pad(column, (0, 1)) for column in (context.timestamps, context.events)
    )
    return Context(context.lengths + 1, timestamps, events)


def _without(context: Context, is_masked_BS: Tensor) -> Context:
    """Hide the types of masked events, and put each at the time of the one before."""
    timestamps, events = context.timestamps, context.events
    if timestamps is not None:
        timestamps = torch.where(is_masked_BS, timestamps[:, :1], timestamps).cummax(dim=1).values
    if events is not None:
        events = events.masked_fill(is_masked_BS, UNKNOWN_TYPE)
    return Context(context.lengths, timestamps, events)
