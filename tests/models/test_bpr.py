from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.models.bpr import Bpr, BprConfig, Learner, Table
from bowerbird.testing import ModelConformance


class TestBpr(ModelConformance):
    name = "bpr"
    expected_ndcg = 0.0316

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


class TestBprWithPopularNegatives(ModelConformance):
    name = "bpr"
    config: ClassVar[dict[str, Any]] = {"negatives": "popularity", "num_epochs": 30, "learning_rate": 0.3}


def log(rows: list[tuple[int, int]], *, weights: list[float] | None = None) -> Interactions:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=range(len(rows)))
    return Interactions.from_frame(frame.assign(weight=weights or [1.0] * len(rows)))


def two_tastes(*, num_users: int = 100, num_items: int = 40) -> Interactions:
    """Ten events a user, on items of the user's own parity."""
    rng = np.random.default_rng(3)
    rows = [(user, 2 * item + user % 2) for user in range(num_users) for item in rng.permutation(num_items // 2)[:10].tolist()]
    return log(rows)


def test_a_step_climbs_the_gradient_of_the_gain() -> None:
    """A row that occurs twice moves once, by the sum; Adagrad divides by the root of all squares so far."""
    config = BprConfig(embedding_size=2, learning_rate=0.5, regularization=0.1)
    table = Table(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]), config)
    directions = np.array([[1.0, 1.0], [0.0, 2.0]], np.float32)
    table.climb(np.array([2, 0, 2, 1]), np.array([0.5, 0.25, -1.0, 0.5], np.float32), directions)
    gradients = np.array(
        [
            0.25 * directions[1] - 0.1 * np.array([1, 0]),
            0.5 * directions[1] - 0.1 * np.array([0, 2]),
            0.5 * directions[0] - 1.0 * directions[0] - 2 * 0.1 * np.array([3, 3]),
        ]
    )
    expected = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]) + 0.5 * gradients / np.sqrt(0.1 + gradients**2)
    np.testing.assert_allclose(table.vectors_ND, expected, rtol=1e-5)


def test_the_gradient_is_that_of_log_sigmoid_of_the_difference_in_score() -> None:
    data = log([(0, 0), (1, 1), (2, 2)])
    learner = Learner(data, BprConfig(embedding_size=3, learning_rate=1e-4, regularization=0.0), seed=1)

    def gain() -> float:
        users_UD, items_ND = learner.vectors()
        return float(-np.logaddexp(0, -(users_UD[0].astype(np.float64) @ (items_ND[0] - items_ND[2]).astype(np.float64))))

    before = [vectors.astype(np.float64) for vectors in learner.vectors()]
    first = gain()
    loss = learner._step(np.array([0]), np.array([0]), np.array([2]))
    after = [vectors.astype(np.float64) for vectors in learner.vectors()]
    assert loss == pytest.approx(-first)
    pull = 1 - np.exp(first)
    wanted = pull * (before[1][0] - before[1][2])[:-1], pull * before[0][0], -pull * before[0][0]
    moves = (after[0][0] - before[0][0])[:-1], after[1][0] - before[1][0], after[1][2] - before[1][2]
    for move, gradient in zip(moves, wanted, strict=True):
        np.testing.assert_allclose(move, 1e-4 * gradient / np.sqrt(0.1 + gradient**2), rtol=0.01, atol=2e-8)
    assert (after[0][1:] == before[0][1:]).all()
    assert (after[1][1] == before[1][1]).all()


def test_users_are_told_apart_by_taste() -> None:
    lists = build_model("bpr", embedding_size=8).fit(two_tastes()).recommend(range(100), k=10)
    assert ((lists["item_id"] - lists["user_id"]) % 2 == 0).all()


def test_events_are_drawn_in_proportion_to_their_weights() -> None:
    learner = Learner(log([(0, 0), (0, 1), (1, 1)] * 2000, weights=[1.0, 3.0, 0.5] * 2000), BprConfig(), seed=1)
    data = learner._events
    drawn = learner._draw()
    shares = [data.weights[drawn][data.weights[drawn] == weight].size / len(drawn) for weight in (1.0, 3.0, 0.5)]
    assert shares == pytest.approx([1 / 4.5, 3 / 4.5, 0.5 / 4.5], abs=0.02)


def test_what_a_user_had_is_no_negative() -> None:
    learner = Learner(log([(0, 0), (0, 1), (1, 1), (1, 2)]), BprConfig(), seed=1)
    users, items = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    assert learner._have(users, items).tolist() == [True, True, False, False, True, True]


def test_the_epochs_found_on_a_hold_out_are_frozen_and_learned_anew() -> None:
    model = build_model("bpr", embedding_size=8, max_epochs=15).fit(two_tastes())
    validations = [point.validation for point in model.curve]
    frozen = model.frozen_config()
    assert frozen["num_epochs"] == int(np.argmax(validations)) + 1
    again = build_model("bpr", **frozen).fit(two_tastes())
    assert [point.validation for point in again.curve] == [None] * frozen["num_epochs"]
    pd.testing.assert_frame_equal(model.recommend(range(100)), again.recommend(range(100)))


def test_a_user_unknown_to_fit_is_folded_in_by_what_was_had() -> None:
    data = two_tastes()
    model = build_model("bpr", embedding_size=8).fit(data)
    history = data.to_frame().assign(user_id=lambda frame: frame["user_id"] + 1000)
    lists = model.recommend(range(1000, 1100), k=10, history=history)
    assert ((lists["item_id"] - lists["user_id"]) % 2 == 0).mean() > 0.99


def test_a_folded_in_vector_is_what_least_squares_foretell_from_the_items() -> None:
    data = two_tastes()
    model = build_model("bpr", embedding_size=4, num_epochs=5).fit(data)
    assert isinstance(model, Bpr)
    had_UN = np.zeros((100, 40))
    had_UN[data.users, data.items] = 1
    z_UD = np.column_stack([had_UN @ model._items_ND[:, :-1] / np.sqrt(had_UN.sum(axis=1, keepdims=True)), np.ones(100)])
    normal = z_UD.T @ z_UD + np.diag([1.0] * 4 + [0.0])
    expected = z_UD @ np.linalg.solve(normal, z_UD.T @ model._users_UD[:, :-1])
    pairs = pd.DataFrame({"user_id": [1003] * 2, "item_id": [7, 8]})
    history = data.to_frame().query("user_id == 3").assign(user_id=1003)
    scores = np.append(expected[3], 1) @ model._items_ND[[7, 8]].T
    np.testing.assert_allclose(model.score(pairs, history=history), scores, rtol=1e-4, atol=1e-5)
