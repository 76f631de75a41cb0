"""user_profiles.sql and item_profiles.sql: a handful of rows in and out."""

from __future__ import annotations

from tests.warehouse.log import day, log, recipe, run

SHOP = """
    1 ann tea view session_id=s1 price=2
    1 ann tea purchase session_id=s1 price=3
    4 ann cup purchase session_id=s2 quantity=1
    5 ann cup refund
    2 bob tea view
"""


def test_user_profile_tells_how_much_how_widely_how_often_and_how_lately() -> None:
    ann, bob = run(log(SHOP), "user_profiles", cut_off=6, recipe=recipe())
    assert ann == {
        "user_id": "ann",
        "num_events": 3,
        "num_evidence": 2,
        "num_targets": 1,
        "num_items": 2,
        "num_sessions": 2,
        "weight": 5.0,
        "first_timestamp": day(1),
        "last_timestamp": day(4),
        "days_since_last": 2.0,
        "mean_gap_days": 1.5,
        "mean_price": 2.5,
    }
    assert (bob["num_events"], bob["num_sessions"], bob["mean_gap_days"], bob["mean_price"]) == (1, 0, None, None)


def test_item_profile_tells_what_was_done_with_an_item() -> None:
    cup, tea = run(log(SHOP), "item_profiles", cut_off=6, recipe=recipe())
    assert (cup["num_events"], cup["num_evidence"], cup["num_targets"], cup["weight"]) == (1, 0, 0, 0.0)
    assert tea == {
        "item_id": "tea",
        "has_catalogue": False,
        "title": None,
        "categories": None,
        "price": None,
        "created_at": None,
        "age_days": 5.0,
        "num_events": 3,
        "num_evidence": 3,
        "num_targets": 1,
        "num_users": 2,
        "weight": 6.0,
        "first_timestamp": day(1),
        "last_timestamp": day(2),
        "mean_price": 2.5,
    }


def test_item_profile_joins_the_catalogue_and_keeps_items_nobody_has_seen() -> None:
    con = log("3 ann tea view")
    con.execute(
        "create temp table items (item_id varchar, title varchar, categories varchar[], price double, created_at timestamptz)"
    )
    con.execute(
        "insert into items values ('tea', 'Green tea', ['drink', 'hot'], 4.5, $made), ('pot', 'Pot', null, 9, null)",
        {"made": day(1)},
    )
    pot, tea = run(con, "item_profiles", cut_off=6, recipe=recipe())
    assert (tea["title"], tea["categories"], tea["price"], tea["age_days"]) == ("Green tea", ["drink", "hot"], 4.5, 5.0)
    assert (pot["title"], pot["num_events"], pot["num_users"], pot["weight"], pot["age_days"]) == ("Pot", 0, 0, 0.0, None)


def test_item_created_at_the_cut_off_is_not_known_yet() -> None:
    con = log("3 ann tea view")
    con.execute("create temp table items as select 'new' as item_id, $made as created_at", {"made": day(6)})
    assert [row["item_id"] for row in run(con, "item_profiles", cut_off=6, recipe=recipe())] == ["tea"]


def test_catalogue_may_lack_columns() -> None:
    con = log("3 ann tea view")
    con.execute("create temp view items as select 'tea' as item_id, 'Green tea' as title")
    (tea,) = run(con, "item_profiles", cut_off=6, recipe=recipe())
    assert (tea["title"], tea["price"], tea["has_catalogue"]) == ("Green tea", None, True)
