"""Networks that foretell the next item: what they read beside it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bowerbird.training.batches import Context
from bowerbird.training.next_item import NUM_GAPS, SequenceNetwork, gap_bins


class Plain(SequenceNetwork):
    """Expects what was read."""

    def __init__(self, *, num_event_types: int = 0, has_gaps: bool = False) -> None:
        super().__init__(np.asarray([1, 5, 9]), 4, num_event_types=num_event_types, has_gaps=has_gaps)
        self.draw(torch.Generator().manual_seed(1))

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        return x_BLD


def test_gaps_fall_into_bins_that_double() -> None:
    seconds = torch.tensor([[0, 0, 1, 4, 11, 10**9]])
    assert gap_bins(seconds * 1_000_000).tolist() == [[NUM_GAPS, 0, 1, 2, 3, NUM_GAPS - 1]]


def test_event_type_and_gap_change_what_is_read_and_a_new_type_has_a_vector() -> None:
    network = Plain(num_event_types=2, has_gaps=True)
    vectors = network.items(torch.tensor([[0, 1]]))

    def states(events: list[int], times: list[int]) -> Tensor:
        return network.states(vectors, Context(torch.tensor([2]), torch.tensor([times]), torch.tensor([events])))

    base = states([0, 1], [0, 10**6])
    assert not torch.equal(base, states([0, 0], [0, 10**6]))
    assert not torch.equal(base, states([0, 1], [0, 10**9]))
    assert torch.equal(states([0, 2], [0, 1]), states([0, 7], [0, 1]))


def test_without_event_types_and_gaps_only_items_are_read() -> None:
    network = Plain()
    vectors = network.items(torch.tensor([[0, 1]]))
    context = Context(torch.tensor([2]), torch.tensor([[0, 5]]), torch.tensor([[0, 1]]))
    assert torch.equal(network.states(vectors, context), network.states(vectors, Context(torch.tensor([2]))))


def test_biases_begin_with_the_popularity() -> None:
    biases = Plain().biases.detach()
    expected = np.log1p([1, 5, 9])
    np.testing.assert_allclose(biases, expected - expected.mean(), rtol=1e-6)
