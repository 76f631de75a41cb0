from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.evaluation.metrics import per_user_metrics
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.models.als import Als
from bowerbird.models.base import Model
from bowerbird.testing import ModelConformance


class TestAls(ModelConformance):
    name = "als"
    expected_ndcg = 0.0471
    can_update = True
    update_is_exact = False


class TestAlsInFull(ModelConformance):
    name = "als"
    config: ClassVar[dict[str, Any]] = {"solver": "cholesky", "embedding_size": 16}
    expected_ndcg = 0.0403
    can_update = True
    update_is_exact = False


def random_log(*, num_users: int = 200, num_items: int = 60, num_events: int = 4000) -> Interactions:
    """Draw events of users of two tastes; weights of 0 to 3, repeats included."""
    rng = np.random.default_rng(3)
    users = rng.integers(num_users, size=num_events)
    items = (rng.integers(num_items // 2, size=num_events) ** 2 // (num_items // 2)) * 2 + users % 2
    frame = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": range(num_events)})
    return Interactions.from_frame(frame.assign(weight=rng.integers(0, 4, num_events)))


def tastes(*, num_users: int = 1500, num_items: int = 300, num_events: int = 30) -> pd.DataFrame:
    """Draw a taste of six numbers for each user and item, and for each user the items that fit it best, with some chance."""
    rng = np.random.default_rng(7)
    scores_UN = rng.normal(size=(num_users, 6)) @ rng.normal(size=(6, num_items)) + rng.gumbel(size=(num_users, num_items))
    items_UL = rng.permuted(np.argsort(-scores_UN, axis=1)[:, :num_events], axis=1)
    frame = pd.DataFrame({"user_id": np.repeat(range(num_users), num_events), "item_id": items_UL.ravel()})
    return frame.assign(timestamp=rng.permutation(len(frame)))


def loss(model: Als, **settings: float) -> float:
    """Write the loss out as it stands in the module's docstring."""
    data, settings = model.data, model.config.model_dump() | settings
    weights_UN = np.zeros((data.num_users, data.num_items))
    np.add.at(weights_UN, (data.users, data.items), data.weights)
    confidence_UN = 1 + settings["alpha"] * weights_UN
    users_UD, items_ND = model._users_UD.astype(np.float64), model._items_ND.astype(np.float64)
    total = float((confidence_UN * ((weights_UN > 0) - users_UD @ items_ND.T) ** 2).sum())
    for vectors, sums in ((users_UD, confidence_UN.sum(axis=1)), (items_ND, confidence_UN.sum(axis=0))):
        scale = (sums / sums.mean()) ** settings["frequency_scaling"]
        total += settings["regularization"] * float((scale[:, None] * vectors**2).sum())
    return total


SMALL = {"embedding_size": 8, "regularization": 5.0}


@pytest.mark.parametrize("frequency_scaling", [0.0, 0.5, 1.0])
def test_no_vector_of_a_user_can_be_better(frequency_scaling: float) -> None:
    config = SMALL | {"frequency_scaling": frequency_scaling}
    model = build_model("als", solver="cholesky", **config).fit(random_log())
    assert isinstance(model, Als)
    least = loss(model)
    for step in np.random.default_rng(5).normal(0, 1e-3, (20, *model._users_UD.shape)):
        model._users_UD += step.astype(np.float32)
        assert loss(model) > least
        model._users_UD -= step.astype(np.float32)


def test_a_step_an_epoch_comes_as_near_as_solving_in_full() -> None:
    data = Interactions.from_frame(tastes())
    stepped, full = (build_model("als", solver=solver, **SMALL).fit(data) for solver in ("conjugate_gradient", "cholesky"))
    assert isinstance(stepped, Als)
    assert isinstance(full, Als)
    assert loss(stepped) == pytest.approx(loss(full), rel=0.01)


@pytest.mark.parametrize("solver", ["conjugate_gradient", "cholesky"])
def test_a_user_who_brings_the_same_history_gets_the_same_scores(solver: str) -> None:
    data = random_log()
    model = build_model("als", solver=solver, **SMALL).fit(data)
    pairs = pd.MultiIndex.from_product([data.user_ids, data.item_ids], names=["user_id", "item_id"]).to_frame(index=False)
    history = data.to_frame().assign(user_id=lambda frame: frame["user_id"] + 1000)
    folded = model.score(pairs.assign(user_id=pairs["user_id"] + 1000), history=history)
    np.testing.assert_allclose(folded, model.score(pairs), rtol=1e-3, atol=2e-3)


def test_two_events_of_weight_one_count_as_one_of_weight_two() -> None:
    rows = [("a", "i"), ("a", "j"), ("b", "i"), ("b", "k"), ("c", "j")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=range(5))
    twice = pd.concat([frame, frame.head(1)], ignore_index=True).assign(weight=1.0)
    once = frame.assign(weight=[2.0, 1, 1, 1, 1])
    scores = [build_model("als").fit(Interactions.from_frame(log)).score(frame) for log in (twice, once)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)


CATALOGUE = pd.DataFrame({"item_id": range(60), "categories": [["odd"] if item % 2 else ["even"] for item in range(60)]})
NEW = pd.DataFrame({"item_id": [100, 101, 102], "categories": [["even"], ["odd"], []]})


def with_new_items(**config: Any) -> Model:  # Any: settings
    items = pd.concat([CATALOGUE, NEW], ignore_index=True)
    return build_model("als", feature_regularization=1.0, **SMALL, **config).fit(random_log(), items=items)


@pytest.mark.parametrize("solver", ["conjugate_gradient", "cholesky"])
def test_an_item_without_events_goes_to_those_who_like_its_kind(solver: str) -> None:
    model = with_new_items(solver=solver)
    lists = model.recommend(range(200), k=63)
    new = lists[lists["item_id"] >= 100]
    ranks = new.pivot(index="user_id", columns="item_id", values="rank")
    is_odd = ranks.index.to_numpy() % 2 == 1
    assert (ranks[101] < ranks[100])[is_odd].mean() > 0.95
    assert (ranks[100] < ranks[101])[~is_odd].mean() > 0.95


def test_an_item_without_events_has_what_ridge_regression_says_of_its_features() -> None:
    model = with_new_items(frequency_scaling=0.0)
    vectors_ND = model.item_vectors()
    assert vectors_ND is not None
    is_odd, has_events = model.data.item_ids % 2 == 1, model.data.item_weights() > 0
    kinds_ND = np.stack([~is_odd, is_odd, np.ones(len(is_odd))], axis=1)[has_events].astype(np.float64)
    weights = np.linalg.solve(kinds_ND.T @ kinds_ND + np.eye(3), kinds_ND.T @ vectors_ND[has_events])
    np.testing.assert_allclose(vectors_ND[-3], weights[0] + weights[2], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(vectors_ND[-2], weights[1] + weights[2], rtol=1e-3, atol=1e-4)


def test_an_item_without_events_and_description_is_left_to_popularity() -> None:
    lists = with_new_items().recommend([0], k=63)
    assert lists[lists["item_id"] == 102]["source"].tolist() == ["fallback"]


def test_features_draw_the_vectors_of_rare_items_to_each_other() -> None:
    def spread(model: Model) -> float:
        vectors_ND = model.item_vectors()
        assert vectors_ND is not None
        return float(np.linalg.norm(vectors_ND[:60:2] - vectors_ND[:60:2].mean(axis=0), axis=1).mean())

    assert spread(with_new_items()) < spread(build_model("als", **SMALL).fit(random_log()))


def test_users_who_are_described_alike_come_nearer() -> None:
    users = pd.DataFrame({"user_id": range(200), "country": ["NL" if user % 2 else "CN" for user in range(200)]})

    def spread(**described: pd.DataFrame) -> float:
        model = build_model("als", feature_regularization=1.0, **SMALL).fit(random_log(), **described)
        assert isinstance(model, Als)
        return float(np.linalg.norm(model._users_UD[::2] - model._users_UD[::2].mean(axis=0), axis=1).mean())

    assert spread(users=users) < spread()


def test_an_update_takes_in_users_and_items_that_are_new() -> None:
    data = random_log()
    model = build_model("als", **SMALL).fit(data)
    rows = {"user_id": [999] * 3, "item_id": [1, 3, 777]}
    model.update(Interactions.from_frame(pd.DataFrame(rows | {"timestamp": [5000, 5001, 5002]})))
    lists = model.recommend([999], k=5)
    assert (lists["item_id"] % 2 == 1).mean() > 0.5
    assert set(lists["source"]) == {"als"}
    assert model.score(pd.DataFrame({"user_id": [1], "item_id": [777]})) > 0


def test_an_update_ends_within_two_percent_of_a_full_fit() -> None:
    """A third of each user's items is held out; the last fifth of the rest comes with the update."""
    frame = tastes()
    is_target = np.arange(len(frame)) % 3 == 0
    rest, targets = frame[~is_target], frame[is_target].assign(is_repeat=False)
    is_new = rest["timestamp"] >= 0.8 * len(frame)
    full, updated = (build_model("als", embedding_size=8).fit(Interactions.from_frame(log)) for log in (rest, rest[~is_new]))
    updated.update(Interactions.from_frame(rest[is_new]))
    gains = [per_user_metrics(model.recommend(range(1500)), targets, k=10, metrics=("ndcg",)) for model in (updated, full)]
    difference = paired_difference(gains[0]["ndcg"], gains[1]["ndcg"], seed=1)
    mean = gains[1]["ndcg"].mean()
    assert mean > 0.3, "the log would not tell"
    assert -0.02 * mean < difference.low < difference.high < 0.02 * mean
