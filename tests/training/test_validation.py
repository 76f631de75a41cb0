"""The hold-out inside fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bowerbird.data.sequences import Sequences
from bowerbird.training.next_item import SequenceNetwork
from bowerbird.training.validation import HoldOut, hold_out, ndcg


class Fixed(SequenceNetwork):
    """Scores the items as given, whatever was read."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.items = nn.Embedding.from_pretrained(torch.tensor(scores)[:, None])
        self.biases = nn.Parameter(torch.zeros(len(scores)))

    def encode(self, x_BLD: Tensor) -> Tensor:
        return torch.ones_like(x_BLD)


def past_and_target(past: list[int], target: int) -> HoldOut:
    return HoldOut(Sequences(np.asarray(past), np.asarray([0, len(past)])), np.asarray([target]), np.asarray([0]))


def test_the_last_event_of_users_with_three_is_held_out() -> None:
    sequences = Sequences(np.arange(9), np.asarray([0, 2, 5, 9, 9]))
    rest, held_out = hold_out(sequences, generator=torch.Generator().manual_seed(1))
    assert rest.items.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert rest.indptr.tolist() == [0, 2, 4, 7, 7]
    assert held_out.targets.tolist() == [4, 8]
    assert held_out.chosen.tolist() == [1, 2]
    assert held_out.pasts.items.tolist() == [2, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("past", "target", "rank"),
    [([0], 1, 1), ([3], 2, 3), ([0, 1], 2, 1), ([0], 0, 1), ([0, 1], 1, 2), ([2], 3, 3)],
    ids=["best of the new", "third of the new", "what is past does not count", "repeated", "second, repeated", "last"],
)
def test_ranks_are_the_hand_worked_ones(past: list[int], target: int, rank: int) -> None:
    network = Fixed([4.0, 3.0, 2.0, 1.0])
    assert ndcg(network, past_and_target(past, target), max_length=5) == pytest.approx(1 / math.log2(1 + rank))


def test_a_network_that_scores_all_alike_earns_nothing() -> None:
    assert ndcg(Fixed([1.0] * 20), past_and_target([0], 5), max_length=5) == 0
