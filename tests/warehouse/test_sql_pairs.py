"""user_item_histories.sql and user_tastes.sql: a handful of rows in and out."""

from __future__ import annotations

from bowerbird.warehouse.inputs import statement
from tests.warehouse.log import Rows, day, log, recipe, run

SHOP = """
    1 ann tea view
    2 ann tea purchase
    3 ann cup view
    4 ann pot refund
    2 bob tea view
    6 bob cup view
"""


def rows(name: str, *, cut_off: float) -> Rows:
    con = log(SHOP)
    con.execute(
        "create temp table items as select * from (values"
        " ('tea', ['drink', 'hot', 'hot']), ('cup', ['ware']), ('pot', null)) as rows (item_id, categories)"
    )
    run(con, "user_profiles", cut_off=cut_off, recipe=recipe())  # makes the views
    return con.execute(statement(name), {"cut_off": day(cut_off)}).fetchall()


def test_user_item_history_tells_how_often_how_strongly_and_how_lately() -> None:
    assert rows("user_item_histories", cut_off=6) == [
        ("ann", "cup", 1, 1.0, 3.0),
        ("ann", "tea", 2, 5.0, 4.0),
        ("bob", "tea", 1, 1.0, 4.0),
    ]


def test_tastes_are_parts_of_the_evidence_and_a_repeated_category_counts_once() -> None:
    assert rows("user_tastes", cut_off=6) == [
        ("ann", "drink", 5 / 6),
        ("ann", "hot", 5 / 6),
        ("ann", "ware", 1 / 6),
        ("bob", "drink", 1.0),
        ("bob", "hot", 1.0),
    ]


def test_events_at_the_cut_off_do_not_count() -> None:
    assert rows("user_item_histories", cut_off=2) == [("ann", "tea", 1, 1.0, 1.0)]
    assert rows("user_tastes", cut_off=2) == [("ann", "drink", 1.0), ("ann", "hot", 1.0)]
