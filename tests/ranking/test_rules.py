"""Which items a list may hold: each filter alone, on six items that a reader checks by eye."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.ranking.rules import allowed_items, read_shelf, value_codes, warn_of_unknown
from bowerbird.recipe_rules import Rules
from bowerbird.warehouse.connection import connect
from tests.ranking.shelves import AT, ITEMS, NOW, USERS, log

AND_G = pd.DataFrame({"user_id": ["u"], "item_id": ["g"], "event": ["view"]})  # an item of the log that the catalogue lacks


def allowed(items: pd.DataFrame = ITEMS, **rules: Any) -> str | None:  # Any: sections
    with connect() as con:
        con.register("events", pd.concat([log(), AND_G]))
        con.register("items", items)
        found = allowed_items(con, Rules.model_validate(rules), AT)
    return None if found is None else "".join(found)


def test_where_nothing_is_forbidden_all_is_allowed() -> None:
    assert allowed() is None
    assert allowed(blocked_categories=["no such"]) is None


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"blocked_items": ["a", "g"]}, "bcdef"),
        ({"where": ["price < 40"]}, "abc"),  # f has no price, g no row in the catalogue
        ({"where": ["price < 40", "seller != 'ada'"]}, "c"),
        ({"where": ["price is null"]}, "f"),
        ({"categories": ["y", "z"]}, "cef"),
        ({"blocked_categories": ["x"]}, "cefg"),  # nothing is known against g
        ({"categories": ["x"], "blocked_items": ["d"]}, "ab"),
        ({"max_age": "30d"}, "cde"),  # c is just 30 days old
    ],
)
def test_a_filter_leaves_what_it_asks_for(rules: dict[str, Any], expected: str) -> None:  # Any: sections
    assert allowed(**rules) == expected


def test_an_item_is_there_from_its_first_moment_until_just_before_its_last() -> None:
    begins = ITEMS.assign(
        available_from=pd.Series([NOW, NOW + pd.Timedelta(seconds=1), *[pd.NaT] * 4]).astype("datetime64[us, UTC]")
    )
    assert allowed(begins) == "acdefg"
    ends = ITEMS.assign(
        available_until=pd.Series([NOW, NOW + pd.Timedelta(seconds=1), *[pd.NaT] * 4]).astype("datetime64[us, UTC]")
    )
    assert allowed(ends) == "bcdefg"
    assert allowed(ends, availability=False) is None


def test_an_item_from_the_future_is_not_new() -> None:
    later = ITEMS.assign(created_at=pd.Series([NOW + pd.Timedelta(days=1)] * 6).astype("datetime64[us, UTC]"))
    assert allowed(later, max_age="30d") == ""


def test_without_a_catalogue_only_blocked_items_are_forbidden() -> None:
    assert allowed(ITEMS.head(0)) is None
    assert allowed(ITEMS.head(0), blocked_items=["a"]) == "bcdefg"


def test_values_become_codes_and_a_value_twice_counts_once() -> None:
    codes = value_codes(pd.Series([["x", "y"], None, ["y", "y"], []]))
    assert codes.tolist() == [[0, 1], [-1, -1], [1, -1], [-1, -1]]
    assert value_codes(pd.Series(["ada", None, "ada"])).tolist() == [[0], [-1], [0]]
    assert value_codes(pd.Series([], dtype=object)).shape == (0, 1)


def test_names_in_filters_that_nothing_has_are_told(caplog: pytest.LogCaptureFixture) -> None:
    rules = Rules.model_validate({"blocked_items": ["a", "aa"], "categories": ["x"], "blocked_categories": ["yy", "z"]})
    with connect() as con:
        con.register("events", log())
        con.register("items", ITEMS)
        warn_of_unknown(con, rules)
    assert [record.getMessage() for record in caplog.records] == [
        "rules.blocked_items names 'aa', which nothing has; did you mean 'a'?",
        "rules.blocked_categories names 'yy', which nothing has; did you mean 'y'?",
    ]


def test_a_column_that_no_row_brought_is_named() -> None:
    with pytest.raises(
        DataError, match=r"rules.where.0 reads the column 'stock', which no row of the items has; they have item_id"
    ):
        allowed(where=["stock > 0"])


def test_a_pin_of_an_unknown_item_is_refused_with_the_closest_known_one() -> None:
    rules = Rules.model_validate({"pins": [{"item": "A", "place": 1}, {"item": "aa", "place": 2}]})
    with connect() as con, pytest.raises(DataError, match=r"which neither the catalogue nor the log knows"):
        for name, frame in {"events": log(), "items": ITEMS, "users": USERS}.items():
            con.register(name, frame)
        read_shelf(con, rules, ITEMS["item_id"].to_numpy(), allowed=None, at=AT)
