"""What foretells the next item of a sequence: the network's ways in, and the loss of a batch of windows.

Shapes: B windows, L targets of the longest window, S = L + 1 tokens of it, T targets of all, I items, D width, K negatives,
V items with a vector.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.training.batches import Batch, Context
from bowerbird.training.losses import ItemLoss, hits
from bowerbird.training.negatives import Negatives

INITIAL_SCALE = 0.05
NUM_GAPS = 24
"""Time gaps fall into bins that double, from a second to 97 days and above; one more bin is for what has none before it."""


class ItemVectors(nn.Embedding):
    """A vector for each item, and no more."""

    @classmethod
    def of(cls, vectors_VD: Tensor) -> ItemVectors:
        """Take vectors as they are, for inference."""
        return cls(len(vectors_VD), vectors_VD.shape[1], _weight=vectors_VD).requires_grad_(False)

    def all(self) -> Tensor:
        """Return the vectors of all items; [V, D]."""
        return self.weight

    @torch.no_grad()
    def take_over(self, other: ItemVectors, places_O: Tensor) -> None:
        """Take the vectors of ``other``, whose items have the given places here."""
        self.weight[places_O] = other.weight.to(self.weight.dtype)


class DescribedVectors(nn.Module):
    """The vectors of an items' tower, which gives [I, D + 1]; its biases are left alone, for a sequence network has its own."""

    def __init__(self, tower: nn.Module, num_items: int) -> None:
        super().__init__()
        self.tower, self.num_items = tower, num_items

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [..., D]; an item is one thing in all places of a batch."""
        items_I, places = torch.unique(tokens, return_inverse=True)
        vectors: Tensor = self.tower(items_I)[:, :-1][places]
        return vectors

    def all(self) -> Tensor:
        """Return the vectors of all items; [V, D]."""
        vectors_VD: Tensor = self.tower(torch.arange(self.num_items))[:, :-1]
        return vectors_VD


class SequenceNetwork(nn.Module, ABC):
    """Item vectors and biases, and a way from the vectors read to one that is near the next item's.

    The score of item i after the state h is ``h . e_i + b_i``. A subclass writes ``encode``, and calls ``draw`` when all of its
    layers are there.
    """

    def __init__(self, counts_V: NDArray[np.int64], width: int, *, num_event_types: int = 0, has_gaps: bool = False) -> None:
        super().__init__()
        self.items: ItemVectors | DescribedVectors = ItemVectors(len(counts_V), width)
        """Read, and scored against (tied)."""
        self.biases = nn.Parameter(torch.zeros(len(counts_V)))
        """[V]; begin as the logarithm of the items' popularity, so that no time is lost on learning that."""
        self.events = nn.Embedding(num_event_types + 1, width) if num_event_types else None
        self.gaps = nn.Embedding(NUM_GAPS + 1, width) if has_gaps else None
        self.log_counts_V = torch.from_numpy(np.log1p(counts_V)).float()

    @abstractmethod
    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        """Turn the vectors of the events read into what is expected next at each place [B, L, D], reading no later place."""

    def states(self, vectors_BLD: Tensor, context: Context) -> Tensor:
        """Encode item vectors; they are scaled by sqrt(D), which speeds the learning of tied vectors up; [B, L, D]."""
        x_BLD = vectors_BLD * math.sqrt(vectors_BLD.shape[-1])
        if self.events is not None and context.events is not None:  # a type that came after training shares the last vector
            x_BLD = x_BLD + self.events(context.events.clamp(max=self.events.num_embeddings - 1))
        if self.gaps is not None and context.timestamps is not None:
            x_BLD = x_BLD + self.gaps(gap_bins(context.timestamps))
        return self.encode(x_BLD, context)

    def last_states(self, tokens_BL: Tensor, context: Context) -> Tensor:
        """Encode what comes next after each row; [B, D]."""
        states_BLD = self.states(self.items(tokens_BL), context)
        return states_BLD[torch.arange(len(tokens_BL), device=tokens_BL.device), context.lengths - 1]

    def score(self, states_TD: Tensor) -> Tensor:
        """Score all items after each state; [T, V]."""
        return torch.addmm(self.biases, states_TD, self.items.all().T)

    @torch.no_grad()
    def take_over(self, other: SequenceNetwork, places_O: Tensor) -> None:
        """Go on from a network like this one with other items, whose places here are given; new items keep what was drawn."""
        assert isinstance(self.items, ItemVectors) and isinstance(other.items, ItemVectors), "what has been trained is plain"
        self.items.take_over(other.items, places_O)
        self.biases[places_O] = other.biases.to(self.biases.dtype)
        mine = dict(self.named_parameters())
        for name, parameter in other.named_parameters():
            if name != "biases" and not name.startswith("items."):
                mine[name].copy_(parameter)

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw all weights from the generator: vectors small, matrices scaled by their number of inputs; biases 0, norms 1."""
        vectors = {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Embedding)}
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            else:
                scale = INITIAL_SCALE if name in vectors else parameter.shape[1] ** -0.5
                parameter.normal_(0.0, scale, generator=generator)
        self.biases.copy_(self.log_counts_V - self.log_counts_V.mean())


def gap_bins(timestamps_BL: Tensor) -> Tensor:
    """Return the bin of the time since the event before, in seconds by powers of 2; the first of a row has the last bin."""
    seconds_BL = timestamps_BL.diff(dim=1).clamp(min=0).float() / 1e6
    bins_BL = torch.log2(1 + seconds_BL).long().clamp(max=NUM_GAPS - 1)
    return torch.nn.functional.pad(bins_BL, (1, 0), value=NUM_GAPS)


def next_item_loss(
    network: SequenceNetwork, batch: Batch, *, loss: ItemLoss, negatives: Negatives, generator: torch.Generator
) -> tuple[Tensor, int]:
    """Return the mean loss of a batch's targets, and their number; padding is dropped before it is scored."""
    places_T = batch.places + batch.places // (batch.tokens.shape[1] - 1) + 1  # in [B * (L + 1)], one place after what is read

    def states(vectors_BSD: Tensor) -> Tensor:
        return network.states(vectors_BSD[:, :-1], batch.context).flatten(0, 1)[batch.places]

    drawn = None if negatives.takes_all else negatives.draw((batch.whole or batch).targets, generator)
    return item_loss(network, batch.tokens, places_T, states, loss=loss, drawn=drawn)


