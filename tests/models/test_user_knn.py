from math import log, sqrt
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.models.deletion import explain_by_deletion
from bowerbird.testing import ModelConformance


class TestUserKnn(ModelConformance):
    name = "user_knn"
    expected_ndcg = 0.0346
    can_update = True


class TestUserKnnJaccard(ModelConformance):
    name = "user_knn"
    config: ClassVar[dict[str, Any]] = {"similarity": "jaccard", "significance": 3}
    can_update = True


def log_of_three() -> Interactions:
    """Return c = log(1 + weight): a has i, j with log 2; b has i with log 3 (twice) and k with log 2; c has j."""
    rows = [("a", "i"), ("a", "j"), ("b", "i"), ("b", "i"), ("b", "k"), ("c", "j")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(frame.assign(timestamp=range(len(rows))))


PAIRS = pd.DataFrame({"user_id": ["a", "c", "b"], "item_id": ["k", "i", "j"]})


@pytest.mark.parametrize("shrinkage", [0.0, 2.0])
def test_scores_are_cosine_times_what_the_neighbour_had(shrinkage: float) -> None:
    model = build_model("user_knn", shrinkage=shrinkage).fit(log_of_three())
    norm_a, norm_b, norm_c = sqrt(2) * log(2), sqrt(log(3) ** 2 + log(2) ** 2), log(2)
    cos_ab = log(2) * log(3) / (norm_a * norm_b + shrinkage)
    cos_ac = log(2) * log(2) / (norm_a * norm_c + shrinkage)
    assert model.score(PAIRS).tolist() == pytest.approx([cos_ab * log(2), cos_ac * log(2), cos_ab * log(2)])


def test_jaccard_counts_items_that_both_and_that_either_had() -> None:
    model = build_model("user_knn", similarity="jaccard", shrinkage=1.0).fit(log_of_three())
    both, either = {"ab": 1, "ac": 1}, {"ab": 3, "ac": 2}
    expected = [both["ab"] / (either["ab"] + 1), both["ac"] / (either["ac"] + 1), both["ab"] / (either["ab"] + 1)]
    assert model.score(PAIRS).tolist() == pytest.approx([share * log(2) for share in expected])


@pytest.mark.parametrize("similarity", ["cosine", "jaccard"])
def test_similarities_that_rest_on_few_common_items_are_scaled_down(similarity: str) -> None:
    rows = [(user, item) for user, items in {"a": "ijkx", "b": "ijky", "c": "iz"}.items() for item in items]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=0)
    frame["weight"] = np.arange(len(frame)) + 1.0
    data = Interactions.from_frame(frame)
    plain, careful = (
        build_model("user_knn", similarity=similarity, significance=significance).fit(data).similar_users(["a"])
        for significance in (1, 2)
    )
    assert plain["similar_user_id"].tolist() == careful["similar_user_id"].tolist() == ["b", "c"]
    assert (careful["score"] / plain["score"]).tolist() == pytest.approx([1.0, 1 / 2])


def random_log(*, num_users: int = 50, num_items: int = 40, has_equal_weights: bool) -> Interactions:
    rng = np.random.default_rng(1)
    had_UN = rng.random((num_users, num_items)) < np.linspace(0.05, 0.5, num_users)[:, None]
    users, items = np.nonzero(had_UN)
    weights = 1.0 if has_equal_weights else rng.integers(1, 5, len(users)).astype(float)
    return Interactions.from_frame(pd.DataFrame({"user_id": users, "item_id": items, "timestamp": 0, "weight": weights}))


def similarity_of(data: Interactions, *, similarity: str, shrinkage: float, significance: int) -> np.ndarray:
    """Write the formulas of the module out; [U, U]."""
    c_UN = np.zeros((data.num_users, data.num_items))
    c_UN[data.users, data.items] = np.log1p(data.weights)
    had_UN = (c_UN > 0).astype(float)
    common_UU = had_UN @ had_UN.T
    norms_U = np.linalg.norm(c_UN, axis=1)
    cosine_UU = c_UN @ c_UN.T / (np.outer(norms_U, norms_U) + shrinkage)
    either_UU = had_UN.sum(axis=1)[:, None] + had_UN.sum(axis=1) - common_UU
    similarity_UU = cosine_UU if similarity == "cosine" else common_UU / (either_UU + shrinkage)
    similarity_UU *= np.minimum(common_UU, significance) / significance
    np.fill_diagonal(similarity_UU, 0)
    return similarity_UU


