"""Pairs for pointwise training: each once, negatives that the user did not have, neighbours by their similarity."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array

from bowerbird.training.pairs import Draws, Pairs, shuffled, with_draws


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def events(users: list[int], items: list[int]) -> Pairs:
    return Pairs(torch.tensor(users), torch.tensor(items), torch.ones(len(users)))


def had(pairs: Pairs, num_items: int) -> np.ndarray:
    return np.unique(pairs.users_P.numpy() * num_items + pairs.items_P.numpy())


def test_each_pair_comes_once_with_its_own_label() -> None:
    pairs = Pairs(torch.arange(10), torch.arange(10) * 2, torch.arange(10) / 10)
    batches = list(shuffled(pairs, batch_size=4, generator=generator()))
    assert [len(batch.users_P) for batch in batches] == [4, 4, 2]
    users = torch.cat([batch.users_P for batch in batches])
    assert users.tolist() != list(range(10))
    assert sorted(users.tolist()) == list(range(10))
    for batch in batches:
        assert torch.equal(batch.items_P, batch.users_P * 2)
        assert torch.equal(batch.labels_P, batch.users_P / 10)


def test_negatives_are_items_that_the_user_did_not_have_drawn_evenly() -> None:
    pairs = events([0, 0, 1], [0, 1, 4])
    draws = Draws(np.asarray([0, 1, 2, 4]), had(pairs, 5), 5, num_negatives=20_000)
    (batch,) = with_draws(pairs, draws, batch_size=3, generator=generator())
    assert sorted(zip(batch.users_P[:3].tolist(), batch.items_P[:3].tolist(), strict=True)) == [(0, 0), (0, 1), (1, 4)]
    assert batch.labels_P[:3].tolist() == [1, 1, 1] and not batch.labels_P[3:].any()
    of_first = np.bincount(batch.items_P[3:][batch.users_P[3:] == 0].numpy(), minlength=5)
    of_second = np.bincount(batch.items_P[3:][batch.users_P[3:] == 1].numpy(), minlength=5)
    assert (of_first > 0).tolist() == [False, False, True, False, True], "3 occurs nowhere, so it may not be drawn"
    assert (of_second > 0).tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(of_first[[2, 4]], 10_000, rtol=0.03)
    np.testing.assert_allclose(of_second[:3], 5_000, rtol=0.05)


def test_a_user_who_had_everything_brings_no_negatives() -> None:
    pairs = events([0, 0], [0, 1])
    (batch,) = with_draws(pairs, Draws(np.arange(2), had(pairs, 2), 2, 3), batch_size=2, generator=generator())
    assert len(batch.users_P) == 2


def test_a_share_of_the_items_is_replaced_by_neighbours_in_proportion_to_their_similarity() -> None:
    similarity = csr_array(np.array([[0, 0.3, 0.1, 0], [0.3, 0, 0, 0], [0.1, 0, 0, 0], [0, 0, 0, 0]]))
    pairs = events([0] * 20_000 + [1] * 100, [0] * 20_000 + [3] * 100)
    draws = Draws(np.arange(4), had(pairs, 4), 4, 1, share=0.4, neighbours=similarity)
    (batch,) = with_draws(pairs, draws, batch_size=30_000, generator=generator())
    users, items = batch.users_P[:20_100], batch.items_P[:20_100]
    np.testing.assert_allclose(np.bincount(items[users == 0].numpy(), minlength=4) / 20_000, [0.6, 0.3, 0.1, 0], atol=0.01)
    assert (items[users == 1] == 3).all(), "what has no neighbour stays"
