"""What foretells the next item of a sequence: the network's two ways in, and the loss of a batch of windows.

Shapes: B windows, L targets of the longest window, T targets of all, D width, K negatives, V items.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.training.batches import Batch
from bowerbird.training.losses import full_softmax, sampled_softmax


class SequenceNetwork(nn.Module, ABC):
    """Item vectors and biases, and a way from the vectors read to one that is near the next item's."""

    items: nn.Embedding
    """[V, D]; read, and scored against."""
    biases: nn.Parameter
    """[V]; added to the scores."""

    @abstractmethod
    def encode(self, x_BLD: Tensor) -> Tensor:
        """Turn the vectors of the items read into what is expected next at each place [B, L, D], reading no later place."""

    def score(self, states_TD: Tensor) -> Tensor:
        """Score all items after each state; [T, V]."""
        return torch.addmm(self.biases, states_TD, self.items.weight.T)


def next_item_loss(
    network: SequenceNetwork, batch: Batch, *, num_negatives: int, generator: torch.Generator
) -> tuple[Tensor, int]:
    """Return the mean loss of a batch's targets, and their number; padding is dropped before it is scored.

    The negatives are shared by the targets of the batch; 0 takes all items, which is full cross-entropy.
    """
    targets_T = batch.tokens[:, 1:].flatten()[batch.places]
    if num_negatives == 0:
        states_TD = network.encode(network.items(batch.tokens[:, :-1])).flatten(0, 1)[batch.places]
        return full_softmax(network.score(states_TD), targets_T), len(targets_T)
    num_items, (rows, width) = network.items.num_embeddings, batch.tokens.shape
    negatives_K = torch.randint(num_items, (num_negatives,), generator=generator)
    # One look-up for what is read, the targets and the negatives: its gradient is as large as the catalogue.
    vectors_ID = functional.embedding(torch.cat([batch.tokens.flatten(), negatives_K]), network.items.weight)
    vectors_BSD, negatives_KD = vectors_ID[: rows * width].view(rows, width, -1), vectors_ID[rows * width :]
    states_TD = network.encode(vectors_BSD[:, :-1]).flatten(0, 1)[batch.places]
    vectors_TD = vectors_BSD[:, 1:].flatten(0, 1)[batch.places]
    loss = sampled_softmax(
        (states_TD * vectors_TD).sum(dim=1) + network.biases[targets_T],
        torch.addmm(network.biases[negatives_K], states_TD, negatives_KD.T),
        targets_T[:, None] == negatives_K,
        log_expected=math.log(num_negatives / num_items),
    )
    return loss, len(targets_T)
