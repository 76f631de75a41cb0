from math import log, sqrt

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
