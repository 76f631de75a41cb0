from math import log, sqrt

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance


class TestItemKnn(ModelConformance):
    name = "item_knn"
    expected_ndcg = 0.0312
    can_update = True
    can_explain = True


def log_of_three() -> Interactions:
    """Return x = log(1 + weight): a has i, j with log 2; b has i with log 3 (twice) and k with log 2; c has j."""
    rows = [("a", "i"), ("a", "j"), ("b", "i"), ("b", "i"), ("b", "k"), ("c", "j")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(frame.assign(timestamp=range(len(rows))))


@pytest.mark.parametrize("shrinkage", [0.0, 2.0])
def test_scores_are_confidence_times_cosine(shrinkage: float) -> None:
    model = build_model("item_knn", shrinkage=shrinkage).fit(log_of_three())
    norm_i, norm_j, norm_k = sqrt(log(2) ** 2 + log(3) ** 2), sqrt(2) * log(2), log(2)
    cos_ij = log(2) * log(2) / (norm_i * norm_j + shrinkage)
    cos_ik = log(3) * log(2) / (norm_i * norm_k + shrinkage)
    scores = model.score(pd.DataFrame({"user_id": ["c", "b", "a"], "item_id": ["i", "j", "k"]}))
    assert scores.tolist() == pytest.approx([log(2) * cos_ij, log(3) * cos_ij, log(2) * cos_ik])


def test_an_item_without_common_users_is_left_to_the_fallback() -> None:
    lists = build_model("item_knn").fit(log_of_three()).recommend(["c"], k=2)
    assert lists["item_id"].tolist() == ["i", "k"]
    assert lists["source"].tolist() == ["item_knn", "fallback"]


def test_only_the_nearest_neighbours_are_kept_ties_by_item_id() -> None:
    rows = [("a", "hub"), ("a", "z"), ("b", "hub"), ("b", "y"), ("c", "hub"), ("c", "x")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=0)
    model = build_model("item_knn", num_neighbors=2).fit(Interactions.from_frame(frame))
    lists = model.recommend(["new"], k=3, history=pd.DataFrame({"user_id": ["new"], "item_id": ["hub"]}))
    assert lists["item_id"].tolist() == ["x", "y", "z"]
    assert lists["source"].tolist() == ["item_knn", "item_knn", "fallback"]


def test_only_the_latest_events_of_a_user_count() -> None:
    model = build_model("item_knn", max_history=1).fit(log_of_three())
    assert set(model.recommend(["a", "b", "c"])["source"]) == {"fallback"}, "nobody has two items within one event"


def test_blocks_of_items_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_model("item_knn").fit(log_of_three()).recommend(["a", "b", "c"])
    monkeypatch.setattr("bowerbird.models.neighbours.BLOCK_PRODUCTS", 1)
    assert build_model("item_knn").fit(log_of_three()).recommend(["a", "b", "c"]).equals(whole)


def simple_neighbours(x: np.ndarray, kind: str, alpha: float, shrinkage: float) -> np.ndarray:
    """Write the formulas of the module out, for a dense users x items with ones."""
    idf = np.maximum(0, np.log(x.shape[1]) - np.log1p(x.sum(axis=1)))[:, None]
    length = 0.25 + 0.75 * x.sum(axis=0) / x.sum(axis=0).mean()
    weighted = {"tfidf": x * idf, "bm25": x * 2.2 / (1.2 * length + x) * idf, "jaccard": x}.get(kind, x * log(2))
    product, squares = weighted.T @ weighted, (weighted**2).sum(axis=0)
    if kind == "bm25":
        divisor = np.ones_like(product)
    elif kind == "jaccard":
        divisor = x.sum(axis=0)[:, None] + x.sum(axis=0) - product + shrinkage
    else:
        power = alpha if kind == "asymmetric_cosine" else 0.5
        divisor = squares[:, None] ** power * squares ** (1 - power) + shrinkage
    similar = product / divisor
    np.fill_diagonal(similar, 0)
    return similar


@pytest.mark.parametrize("kind", ["cosine", "asymmetric_cosine", "tfidf", "bm25", "jaccard"])
@pytest.mark.parametrize("is_dense", [True, False])
def test_the_nearest_are_those_of_the_formula_in_panels_and_in_sparse_products(
    kind: str, is_dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bowerbird.models.neighbours.DENSE_IS_CHEAPER", 1e6 if is_dense else 0.0)
    monkeypatch.setattr("bowerbird.models.neighbours.PANEL_WIDTH", 16)
    monkeypatch.setattr("bowerbird.models.neighbours.NUM_GROUPS", 8)
    monkeypatch.setattr("bowerbird.models.neighbours.MAX_CANDIDATES", 200)
    monkeypatch.setattr("bowerbird.models.neighbours.SORTED", 100)
    x = (np.random.default_rng(1).random((60, 50)) < np.linspace(0.05, 0.5, 50)).astype(float)
    x[np.arange(50), np.arange(50)] = 1
    users, items = np.nonzero(x)
    data = Interactions.from_frame(pd.DataFrame({"user_id": users, "item_id": items, "timestamp": 0}))
    model = build_model("item_knn", similarity=kind, alpha=0.3, shrinkage=2.0, num_neighbors=4).fit(data)
    lists = model.similar_items(range(50), k=4)
    expected = simple_neighbours(x, kind, 0.3, 2.0)
    best = -np.sort(-expected, axis=1)[:, :4]
    assert lists["rank"].tolist() == [1, 2, 3, 4] * 50
    np.testing.assert_allclose(lists["score"], best.ravel(), rtol=1e-5)
    np.testing.assert_allclose(lists["score"], expected[lists["item_id"], lists["similar_item_id"]], rtol=1e-5)


def test_similar_items_leave_out_unknown_items_and_answer_each_once() -> None:
    lists = build_model("item_knn").fit(log_of_three()).similar_items(["k", "comet", "k"], k=5)
    assert lists[["item_id", "similar_item_id", "rank"]].to_numpy().tolist() == [["k", "i", 1]]


class TestItemKnnJaccard(ModelConformance):
    name = "item_knn"
    config = {"similarity": "jaccard"}  # noqa: RUF012  read only
    can_update = True
    can_explain = True


class TestItemKnnTfidf(ModelConformance):
    name = "item_knn"
    config = {"similarity": "tfidf"}  # noqa: RUF012  read only
    can_update = True
    can_explain = True


class TestItemKnnBm25(ModelConformance):
    name = "item_knn"
    config = {"similarity": "bm25"}  # noqa: RUF012  read only
    can_update = True
    can_explain = True
