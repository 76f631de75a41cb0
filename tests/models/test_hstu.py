"""The conformance suite for hstu, and what only it must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import bowerbird.models.hstu
from bowerbird.models.hstu import HstuNetwork
from bowerbird.models.hstu_config import HstuConfig
from bowerbird.training.batches import Batch, Context
from bowerbird.training.workers import Workers
from tests.models.sequential import SequentialConformance


class TestHstu(SequentialConformance):
    name = "hstu"
    expected_ndcg = 0.0540
    can_update = True
    update_is_exact = False


def states(times: list[int], asked: list[int], *, request_time: bool) -> Tensor:
    """Encode the items 0, 1, 2, read at ``times``, each followed by what came at ``asked``; days."""
    config = HstuConfig(embedding_size=8, max_length=6, dropout=0.0, request_time=request_time)
    generator = torch.Generator().manual_seed(1)
    network = HstuNetwork(np.asarray([3, 1, 4]), config, num_event_types=0, generator=generator).double().eval()
    days = 86_400_000_000
    context = Context(torch.tensor([3]), torch.tensor([times]) * days, asked=torch.tensor([asked]) * days)
    return network.states(network.items(torch.tensor([[0, 1, 2]])), context)[0]


def test_time_of_the_target_is_not_read_unless_that_of_the_request_is_known() -> None:
    soon, late = [1, 2, 3], [1, 2, 300]
    assert torch.equal(states([0, 1, 2], soon, request_time=False), states([0, 1, 2], late, request_time=False))
    first, second = (states([0, 1, 2], asked, request_time=True) for asked in (soon, late))
    torch.testing.assert_close(first[:2], second[:2])
    assert not torch.allclose(first[2], second[2])


def test_time_between_the_events_read_changes_what_comes_next() -> None:
    near, far = (states([0, last - 1, last], [1, 2, 3], request_time=False) for last in (2, 200))
    torch.testing.assert_close(near[0], far[0])
    assert not torch.allclose(near[2], far[2])


def test_rows_taken_a_few_at_a_time_give_the_same_states(monkeypatch: pytest.MonkeyPatch) -> None:
    network = HstuNetwork(
        np.asarray([3, 1, 4]),
        HstuConfig(embedding_size=8, max_length=6, dropout=0.0),
        num_event_types=0,
        generator=torch.Generator().manual_seed(1),
    ).eval()
    tokens, times = torch.tensor([[0, 1, 2]] * 5), torch.arange(15).view(5, 3) * 10**7
    whole = network.states(network.items(tokens), Context(torch.full((5,), 3), times))
    monkeypatch.setattr(bowerbird.models.hstu, "MAX_WEIGHTS", 20)
    torch.testing.assert_close(network.states(network.items(tokens), Context(torch.full((5,), 3), times)), whole)


def test_in_training_masks_are_drawn_for_all_rows_at_once_however_many_pairs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bowerbird.models.hstu, "MAX_WEIGHTS", 20)
    tokens, times = torch.tensor([[0, 1, 2]] * 5), torch.arange(15).view(5, 3) * 10**7
    batch = Batch(tokens, torch.arange(10), Context(torch.full((5,), 3), times))

    def trained(workers: Workers) -> Tensor:
        config, generator = HstuConfig(embedding_size=8, max_length=6, dropout=0.5), torch.Generator().manual_seed(1)
        network = HstuNetwork(np.asarray([3, 1, 4]), config, num_event_types=0, generator=generator).train()
        share, _ = workers.share(batch, network)
        return network.states(network.items(share.tokens), share.context)

    torch.testing.assert_close(torch.cat([trained(Workers(rank, 2)) for rank in range(2)]), trained(Workers()))
