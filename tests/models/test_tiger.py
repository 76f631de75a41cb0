"""The conformance suite for tiger, and what only it must do."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from bowerbird import Interactions, build_model
from bowerbird.columns import CREATED_AT, ITEM_ID, TEXT_VECTOR, TIMESTAMP, TITLE, USER_ID
from bowerbird.data.sequences import Sequences
from bowerbird.models.base import Model
from bowerbird.models.tiger import Tiger, TigerNetwork, Tree, beam_search, next_id_loss, reduced
from bowerbird.models.tiger_config import TigerConfig
from bowerbird.testing import ModelConformance
from bowerbird.training.batches import epoch_batches

pytestmark = pytest.mark.usefixtures("one_thread")


class TestTiger(ModelConformance):
    name = "tiger"


CODES = np.asarray([[1, 0, 0], [0, 0, 0], [1, 2, 0], [0, 0, 1], [2, 1, 0]])


def network_of(codes_NC: np.ndarray) -> TigerNetwork:
    config = TigerConfig(embedding_size=8)
    return TigerNetwork(codes_NC, config, generator=torch.Generator().manual_seed(1)).double().eval().requires_grad_(False)


def circle(num_users: int = 40, num_items: int = 10, length: int = 12) -> pd.DataFrame:
    """Everybody walks through the items in a circle, each from another item on."""
    rows = [(f"u{user}", (user + step) % num_items, step) for user in range(num_users) for step in range(length)]
    return pd.DataFrame(rows, columns=[USER_ID, ITEM_ID, TIMESTAMP])


def probabilities(network: TigerNetwork, state_D: torch.Tensor, codes_NC: np.ndarray) -> list[float]:
    """Multiply out each item's probability by hand, from all children of each prefix."""
    found = []
    for row in codes_NC.tolist():
        total, z_D = 0.0, state_D
        for level, code in enumerate(row):
            children = sorted({other[level] for other in codes_NC.tolist() if other[:level] == row[:level]})
            scores = network.decode(z_D, level)
            total += float(scores[code] - torch.logsumexp(scores[children], dim=0))
            z_D = z_D + network.written.weight[network.starts[level] + code]
        found.append(total)
    return found


def test_a_search_wide_enough_gives_every_item_its_probability() -> None:
    network, state = network_of(CODES), torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    items, scores = beam_search(network, state[None], num_beams=10)
    by_hand = probabilities(network, state, CODES)
    assert sorted(items[0][:5].tolist()) == [0, 1, 2, 3, 4]
    assert items[0][5:].tolist() == [-1] * (items.shape[1] - 5)
    assert scores[0, :5] == pytest.approx([by_hand[item] for item in items[0, :5]], rel=1e-9)
    assert np.exp(scores).sum() == pytest.approx(1)


def test_the_loss_is_the_mean_of_what_the_search_says_of_the_items() -> None:
    network = network_of(CODES)
    sequence = Sequences(np.asarray([3, 0, 4, 1]), np.asarray([0, 4]))
    (batch,) = epoch_batches(sequence, max_length=10, batch_tokens=16)
    loss, num = next_id_loss(network, batch)
    states = network.encode(torch.tensor([[3, 0, 4]]))[0]
    told = [probabilities(network, state, CODES)[item] for state, item in zip(states, [0, 4, 1], strict=True)]
    assert num == 3 and float(loss) == pytest.approx(-np.mean(told), rel=1e-9)


def test_the_tree_says_which_codes_follow_and_where_each_item_is() -> None:
    tree = Tree.of(CODES)
    assert tree.items.tolist() == [1, 3, 0, 2, 4], "in the order of their codes"
    assert tree.nodes_NC.tolist() == [[1, 1, 2], [0, 0, 0], [1, 2, 3], [0, 0, 1], [2, 3, 4]]
    assert tree.follows[1].tolist() == [[True, False, False], [True, False, True], [False, True, False]]


def test_an_item_without_events_is_read_by_its_codes_alone() -> None:
    network = fitted(Interactions.from_frame(circle()), described())._network
    assert network is not None
    own_D = network.prefixes.weight[network.prefixes_NC[:, -1]].abs().sum(dim=1)
    assert own_D[11] == own_D[10] == 0 and (own_D[:10] > 0).all()


