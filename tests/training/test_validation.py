"""The hold-out inside fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bowerbird.data.sequences import Sequences
from bowerbird.training.batches import Context
from bowerbird.training.next_item import SequenceNetwork
from bowerbird.training.validation import HoldOut, hold_out, hold_out_by_time, ndcg


class Fixed(SequenceNetwork):
    """Scores the items as given, whatever was read."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__(np.zeros(len(scores), np.int64), 1)
        self.items.weight.data = torch.tensor(scores)[:, None]

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
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


def test_by_time_the_first_event_after_the_moment_is_held_out_and_nothing_later_is_left() -> None:
    num_users, length = 300, 20
    items, steps = np.arange(num_users * length, dtype=np.int64), np.tile(np.arange(length, dtype=np.int64), num_users)
    sequences = Sequences(items, np.arange(num_users + 1, dtype=np.int64) * length, steps)
    parted = hold_out_by_time(sequences, generator=torch.Generator().manual_seed(1))
    assert parted is not None
    rest, held_out = parted
    assert rest.timestamps is not None and held_out.times is not None
    assert rest.timestamps.max() == 18
    assert set(held_out.times) == {19}
    assert (held_out.targets == held_out.pasts.items[held_out.pasts.indptr[1:] - 1] + 1).all()


def test_by_time_nothing_is_held_out_where_few_would_speak_for_all_or_all_is_at_once() -> None:
    indptr = np.arange(1001, dtype=np.int64) * 4
    at_once = Sequences(np.arange(4000), indptr, np.zeros(4000, np.int64))
    few = np.arange(4000) % 4
    few[-201:] = 10
    assert hold_out_by_time(at_once, generator=torch.Generator()) is None
    assert hold_out_by_time(Sequences(np.arange(4000), indptr, few), generator=torch.Generator()) is None
    assert hold_out_by_time(Sequences(np.arange(4000), indptr), generator=torch.Generator()) is None
