from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance


class TestEase(ModelConformance):
    name = "ease"
    expected_ndcg = 0.0446
    can_update = True
    can_explain = True

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


class TestEaseInBlocks(ModelConformance):
    name = "ease"
    config: ClassVar[dict[str, Any]] = {"max_items": 1, "num_neighbors": 50}
    expected_ndcg = 0.0446
    can_update = True
    can_explain = True


def events(rows: list[tuple[str, str]]) -> Interactions:
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=range(len(rows))))


def random_log(*, num_users: int = 60, num_items: int = 25) -> Interactions:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"user_id": rng.integers(num_users, size=600), "item_id": rng.integers(num_items, size=600)})
    return Interactions.from_frame(frame.assign(timestamp=range(600), weight=rng.integers(0, 4, 600)))


def confidence(data: Interactions) -> NDArray[np.float64]:
    summed_UN = np.zeros((data.num_users, data.num_items))
    np.add.at(summed_UN, (data.users, data.items), data.weights)
    return np.log2(1 + summed_UN)


def weights_of(data: Interactions, **config: float) -> NDArray[np.float64]:
    """Read B off: the score of item i for a user with one event of weight 1 on j; what is not above 0 is missing."""
    model = build_model("ease", **config).fit(data)
    users = [f"has {item}" for item in data.item_ids]
    history = pd.DataFrame({"user_id": users, "item_id": data.item_ids})
    pairs = pd.MultiIndex.from_product([users, data.item_ids], names=["user_id", "item_id"]).to_frame(index=False)
    return model.score(pairs, history=history).reshape(data.num_items, data.num_items)


def test_two_items_foretell_each_other_by_common_users_over_users_plus_lambda() -> None:
    """X'X is 3 and 2 on the diagonal and 2 beside it; ridge on one item is G_ij / (G_ii + lambda)."""
    weights = weights_of(events([("a", "i"), ("a", "j"), ("b", "i"), ("b", "j"), ("c", "i")]), regularization=1.0)
    assert weights[0, 1] == pytest.approx(2 / (3 + 1), rel=1e-6)
    assert weights[1, 0] == pytest.approx(2 / (2 + 1), rel=1e-6)
    assert np.isnan(np.diag(weights)).all(), "no item foretells itself"


@pytest.mark.parametrize("regularization", [1e-3, 1.0, 100.0])
def test_each_column_is_the_ridge_regression_of_an_item_on_all_others(regularization: float) -> None:
    data = random_log()
    x_UN = confidence(data)
    expected = np.zeros((25, 25))
    for item in range(25):
        others = np.delete(np.arange(25), item)
        gram = x_UN[:, others].T @ x_UN[:, others] + regularization * np.eye(24)
        expected[others, item] = np.linalg.solve(gram, x_UN[:, others].T @ x_UN[:, item])
    expected[expected <= 0] = np.nan
    np.testing.assert_allclose(weights_of(data, regularization=regularization), expected, rtol=1e-3, atol=1e-6)


def test_blocks_that_hold_all_items_give_what_the_whole_gives() -> None:
    data = random_log()
    whole, blocks = weights_of(data), weights_of(data, max_items=1, num_neighbors=24)
    np.testing.assert_allclose(blocks, whole, rtol=1e-4, atol=1e-7)


def test_a_block_foretells_an_item_from_its_neighbours_alone() -> None:
    rows = [(user, item) for user in "abc" for item in "ij"] + [("d", "j"), ("d", "k"), ("e", "k")]
    weights = weights_of(events(rows), max_items=1, num_neighbors=1, regularization=1.0)
    assert weights[0, 1] == pytest.approx(3 / (3 + 1), rel=1e-6), "j from i, its nearest"
    assert np.isnan(weights[2, 1]), "and not from k"


def test_strips_of_items_give_what_one_strip_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights_of(random_log())
    monkeypatch.setattr("bowerbird.models.ease.STRIP", 7)
    np.testing.assert_array_equal(weights_of(random_log()), whole)


def test_what_speaks_against_an_item_is_not_named_as_its_reason() -> None:
    data = random_log()
    model = build_model("ease", regularization=1.0).fit(data)
    pairs = model.recommend(data.user_ids, k=5)[["user_id", "item_id"]]
    why = model.explain(pairs)
    x_UN = confidence(data)
    weights = np.nan_to_num(weights_of(data, regularization=1.0))
    for row in why.itertuples():
        gains_N = x_UN[row.user_id] * weights[:, row.item_id]
        assert gains_N[row.because] == pytest.approx(gains_N.max(), rel=1e-5)
        assert row.share == pytest.approx(gains_N.max() / gains_N.sum(), rel=1e-5)


def test_only_the_latest_events_of_a_user_count() -> None:
    data = events([("a", "i"), ("a", "j")])
    assert set(build_model("ease", max_history=1).fit(data).recommend(["a"], exclude_seen=False)["source"]) == {"fallback"}
