from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNet

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance


class TestSlim(ModelConformance):
    name = "slim"
    expected_ndcg = 0.0511
    can_update = True
    can_explain = True

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


class TestSlimOfBothSignsWithoutAllProducts(ModelConformance):
    name = "slim"
    config: ClassVar[dict[str, Any]] = {"is_non_negative": False, "max_items": 1, "regularization": 1.0}
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


def weights_of(data: Interactions, **config: Any) -> NDArray[np.float64]:  # Any: settings of slim
    """Return W; of both signs, what is not above 0 cannot be seen from outside."""
    return build_model("slim", **config).fit(data)._matrix.toarray()


def elastic_nets(
    x_UN: NDArray[np.float64], near_NN: NDArray[np.bool_], *, l1: float, l2: float, positive: bool
) -> NDArray[np.float64]:
    """Fit each item on the items that ``near_NN`` allows with scikit-learn, whose penalties are divided by the users."""
    num_users, num_items = x_UN.shape
    weights_NN = np.zeros((num_items, num_items))
    for item in range(num_items):
        net = ElasticNet(
            alpha=(l1 + l2) / num_users,
            l1_ratio=l1 / (l1 + l2),
            fit_intercept=False,
            positive=positive,
            tol=1e-10,
            max_iter=50_000,
        )
        allowed = np.flatnonzero(near_NN[:, item])
        weights_NN[allowed, item] = net.fit(x_UN[:, allowed], x_UN[:, item]).coef_
    return weights_NN


@pytest.mark.parametrize("is_non_negative", [True, False])
@pytest.mark.parametrize("max_items", [1, 1000])
@pytest.mark.parametrize(("l1", "l2"), [(1.0, 0.5), (0.1, 20.0)])
def test_columns_are_the_elastic_nets_of_scikit_learn(is_non_negative: bool, max_items: int, l1: float, l2: float) -> None:
    data = random_log()
    config = {"regularization": l2, "l1_regularization": l1, "is_non_negative": is_non_negative, "max_items": max_items}
    x_UN = confidence(data)
    share_a_user_NN = (x_UN.T @ x_UN > 0) & ~np.eye(data.num_items, dtype=bool)
    expected = elastic_nets(x_UN, share_a_user_NN, l1=l1, l2=l2, positive=is_non_negative)
    weights = weights_of(data, max_iterations=10_000, **config)
    np.testing.assert_allclose(weights, expected, atol=1e-4)
    assert (weights.min() < 0) == (not is_non_negative)


def test_an_item_is_foretold_by_its_nearest_alone() -> None:
    data = random_log()
    x_UN = confidence(data)
    cosine_NN = x_UN.T @ x_UN / np.outer(np.linalg.norm(x_UN, axis=0), np.linalg.norm(x_UN, axis=0))
    np.fill_diagonal(cosine_NN, 0)
    near_NN = cosine_NN >= -np.sort(-cosine_NN, axis=0)[3]
    weights = weights_of(data, num_neighbors=4, regularization=1.0, l1_regularization=0.5, max_iterations=10_000)
    np.testing.assert_allclose(weights, elastic_nets(x_UN, near_NN, l1=0.5, l2=1.0, positive=True), atol=1e-4)


def test_blocks_of_items_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights_of(random_log(), max_iterations=10_000)
    monkeypatch.setattr("bowerbird.models.slim.BLOCK_PRODUCTS", 1)
    np.testing.assert_allclose(weights_of(random_log(), max_iterations=10_000), whole, atol=1e-4)


def test_two_items_foretell_each_other_by_common_users_less_l1_over_users_plus_l2() -> None:
    """X'X is 3 and 2 on the diagonal and 2 beside it."""
    data = events([("a", "i"), ("a", "j"), ("b", "i"), ("b", "j"), ("c", "i")])
    weights = weights_of(data, regularization=1.0, l1_regularization=0.5)
    assert weights.tolist() == [[0.0, pytest.approx(1.5 / (3 + 1))], [pytest.approx(1.5 / (2 + 1)), 0.0]]


def test_a_penalty_above_all_products_leaves_lists_to_popularity() -> None:
    model = build_model("slim", l1_regularization=100.0).fit(random_log())
    assert set(model.recommend([0, 1, 2], k=3)["source"]) == {"fallback"}


def test_only_the_latest_events_of_a_user_count() -> None:
    data = events([("a", "i"), ("a", "j")])
    assert set(build_model("slim", max_history=1).fit(data).recommend(["a"], exclude_seen=False)["source"]) == {"fallback"}
