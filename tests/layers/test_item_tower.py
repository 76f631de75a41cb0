"""The items' tower: its sums by hand, the bound of the delta, and what goes by its description."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.layers.item_tower import ItemTower, weighted_rows

COUNTS = np.asarray([3, 0, 1, 0])
FEATURES = np.asarray([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
TEXTS = np.asarray([[1.0, 0.0], [0.6, 0.8], [0.0, 0.0], [0.0, 0.0]])


def tower(
    features: NDArray[np.float64] = FEATURES,
    texts: NDArray[np.float64] = TEXTS,
    *,
    max_delta: float = 0.5,
    id_dropout: float = 0.0,
) -> ItemTower:
    """Four items: described with events, described without, not described with events, and nothing at all."""
    made = ItemTower(
        COUNTS,
        csr_array(features.astype(np.float32)),
        texts.astype(np.float32),
        width=3,
        id_dropout=id_dropout,
        max_delta=max_delta,
        generator=torch.Generator().manual_seed(1),
    )
    made.draw(torch.Generator().manual_seed(2))
    return made


def test_vectors_are_the_sums_of_the_file() -> None:
    made = tower()
    with torch.no_grad():
        made.ids.weight[:, :-1] *= 10
    ids, f, p = (values.detach().double().numpy() for values in (made.ids.weight, made.features.weight, made.texts))
    expected = FEATURES @ f + TEXTS @ p
    expected[0, :3] += 0.5 * np.linalg.norm(expected[0, :3]) * ids[0, :3] / np.linalg.norm(ids[0, :3])  # the bound holds it
    expected[0, 3] += ids[0, 3]
    expected[2] += ids[2]  # no text: no bound
    np.testing.assert_allclose(made(torch.arange(4)).detach().numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(made(torch.tensor([2, 1])).detach().numpy(), expected[[2, 1]], rtol=1e-5)
    assert not expected[3].any(), "an item with neither events nor a description has no vector"


def test_biases_begin_as_logarithms_of_counts() -> None:
    log_counts = np.log1p(COUNTS)
    np.testing.assert_allclose(tower().ids.weight[:, -1].detach().numpy(), log_counts - log_counts.mean(), rtol=1e-6)


def test_a_short_delta_is_left_as_it_is() -> None:
    made = tower(max_delta=100.0)
    expected = made.described(torch.tensor([0])) + made.ids.weight[[0]]
    torch.testing.assert_close(made(torch.tensor([0])), expected)


def test_without_a_delta_ids_with_a_text_move_their_bias_alone() -> None:
    made = tower(max_delta=0.0)
    gap = (made(torch.tensor([0])) - made.described(torch.tensor([0]))).detach()
    assert not gap[0, :3].any() and gap[0, 3] == made.ids.weight[0, 3]


@pytest.mark.parametrize("with_texts", [True, False])
def test_the_bound_of_the_delta_holds_after_training_and_only_where_there_is_a_text(with_texts: bool) -> None:
    made = tower(texts=TEXTS if with_texts else TEXTS[:, :0])
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1)
    wanted = torch.tensor([[5.0, 5.0, 5.0, 0.0]]).repeat(4, 1) * torch.tensor([[1.0], [-1.0], [1.0], [1.0]])
    for _ in range(200):
        optimizer.zero_grad()
        torch.autograd.backward((made(torch.arange(4)) - wanted).square().mean())
        optimizer.step()
    with torch.no_grad():
        described = made.described(torch.tensor([0]))[:, :-1]
        delta = made(torch.tensor([0]))[:, :-1] - described
    ratio = float(delta.norm() / described.norm())
    assert ratio <= 0.5 + 1e-5 or not with_texts


def test_a_share_of_the_described_items_goes_by_its_description_in_training_alone() -> None:
    made = tower(id_dropout=0.5)
    made.train()
    described = made.described(torch.arange(4))
    is_plain = np.asarray([(made(torch.arange(4)) == described).all(dim=1).numpy() for _ in range(400)])
    assert 0.4 < is_plain[:, 0].mean() < 0.6
    assert is_plain[:, 1].all() and not is_plain[:, 2].any(), "no events: always; no description: never"
    made.eval()
    assert not (made(torch.arange(4)) == described).all(dim=1)[0]


def test_without_features_and_texts_ids_are_all() -> None:
    made = tower(FEATURES[:, :0], TEXTS[:, :0])
    has_events = torch.from_numpy(COUNTS > 0)[:, None]
    torch.testing.assert_close(made(torch.arange(4)), made.ids.weight * has_events)


def test_weighted_rows_take_vectors_by_column_or_by_place() -> None:
    weights = csr_array(np.asarray([[0.0, 2.0], [1.0, 3.0], [0.0, 0.0]]))
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert weighted_rows(weights, vectors).tolist() == [[0.0, 2.0], [1.0, 3.0], [0.0, 0.0]]
    assert weighted_rows(weights, vectors, torch.tensor([0, 0, 0])).tolist() == [[2.0, 0.0], [4.0, 0.0], [0.0, 0.0]]
