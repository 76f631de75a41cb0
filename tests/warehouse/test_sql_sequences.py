"""user_sequences.sql and cooccurrence.sql: a handful of rows in and out."""

from __future__ import annotations

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
