from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from bowerbird.recipe_rules import Rules
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.recommendation_checks import broken_in_words, check_recommendations

EVENTS = [("u1", "a", "view"), ("u1", "b", "purchase"), ("u2", "c", "view"), ("u2", "d", "cancel")]
SOUND = [
    ("u1", "a", 0.9, 1, "item_knn"),
    ("u1", "c", 2.0, 2, "fallback"),
    ("u2", "a", 0.9, 1, "item_knn"),
    ("u2", "b", 0.9, 2, "item_knn"),
]
Row = tuple[str | None, str | None, float, int, str]


ITEMS = {"item_id": ["a", "b", "c", "d", "e"], "seller": ["ada", "bob", "ada", "bob", None]}


def broken(
    lists: Sequence[Row],
    *,
    k: int = 2,
    allowed: list[str] | None = None,
    propensity: float | None = None,
    **rules: Any,  # Any: sections
) -> dict[str, int]:
    frame = pd.DataFrame(lists, columns=["user_id", "item_id", "score", "rank", "source"])
    with connect() as con:
        con.register("lists", frame.assign(propensity=pd.Series([propensity] * len(frame), dtype="float64")))
        con.register("events", pd.DataFrame(EVENTS, columns=["user_id", "item_id", "event"]))
        con.register("items", pd.DataFrame(ITEMS))
        con.register("users", pd.DataFrame({"user_id": ["u1", "u2"], "country": ["FR", "DE"]}))
        found = check_recommendations(
            con,
            k=k,
            allowed=allowed,
            exclude_events=["purchase"],
            cancel_events=["cancel"],
            rules=Rules.model_validate(rules),
        )
    assert len(found) == 11
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
    assert broken([*SOUND[:3], ("u2", "b", 1.0, 2, "item_knn")]) == {
        "scores fall within user and source where no rule reorders": 1
    }


def test_score_may_rise_where_a_rule_reorders() -> None:
    assert broken([*SOUND[:3], ("u2", "b", 1.0, 2, "item_knn")], freshness={}) == {}


ONE_A_SELLER = {"quotas": [{"column": "seller", "most": 1}]}


def test_quota_that_is_not_kept_is_found() -> None:
    lists = [("u2", "a", 0.9, 1, "item_knn"), ("u2", "c", 0.8, 2, "item_knn")]  # both are ada's
    assert broken(lists) == {}
    assert broken(lists, **ONE_A_SELLER) == {"quotas are kept": 1}


def test_list_that_quotas_keep_short_is_sound_and_one_that_is_shorter_is_not() -> None:
    both = [("u2", "a", 0.9, 1, "item_knn"), ("u2", "b", 0.8, 2, "item_knn")]
    assert broken(both, k=5, **ONE_A_SELLER) == {}, "c is ada's too"
    assert broken(both[:1], k=5, **ONE_A_SELLER) == {"lists are as long as the catalogue allows": 1}, "bob's b was left out"
    assert broken([("u1", "a", 0.9, 1, "item_knn")], k=5, **ONE_A_SELLER) == {}, "u1 bought b"


def test_pins_alone_may_go_beyond_a_quota() -> None:
    lists = [("u2", "a", 0.0, 1, "pinned"), ("u2", "c", 0.0, 2, "pinned")]
    pins = [{"item": "a", "place": 1}, {"item": "c", "place": 2}]
    assert broken(lists, pins=pins, **ONE_A_SELLER) == {}
    assert broken([*lists[:1], ("u2", "c", 0.5, 2, "item_knn")], pins=pins[:1], **ONE_A_SELLER) == {"quotas are kept": 1}


def test_pin_that_is_missing_or_elsewhere_is_found() -> None:
    assert broken(SOUND, pins=[{"item": "a", "place": 1}]) == {}
    assert broken(SOUND, pins=[{"item": "a", "place": 2}]) == {"pins stand in their places": 2}
    assert broken(SOUND, pins=[{"item": "e", "place": 1}]) == {"pins stand in their places": 2}


def test_pin_is_due_to_its_segment_only_and_never_where_it_is_forbidden() -> None:
    assert broken(SOUND, pins=[{"item": "c", "place": 1, "when": "country = 'FR'"}]) == {"pins stand in their places": 1}
    assert broken(SOUND, pins=[{"item": "c", "place": 1, "when": "country = 'IT'"}]) == {}
    assert broken(SOUND, pins=[{"item": "b", "place": 2}]) == {}, "u1 bought b"
    assert broken(SOUND, pins=[{"item": "e", "place": 1}], allowed=["a", "b", "c"]) == {}


def test_of_two_pins_the_first_is_due() -> None:
    pins = [{"item": "c", "place": 2, "when": "country = 'FR'"}, {"item": "b", "place": 2}]
    assert broken(SOUND, pins=pins) == {}
    assert broken(SOUND, pins=[{**pins[0], "item": "e"}, pins[1]]) == {"pins stand in their places": 1}


@pytest.mark.parametrize(("propensity", "num_broken"), [(None, 4), (0.0, 4), (1.1, 4), (1.0, 0), (0.01, 0)])
def test_propensity_stands_where_chance_decides(propensity: float | None, num_broken: int) -> None:
    assert broken(SOUND, propensity=propensity, exploration={}).get("propensities stand where chance decides", 0) == num_broken


def test_propensity_where_nothing_is_left_to_chance_is_found() -> None:
    assert broken(SOUND, propensity=0.5) == {"propensities stand where chance decides": 4}


def test_item_without_name_is_found() -> None:
    assert "user, item and source are named" in broken([*SOUND[:3], ("u2", None, 0.9, 2, "item_knn")])


def test_what_breaks_a_set_is_told_with_the_check_and_a_user() -> None:
    assert broken_in_words([{"name": "items differ", "failures": 3, "example": "u7"}]) == (
        "items differ: 3 failures, such as user 'u7'"
    )
    assert broken_in_words([{"name": "items differ", "failures": 0, "example": None}]) == ""
