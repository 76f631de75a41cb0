from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from bowerbird.errors import CheckError
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.recommendation_checks import check_recommendations, require_sound

EVENTS = [("u1", "a", "view"), ("u1", "b", "purchase"), ("u2", "c", "view"), ("u2", "d", "cancel")]
SOUND = [
    ("u1", "a", 0.9, 1, "item_knn"),
    ("u1", "c", 2.0, 2, "fallback"),
    ("u2", "a", 0.9, 1, "item_knn"),
    ("u2", "b", 0.9, 2, "item_knn"),
]
Row = tuple[str | None, str | None, float, int, str]


def broken(lists: Sequence[Row], *, k: int = 2, allowed: list[str] | None = None) -> dict[str, int]:
    with connect() as con:
        con.register("lists", pd.DataFrame(lists, columns=["user_id", "item_id", "score", "rank", "source"]))
        con.register("events", pd.DataFrame(EVENTS, columns=["user_id", "item_id", "event"]))
        found = check_recommendations(con, k=k, allowed=allowed, exclude_events=["purchase"], cancel_events=["cancel"])
    assert len(found) == 8
    return {check["name"]: check["failures"] for check in found if check["failures"]}


def test_sound_set_breaks_nothing() -> None:
    assert broken(SOUND) == {}


def test_gap_in_the_ranks_is_found() -> None:
    assert broken([*SOUND[:3], ("u2", "b", 0.9, 3, "item_knn")]) == {"ranks run from 1 without gaps": 1}


def test_item_twice_in_a_list_is_found() -> None:
    assert broken([*SOUND[:3], ("u2", "a", 0.9, 2, "item_knn")]) == {"the items of a list differ": 1}


def test_list_that_is_too_short_is_found_and_one_that_cannot_be_longer_is_not() -> None:
    assert broken(SOUND[:3]) == {"lists are as long as the catalogue allows": 1}
    assert broken(SOUND, k=3) == {
        "lists are as long as the catalogue allows": 1
    }  # u2 could have c, u1 bought b and d is cancelled
    assert broken(SOUND[:2], k=5) == {}


def test_list_that_is_too_long_is_found() -> None:
    assert broken([SOUND[0], SOUND[2]], k=1) == {}
    assert broken(SOUND, k=1) == {"lists are as long as the catalogue allows": 2}


def test_item_that_may_not_be_recommended_is_found() -> None:
    assert broken(SOUND, allowed=["a", "b"]) == {"items may be recommended": 1}


def test_excluded_item_is_found() -> None:
    lists = [SOUND[0], ("u1", "b", 0.5, 2, "item_knn"), *SOUND[2:]]
    assert broken(lists) == {"nothing is recommended that is excluded": 1}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_score_that_is_not_finite_is_found(score: float) -> None:
    found = broken([*SOUND[:3], ("u2", "b", score, 2, "fallback")])
    assert found == {"scores are finite": 1}


def test_score_that_rises_within_user_and_source_is_found() -> None:
    assert broken([*SOUND[:3], ("u2", "b", 1.0, 2, "item_knn")]) == {"scores fall within user and source": 1}


def test_item_without_name_is_found() -> None:
    assert "user, item and source are named" in broken([*SOUND[:3], ("u2", None, 0.9, 2, "item_knn")])


def test_broken_set_is_refused_with_the_check_and_a_user() -> None:
    with pytest.raises(CheckError, match=r"items differ: 3 failures, such as user 'u7'"):
        require_sound([{"name": "items differ", "failures": 3, "example": "u7"}])
    require_sound([{"name": "items differ", "failures": 0, "example": None}])
