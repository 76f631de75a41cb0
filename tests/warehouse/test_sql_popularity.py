"""item_popularity.sql: a handful of rows in and out."""

from __future__ import annotations

from tests.warehouse.log import columns, log, recipe, run

WINDOWS = ("_1d", "_7d", "_28d", "")


def test_windows_trail_the_cut_off() -> None:
    con = log("""
        0 ann tea view
        2 ann tea purchase
        23 ann tea view
        23 bob tea view
        29.5 ann tea view
    """)
    (tea,) = run(con, "item_popularity", cut_off=30, recipe=recipe())
    assert [tea["num_events" + window] for window in WINDOWS] == [1, 3, 4, 5]
    assert [tea["weight" + window] for window in WINDOWS] == [1.0, 3.0, 7.0, 8.0]
    assert [tea["num_users" + window] for window in WINDOWS] == [1, 2, 2, 2]


def test_window_holds_its_first_moment_but_not_the_cut_off() -> None:
    con = log("1 ann tea view\n2 bob tea view")
    (tea,) = run(con, "item_popularity", cut_off=2, recipe=recipe())
    assert (tea["num_events_1d"], tea["num_users_1d"], tea["num_events"]) == (1, 1, 1)


def test_item_without_evidence_has_no_popularity() -> None:
    con = log("1 ann tea purchase\n2 ann tea refund\n2 ann cup view")
    rows = run(con, "item_popularity", cut_off=9, recipe=recipe())
    assert columns(rows, "item_id", "num_events", "num_events_7d", "weight_1d") == [("cup", 1, 1, 0.0)]
