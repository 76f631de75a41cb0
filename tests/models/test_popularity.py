from typing import Any

import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance
from bowerbird.testing.lists import list_of

DAY = 86_400


class TestPopularity(ModelConformance):
    name = "popularity"
    expected_ndcg = 0.0242
    solves_checkerboard = False
    can_update = True


class TestRecentPopularity(ModelConformance):
    name = "popularity"
    expected_ndcg = 0.001
    config = {"window_days": 7, "min_events": 10, "half_life_days": 3}  # noqa: RUF012  read only
    solves_checkerboard = False
    can_update = True


def log() -> Interactions:
    """Return the days 0, 8, 9, 10 with weights 4, 1, 2, 1; ``old`` is the most popular of all time, ``new`` of late."""
    rows = [("a", "old", 0, 4.0), ("b", "mid", 8, 1.0), ("c", "new", 9, 2.0), ("d", "mid", 10, 0.5), ("e", "none", 10, 0.0)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "weight"])
    return Interactions.from_frame(frame.assign(timestamp=frame["timestamp"] * DAY))


def scores(**config: Any) -> dict[str, float]:  # Any: settings of popularity
    lists = build_model("popularity", **config).fit(log()).recommend(["e"], k=4)
    return {row.item_id: row.score for row in lists.itertuples() if row.source == "popularity"}


def test_all_time_sums_the_weights() -> None:
    assert scores() == pytest.approx({"old": 4, "new": 2, "mid": 1.5}, rel=1e-5)


def test_a_window_leaves_out_what_is_older_and_ranks_it_last() -> None:
    assert scores(window_days=7, min_events=1) == pytest.approx({"new": 2, "mid": 1.5, "old": 0}, rel=1e-5, abs=1e-5)


def test_a_window_is_widened_until_it_holds_enough_events() -> None:
    assert scores(window_days=0.5, min_events=2) == pytest.approx({"new": 2, "mid": 0.5, "old": 0}, rel=1e-5, abs=1e-5)
    assert scores(window_days=0.5, min_events=4) == pytest.approx({"old": 4, "new": 2, "mid": 1.5}, rel=1e-5)


def test_weights_are_halved_with_each_half_life() -> None:
    expected = {"new": 2 / 2, "mid": 1 / 4 + 0.5, "old": 4 / 2**10}
    assert scores(half_life_days=1) == pytest.approx(expected, rel=1e-5)


def test_items_without_evidence_come_last_and_are_named_fallback() -> None:
    lists = build_model("popularity").fit(log()).recommend(["a"], k=5)
    assert list_of(lists, "a") == ["new", "mid", "none"]
    assert lists["source"].tolist() == ["popularity", "popularity", "fallback"]


def test_all_time_breaks_the_ties_of_a_window_then_the_item_id() -> None:
    rows = [("a", "y", 0), ("a", "y", 1), ("b", "y", 50), ("c", "x", 50), ("d", "w", 50)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    data = Interactions.from_frame(frame.assign(timestamp=frame["timestamp"] * DAY))
    model = build_model("popularity", window_days=1, min_events=1).fit(data)
    assert list_of(model.recommend(["nobody"]), "nobody") == ["y", "w", "x"]
