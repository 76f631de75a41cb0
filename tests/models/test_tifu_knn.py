from math import sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.models import load_model
from bowerbird.testing import ModelConformance

DAY = 86_400


class TestTifuKnn(ModelConformance):
    name = "tifu_knn"
    expected_ndcg = 0.0344
    can_update = True


class TestTifuKnnOfTheNeighboursAlone(ModelConformance):
    name = "tifu_knn"
    config: ClassVar[dict[str, Any]] = {"alpha": 0.0, "num_neighbors": 2, "group_size": 2}
    can_update = True


def log_of(days: dict[str, str], **columns: Any) -> Interactions:  # Any: further columns
    """Read ``{"a": "x xy z"}``: what a user had on each day, one letter an item; days follow each other."""
    rows = [(user, item, day * DAY) for user, text in days.items() for day, items in enumerate(text.split()) for item in items]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(**columns))


def own_scores(data: Interactions, **config: Any) -> dict[str, float]:  # Any: settings of tifu_knn
    lists = build_model("tifu_knn", alpha=1.0, **config).fit(data).recommend(["a"], k=10, exclude_seen=False)
    return {row.item_id: row.score for row in lists.itertuples() if row.source == "tifu_knn"}


def test_groups_are_cut_from_the_newest_basket_back_and_fade_within_and_across() -> None:
    """Five baskets in groups of two: (p) (q r) (s pt)."""
    within, across = 0.9, 0.7
    scores = own_scores(log_of({"a": "p q r s pt"}), group_size=2, within_decay=within, group_decay=across)
    expected = {
        "p": across**2 / 3 + 1 / 2 / 3,
        "q": within / 2 * across / 3,
        "r": 1 / 2 * across / 3,
        "s": within / 2 / 3,
        "t": 1 / 2 / 3,
    }
    assert scores == pytest.approx(expected)


def test_an_item_counts_once_a_basket_by_its_largest_weight() -> None:
    scores = own_scores(log_of({"a": "ppq"}, weight=[0.5, 1.0, 0.5]))
    assert scores == pytest.approx({"p": 1.0, "q": 0.5})


def test_a_session_is_a_basket_and_without_one_a_day_is() -> None:
    """Sessions 1 and 2 on the same day, then a day without: three baskets of one item each, in one group."""
    frame = pd.DataFrame({"user_id": "a", "item_id": list("pqrr"), "timestamp": [0, 60, DAY, DAY + 60]})
    frame["session_id"] = ["first", "second", None, None]
    expected = {"p": 0.81 / 3, "q": 0.9 / 3, "r": 1 / 3}
    assert own_scores(Interactions.from_frame(frame)) == pytest.approx(expected)
    assert own_scores(Interactions.from_frame(frame.drop(columns="session_id"))) == pytest.approx(
        {"p": 0.45, "q": 0.45, "r": 0.5}
    )


def test_sessions_are_kept_by_save_and_by_a_history(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": "a", "item_id": list("pq"), "timestamp": [0, 60], "session_id": ["first", "second"]})
    model = build_model("tifu_knn").fit(Interactions.from_frame(frame))
    lists = model.recommend(["a"], exclude_seen=False)
    assert lists["item_id"].tolist() == ["q", "p"]
    assert model.recommend(["a"], exclude_seen=False, history=frame).equals(lists)
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").recommend(["a"], exclude_seen=False).equals(lists)


def test_neighbours_add_the_mean_of_their_vectors() -> None:
    """Each has one basket: a is nearest to b (cosine 1 / sqrt 2) and c (1 / sqrt 3), and d shares nothing."""
    data = log_of({"a": "p", "b": "pq", "c": "pqr", "d": "z"})
    model = build_model("tifu_knn", alpha=0.6).fit(data)
    lists = model.recommend(["a"], k=4, exclude_seen=False)
    assert dict(zip(lists["item_id"], lists["score"], strict=True)) == pytest.approx(
        {"p": 0.6 + 0.4, "q": 0.4, "r": 0.4 / 2, "z": lists["score"].iloc[3]}
    )
    assert lists["source"].tolist() == ["tifu_knn"] * 3 + ["fallback"]
    near = model.similar_users(["a"])
    assert near["similar_user_id"].tolist() == ["b", "c"]
    assert near["score"].tolist() == pytest.approx([1 / sqrt(2), 1 / sqrt(3)])


def test_a_user_without_neighbours_has_the_own_past() -> None:
    lists = build_model("tifu_knn", alpha=0.6).fit(log_of({"a": "p", "b": "q"})).recommend(["a"], k=1, exclude_seen=False)
    assert lists["item_id"].tolist() == ["p"]
    assert lists["score"].tolist() == pytest.approx([0.6])


def test_a_long_past_that_fades_fast_is_still_known() -> None:
    data = log_of({"a": " ".join(["old"[:1]] + ["n"] * 400)})
    scores = own_scores(data, group_size=1, group_decay=0.01)
    assert set(scores) == {"o", "n"}
    assert np.isfinite(list(scores.values())).all()