@pytest.mark.parametrize("num_beams", [1, 2, 3])
def test_a_narrow_search_only_ever_ends_at_items_that_exist(num_beams: int) -> None:
    codes = np.asarray([row for row in product(range(4), range(4), range(2)) if sum(row) % 3 == 0])
    states = torch.randn((20, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    items, scores = beam_search(network_of(codes), states, num_beams=num_beams)
    assert items.shape == (20, num_beams)
    assert ((items >= 0) & (items < len(codes))).all()
    assert all(len(set(row)) == num_beams for row in items.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_user_who_was_not_there_in_training_is_served_from_the_history() -> None:
    model = build_model("tiger", num_epochs=60).fit(Interactions.from_frame(circle()))
    history = pd.DataFrame({USER_ID: "new", ITEM_ID: [4, 5, 6]})
    assert model.recommend(["new"], k=1, history=history, exclude_seen=False)[ITEM_ID].tolist() == [7]


def described(num_items: int = 12) -> pd.DataFrame:
    """Describe items whose vectors lie on a half circle, the last of which nobody has touched."""
    angles = np.linspace(0, np.pi, num_items)
    return pd.DataFrame({ITEM_ID: range(num_items), TEXT_VECTOR: list(np.column_stack([np.cos(angles), np.sin(angles)]))})


def test_ids_are_made_of_text_vectors_where_there_are_some_and_of_titles_else() -> None:
    data = Interactions.from_frame(circle())
    by_vector = fitted(data, described())
    titles = described().drop(columns=TEXT_VECTOR).assign(**{TITLE: ["a hammer", "a saw", "a fig"] * 4})
    by_title = fitted(data, titles)
    assert by_vector._codes_NC[0, 0] == by_vector._codes_NC[1, 0] != by_vector._codes_NC[11, 0]
    assert (by_title._codes_NC[:9:3, :3] == by_title._codes_NC[0, :3]).all(), "the same title, the same codes"
    assert by_title._codes_NC[:9:3, 3].tolist() == [0, 1, 2]


def test_an_item_that_nobody_has_touched_can_be_generated_but_not_one_from_the_future() -> None:
    data = Interactions.from_frame(circle())
    assert np.isfinite(scores_of(fitted(data, described()), 11))
    later = described().assign(**{CREATED_AT: [pd.Timestamp("1970-01-01")] * 11 + [pd.Timestamp("2100-01-01")]})
    assert 11 not in fitted(data, later).data.item_ids


def test_a_batch_of_mixed_lengths_gives_what_single_requests_give() -> None:
    model = fitted(Interactions.from_frame(circle()), None)
    lengths = [1, 2, 5, 9, 60]
    history = pd.concat([circle(1, 10, length).assign(user_id=f"new {length}") for length in lengths])
    pairs = pd.DataFrame([(f"new {length}", item) for length in lengths for item in range(10)], columns=[USER_ID, ITEM_ID])
    single = [model.score(part, history=history) for _, part in pairs.groupby(USER_ID, sort=False)]
    np.testing.assert_allclose(model.score(pairs, history=history), np.concatenate(single), rtol=1e-6)


def test_the_same_seed_gives_the_same_losses_and_leaves_the_global_generator_alone() -> None:
    state, data = torch.random.get_rng_state(), Interactions.from_frame(circle())
    first, second = fitted(data, None), fitted(data, None)
    assert first.curve == second.curve
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_sketch_keeps_the_angles_of_a_matrix_of_low_rank() -> None:
    left, right = np.random.default_rng(0).normal(size=(2, 30, 3))
    matrix = csr_array(left @ right.T)
    coordinates = reduced(matrix, seed=1)
    np.testing.assert_allclose(coordinates @ coordinates.T, (matrix @ matrix.T).toarray(), atol=1e-8)


def fitted(data: Interactions, items: pd.DataFrame | None) -> Tiger:
    model: Model = build_model("tiger", num_epochs=3).fit(data, items=items)
    assert isinstance(model, Tiger)
    return model


def scores_of(model: Model, item: int) -> float:
    return float(model.score(pd.DataFrame({USER_ID: ["u0"], ITEM_ID: [item]}))[0])