@pytest.mark.parametrize("similarity", ["cosine", "jaccard"])
@pytest.mark.parametrize("has_equal_weights", [True, False])
@pytest.mark.parametrize("is_dense", [True, False])
def test_the_nearest_are_those_of_the_formula_from_fit_and_from_a_history(
    similarity: str, has_equal_weights: bool, is_dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bowerbird.models.neighbours.DENSE_IS_CHEAPER", 1e6 if is_dense else 0.0)
    monkeypatch.setattr("bowerbird.models.neighbours.PANEL_WIDTH", 16)
    monkeypatch.setattr("bowerbird.models.neighbours.BLOCK_PRODUCTS", 500)
    data = random_log(has_equal_weights=has_equal_weights)
    config = {"similarity": similarity, "shrinkage": 2.0, "significance": 6}
    model = build_model("user_knn", num_neighbors=5, **config).fit(data)
    expected_UU = similarity_of(data, **config)
    near = model.similar_users(data.user_ids, k=5)
    assert near["rank"].tolist() == [1, 2, 3, 4, 5] * data.num_users
    np.testing.assert_allclose(near["score"], (-np.sort(-expected_UU, axis=1)[:, :5]).ravel(), rtol=1e-5)
    np.testing.assert_allclose(near["score"], expected_UU[near["user_id"], near["similar_user_id"]], rtol=1e-5)
    own = model.recommend(data.user_ids, k=10)
    from_history = model.recommend(data.user_ids, k=10, history=data)
    assert own["source"].tolist() == from_history["source"].tolist()
    np.testing.assert_allclose(own["score"], from_history["score"], rtol=1e-5)


def test_a_new_user_is_compared_with_all_by_the_history_given() -> None:
    model = build_model("user_knn", shrinkage=0.0).fit(log_of_three())
    history = pd.DataFrame({"user_id": ["new", "new"], "item_id": ["i", "j"]})
    lists = model.recommend(["new"], k=3, history=history, exclude_seen=False)
    scores = dict(zip(lists["item_id"], lists["score"], strict=True))
    norm_b = sqrt(log(3) ** 2 + log(2) ** 2)
    cos_a, cos_b, cos_c = 1.0, log(2) * log(3) / (sqrt(2) * log(2) * norm_b), 1 / sqrt(2)
    expected = {"i": cos_a * log(2) + cos_b * log(3), "j": (cos_a + cos_c) * log(2), "k": cos_b * log(2)}
    assert scores == pytest.approx(expected)


def test_only_the_nearest_users_are_listened_to_ties_by_number_of_items_then_id() -> None:
    rows = [("z", "tea"), ("y", "tea"), ("y", "milk"), ("x", "tea"), ("x", "rum"), ("new", "tea")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=0)
    model = build_model("user_knn", num_neighbors=2, shrinkage=0.0).fit(Interactions.from_frame(frame))
    for history in (None, frame[frame["user_id"] == "new"]):
        lists = model.recommend(["new"], k=3, history=history)
        assert lists["item_id"].tolist() == ["rum", "milk"]
        assert lists["source"].tolist() == ["user_knn", "fallback"], "z is nearest, and x comes before y"


def test_users_without_a_common_item_are_left_to_the_fallback() -> None:
    lists = build_model("user_knn").fit(log_of_three()).recommend(["c"], k=2)
    assert lists["item_id"].tolist() == ["i", "k"]
    assert lists["source"].tolist() == ["user_knn", "fallback"]


def test_similar_users_leave_out_unknown_users_and_answer_each_once() -> None:
    near = build_model("user_knn").fit(log_of_three()).similar_users(["c", "nobody", "c"], k=5)
    assert near[["user_id", "similar_user_id", "rank"]].to_numpy().tolist() == [["c", "a", 1]]


def test_only_the_latest_events_of_a_user_count() -> None:
    model = build_model("user_knn", max_history=1).fit(log_of_three())
    assert set(model.recommend(["a", "b"], exclude_seen=False)["source"]) == {"user_knn", "fallback"}
    assert model.similar_users(["a", "b", "c"])[["user_id", "similar_user_id"]].to_numpy().tolist() == [["a", "c"], ["c", "a"]]


def test_a_past_item_is_named_only_if_the_score_falls_without_it() -> None:
    rows = [(user, item) for user, items in {"a": "ijx", "b": "ijk", "c": "xy"}.items() for item in items]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=range(len(rows)))
    model = build_model("user_knn").fit(Interactions.from_frame(frame))
    why = explain_by_deletion(model, pd.DataFrame({"user_id": ["a", "a"], "item_id": ["k", "y"]}))
    assert why["because"].tolist()[0] in {"i", "j"}
    assert why["because"].tolist()[1] == "x"
