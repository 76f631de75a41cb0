"""user_sequences.sql, user_ranges.sql and cooccurrence.sql: a handful of rows in and out."""

from __future__ import annotations

from bowerbird.warehouse.inputs import statement
from tests.warehouse.log import columns, day, log, recipe, run


def test_sequence_lists_what_a_user_did_oldest_first() -> None:
    con = log("3 ann pot view\n1 ann tea view\n2 bob tea view\n2 ann tea purchase")
    ann, bob = run(con, "user_sequences", cut_off=9, recipe=recipe())
    assert ann == {
        "user_id": "ann",
        "item_ids": ["tea", "tea", "pot"],
        "events": ["view", "purchase", "view"],
        "timestamps": [day(1), day(2), day(3)],
    }
    assert bob["item_ids"] == ["tea"]


def test_sequence_leaves_out_what_is_no_evidence() -> None:
    con = log("1 ann tea purchase\n2 ann tea refund\n3 ann cup view\n4 bob tea purchase\n5 bob tea refund")
    rows = run(con, "user_sequences", cut_off=9, recipe=recipe())
    assert columns(rows, "user_id", "item_ids") == [("ann", ["cup"])]


def test_sequences_come_from_the_first_to_the_last_user() -> None:
    con = log("1 ann tea view\n1 bob tea view\n1 cat tea view\n1 dan tea view")
    run(con, "user_sequences", cut_off=9, recipe=recipe())
    bounds = {"cut_off": day(9), "first_user": "bob", "last_user": "cat"}
    assert [row[0] for row in con.execute(statement("user_sequences"), bounds).fetchall()] == ["bob", "cat"]


def test_ranges_keep_users_whole_and_leave_none_out() -> None:
    con = log("")
    con.execute("create temp table interactions as select unnest(['a', 'a', 'a', 'a', 'a', 'b', 'c', 'd', 'd']) as user_id")
    assert con.execute(statement("user_ranges"), {"num_rows": 3}).fetchall() == [("a", "a"), ("b", "b"), ("c", "d")]


def test_pairs_are_directed_and_weigh_one_over_their_distance() -> None:
    con = log("1 ann a view\n2 ann b view\n3 ann c view\n4 ann d view\n5 ann e view")
    rows = run(con, "cooccurrence", cut_off=9, recipe=recipe())
    half, third = 0.5, 2 / 6
    assert columns(rows, "item_id", "next_item_id", "num_pairs", "weight") == [
        ("a", "b", 1, 1.0),
        ("a", "c", 1, half),
        ("a", "d", 1, third),
        ("b", "c", 1, 1.0),
        ("b", "d", 1, half),
        ("b", "e", 1, third),
        ("c", "d", 1, 1.0),
        ("c", "e", 1, half),
        ("d", "e", 1, 1.0),
    ]


def test_pairs_of_all_users_add_up_and_none_spans_two_users() -> None:
    con = log("1 ann a view\n2 ann b view\n1 bob a view\n2 bob x view\n3 bob b view")
    rows = run(con, "cooccurrence", cut_off=9, recipe=recipe())
    pairs = {row[:2]: row[2:] for row in columns(rows, "item_id", "next_item_id", "num_pairs", "weight")}
    assert pairs == {("a", "b"): (2, 1.5), ("a", "x"): (1, 1.0), ("x", "b"): (1, 1.0)}


def test_item_can_follow_itself() -> None:
    rows = run(log("1 ann a view\n2 ann a purchase"), "cooccurrence", cut_off=9, recipe=recipe())
    assert columns(rows, "item_id", "next_item_id", "weight") == [("a", "a", 1.0)]


def test_pairs_skip_what_is_no_evidence() -> None:
    con = log("1 ann a view\n2 ann b purchase\n3 ann b refund\n4 ann c view")
    rows = run(con, "cooccurrence", cut_off=9, recipe=recipe())
    assert columns(rows, "item_id", "next_item_id", "weight") == [("a", "c", 1.0)]
