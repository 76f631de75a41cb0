from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.errors import DataError
from bowerbird.models import load_model
from bowerbird.models.base import Model
from bowerbird.ranking.evidence import evidence
from bowerbird.testing import ModelConformance

DAY = 86_400


class TestPopularityBySegment(ModelConformance):
    name = "popularity_by_segment"
    config: ClassVar[dict[str, Any]] = {"segment": "country"}
    solves_checkerboard = False

    def fit(self, frame: pd.DataFrame, *, seed: int = 1) -> Model:
        """Fit with a segment for every user of the frame, in turn."""
        users = pd.DataFrame({"user_id": frame["user_id"].unique()})
        countries = ["FR", "DE", None]
        users["country"] = [countries[place % 3] for place in range(len(users))]
        return self.build(seed=seed).fit(Interactions.from_frame(frame), users=users)

    def test_user_with_a_history_of_unknown_items_is_cold(self, fitted: Model) -> None:
        """A segment is known whatever the history is."""
        lists = fitted.recommend(["ann"], k=3, history=pd.DataFrame({"user_id": ["ann"], "item_id": ["comet"]}))
        assert set(lists["source"]) == {self.name}


class TestPopularityBySegmentWithoutUsers(ModelConformance):
    name = "popularity_by_segment"
    config: ClassVar[dict[str, Any]] = {"segment": "country"}
    expected_ndcg = 0.0242  # popularity, as a fallback
    solves_checkerboard = False


USERS = pd.DataFrame({"user_id": ["a", "b", "c", "d", "silent"], "segment": ["home", "home", "shop", None, "shop"]})


def log() -> Interactions:
    """Return tea 3 and rum 1 at home, rum 1 and nail 4 in the shop, and salt 10 from somebody who is in no segment."""
    rows = [("a", "tea", 3.0), ("b", "rum", 1.0), ("c", "rum", 1.0), ("c", "nail", 4.0), ("d", "salt", 10.0)]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "weight"]).assign(timestamp=0))


def scores_of(model: Model, user: str) -> dict[str, float]:
    lists = model.recommend([user], k=5, exclude_seen=False)
    return {row.item_id: row.score for row in lists.itertuples() if row.source == "popularity_by_segment"}


def test_users_get_what_is_popular_in_their_segment_drawn_towards_everybodys() -> None:
    model = build_model("popularity_by_segment", smoothing=1.9).fit(log(), users=USERS)
    everybody = {"tea": 0.3, "rum": 0.2, "nail": 0.4, "salt": 1.0}  # 1.9 of 3, 2, 4 and 10, in all 19
    home, shop = {"tea": 3.0, "rum": 1.0}, {"rum": 1.0, "nail": 4.0}
    for user, own in (("a", home), ("c", shop)):
        expected = {item: own.get(item, 0) + part for item, part in everybody.items()}
        assert scores_of(model, user) == pytest.approx(expected, rel=1e-5)


def test_a_user_with_a_segment_needs_no_events(tmp_path: Path) -> None:
    model = build_model("popularity_by_segment", smoothing=0.0).fit(log(), users=USERS)
    model.save(tmp_path / "model")
    for one in (model, load_model(tmp_path / "model")):
        lists = one.recommend(["silent"], k=3)
        assert lists["item_id"].tolist() == ["nail", "rum", "salt"]
        assert lists["source"].tolist() == ["popularity_by_segment"] * 2 + ["fallback"]


def test_users_without_a_segment_get_everybodys_list() -> None:
    model = build_model("popularity_by_segment").fit(log(), users=USERS)
    for user in ("d", "stranger"):
        lists = model.recommend([user], k=4, exclude_seen=False)
        assert lists["item_id"].tolist() == ["salt", "nail", "tea", "rum"]
        assert set(lists["source"]) == {"fallback"}


def test_what_is_seen_and_what_is_not_allowed_is_left_out() -> None:
    model = build_model("popularity_by_segment", smoothing=1.0).fit(log(), users=USERS)
    assert model.recommend(["c"], k=3)["item_id"].tolist() == ["salt", "tea"]
    assert model.recommend(["silent"], k=3, candidates=["tea", "rum"])["item_id"].tolist() == ["rum", "tea"]


def test_weights_are_halved_with_each_half_life_and_end_with_the_window() -> None:
    frame = pd.DataFrame({"user_id": "a", "item_id": ["old", "mid", "new"], "timestamp": [0, 8 * DAY, 10 * DAY]})
    frame = frame.assign(weight=[9.0, 3.0, 1.0])
    config = {"smoothing": 0.0, "half_life_days": 2, "window_days": 5, "min_events": 1}
    model = build_model("popularity_by_segment", **config).fit(Interactions.from_frame(frame), users=USERS)
    assert scores_of(model, "a") == pytest.approx({"mid": 1.5, "new": 1.0})


def test_a_column_that_users_lack_is_an_error_that_names_those_they_have() -> None:
    with pytest.raises(DataError, match=r"no column 'segmnt'; they have .'segment'.; did you mean 'segment'"):
        build_model("popularity_by_segment", segment="segmnt").fit(log(), users=USERS)


def test_the_reason_is_the_segment() -> None:
    model = build_model("popularity_by_segment").fit(log(), users=USERS)
    lists = model.recommend(["silent", "stranger"], k=1)
    assert evidence(model, lists)["reason"].tolist() == ["popular in the segment", "popular"]