def item_loss(
    network: SequenceNetwork,
    tokens_BS: Tensor,
    places_T: Tensor,
    states: Callable[[Tensor], Tensor],
    *,
    loss: ItemLoss,
    drawn: tuple[Tensor, float | Tensor] | None,
) -> tuple[Tensor, int]:
    """Return the mean loss of the items at ``places_T`` of the flattened tokens, and their number.

    ``states`` makes of the vectors of all tokens [B, S, D] what is expected at each of those places [T, D]; ``drawn`` are
    negatives and how often they are expected, None scores all items.
    """
    targets_T = tokens_BS.flatten()[places_T]
    if drawn is None:
        return loss.of_all(states(network.items(tokens_BS)), network.items.all(), network.biases, targets_T), len(targets_T)
    drawn_K, log_expected = drawn
    num_tokens = tokens_BS.numel()
    # One look-up for what is read, the targets and the negatives: its gradient is as large as the catalogue.
    vectors_ID = network.items(torch.cat([tokens_BS.flatten(), drawn_K]))
    states_TD = states(vectors_ID[:num_tokens].view(*tokens_BS.shape, -1))
    value = loss.of_drawn(
        (states_TD * vectors_ID[places_T]).sum(dim=1) + network.biases[targets_T],
        torch.addmm(network.biases[drawn_K], states_TD, vectors_ID[num_tokens:].T),
        hits(targets_T, drawn_K),
        log_expected=log_expected,
        num_items=len(network.biases),
    )
    return value, len(targets_T)
