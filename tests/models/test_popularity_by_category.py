import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance

DAY = 86_400


class TestPopularityByCategory(ModelConformance):
    name = "popularity_by_category"
    expected_ndcg = 0.0242  # without a catalogue this is popularity
    solves_checkerboard = False
    can_explain = True


CATEGORIES = [["fruit"], ["fruit"], ["tool"], ["tool"], ["fruit", "tool"]]
ITEMS = pd.DataFrame({"item_id": ["fig", "pear", "saw", "nail", "kit"], "categories": CATEGORIES})


def log() -> Interactions:
    """Return popularity fig 6, pear 2, kit 4, saw 1, nail 1 and bag, which has no category, 5; two thirds of ann's are a pear."""
    had = {"ann": ["pear", "saw"], "b": ["fig", "kit"], "c": ["nail"], "d": ["bag"]}
    weights = {"fig": 6.0, "pear": 2.0, "kit": 4.0, "saw": 1.0, "nail": 1.0, "bag": 5.0}
    frame = pd.DataFrame([(user, item) for user, items in had.items() for item in items], columns=["user_id", "item_id"])
    return Interactions.from_frame(frame.assign(timestamp=0, weight=frame["item_id"].map(weights)))


def test_each_category_gives_its_popular_items_by_the_part_of_the_past_in_it() -> None:
    """Fruit weighs 6 + 2 + 4 / 2 = 10 and tools 1 + 1 + 4 / 2 = 4; of ann's past 2 / 3 is fruit."""
    model = build_model("popularity_by_category").fit(log(), items=ITEMS)
    lists = model.recommend(["ann"], k=6, exclude_seen=False)
    fruit, tool = 2 / 3, 1 / 3
    expected = {
        "fig": fruit * 6 / 10,
        "kit": fruit * 2 / 10 + tool * 2 / 4,
        "pear": fruit * 2 / 10,
        "nail": tool * 1 / 4,
        "saw": tool * 1 / 4,
    }
    own = lists[lists["source"] == "popularity_by_category"]
    assert dict(zip(own["item_id"], own["score"], strict=True)) == pytest.approx(expected, rel=1e-5)
    assert lists["item_id"].tolist() == ["fig", "kit", "pear", "nail", "saw", "bag"]
    assert lists["source"].tolist()[-1] == "fallback", "what is in no category of ann's"


def test_items_without_a_category_share_one() -> None:
    model = build_model("popularity_by_category").fit(log(), items=ITEMS)
    lists = model.recommend(["d"], k=2, exclude_seen=False)
    assert lists["item_id"].tolist() == ["bag", "fig"]
    assert lists["source"].tolist() == ["popularity_by_category", "fallback"]


def test_the_past_item_of_the_same_category_is_the_reason() -> None:
    model = build_model("popularity_by_category").fit(log(), items=ITEMS)
    why = model.explain(pd.DataFrame({"user_id": ["ann"] * 3, "item_id": ["fig", "nail", "kit"]}))
    assert why["because"].tolist() == ["pear", "saw", "saw"]
    assert why["share"].tolist() == pytest.approx([1.0, 1.0, (1 / 3 / 2) / (2 / 3 / 5 + 1 / 3 / 2)], rel=1e-5)


def test_popularity_is_counted_as_the_settings_say() -> None:
    frame = pd.DataFrame({"user_id": list("abcc"), "item_id": ["old", "old", "new", "other"], "timestamp": [0, 0, 20 * DAY, 0]})
    items = pd.DataFrame({"item_id": ["old", "new", "other"], "categories": [["x"]] * 3})
    ever, of_late = (
        build_model("popularity_by_category", **config)
        .fit(Interactions.from_frame(frame), items=items)
        .recommend(["c"], k=1, exclude_seen=False)
        for config in ({}, {"half_life_days": 1})
    )
    assert ever["item_id"].tolist() + of_late["item_id"].tolist() == ["old", "new"]
