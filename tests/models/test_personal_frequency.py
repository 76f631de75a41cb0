import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance

DAY = 86_400


class TestPersonalFrequency(ModelConformance):
    name = "personal_frequency"
    expected_ndcg = 0.0127  # what is seen is left out, so this is popularity of the last 7 days
    solves_checkerboard = False
    can_update = True
    can_explain = True


def test_counts_fade_with_the_time_before_the_users_last_event() -> None:
    rows = [("a", "milk", 0, 1.0), ("a", "milk", 10, 1.0), ("a", "salt", 20, 1.5), ("a", "seen", 25, 0.0), ("b", "tea", 90, 1.0)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "weight"])
    data = Interactions.from_frame(frame.assign(timestamp=frame["timestamp"] * DAY))
    lists = build_model("personal_frequency", half_life_days=10).fit(data).recommend(["a"], k=4, exclude_seen=False)
    assert lists["item_id"].tolist() == ["salt", "milk", "tea", "seen"]
    assert lists["source"].tolist() == ["personal_frequency"] * 2 + ["fallback"] * 2
    assert lists["score"].head(2).tolist() == pytest.approx([1.5, 1 / 2 + 1 / 4])


def test_an_item_is_its_own_reason() -> None:
    data = Interactions.from_frame(pd.DataFrame({"user_id": ["a", "a"], "item_id": ["tea", "milk"], "timestamp": [0, 1]}))
    why = build_model("personal_frequency").fit(data).explain(pd.DataFrame({"user_id": ["a"], "item_id": ["tea"]}))
    assert why["because"].tolist() == ["tea"]
    assert why["share"].tolist() == [1.0]


def test_a_past_of_many_half_lives_still_comes_before_the_fallback() -> None:
    frame = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["old", "new", "popular"], "timestamp": [0, 20_000 * DAY, 0]})
    model = build_model("personal_frequency", half_life_days=0.5).fit(Interactions.from_frame(frame))
    assert model.recommend(["a"], exclude_seen=False)["item_id"].tolist() == ["new", "old", "popular"]
