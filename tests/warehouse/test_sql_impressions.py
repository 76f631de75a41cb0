"""The statements on logged impressions: a handful of rows in and out."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.inputs import statement

SHOWN = [  # window, place, user, item, position, click, propensity
    (0, 0, "bob", "pen", 2, 1, 0.5),
    (0, 1, "ann", "ink", 1, 0, 0.25),
    (0, 2, "ann", "cap", 4, 1, 0.1),  # below the list
    (0, 3, None, "pen", 1, 1, 0.1),  # nobody's
    (1, 0, "cid", "ink", 3, 0, 1.0),
    (1, 1, "bob", "ink", 1, 0, 0.5),
]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        columns = (
            "window_number int, place bigint, user_id varchar, item_id varchar, position bigint, click bigint, propensity double"
        )
        opened.execute(f"create table shown ({columns})")
        opened.executemany("insert into shown values (?, ?, ?, ?, ?, ?, ?)", SHOWN)
        yield opened


def test_impressions_are_counted_with_those_that_have_a_user_and_a_place(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute(statement("impression_counts"), {"k": 3}).fetchall() == [(6, 5, 4, 3, 0.25)]


def test_users_and_items_are_numbered_as_they_come(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute(statement("impression_users"), {"k": 3}).fetchall() == [("bob", 0), ("ann", 1), ("cid", 2)]
    assert con.execute(statement("impression_items"), {"k": 3}).fetchall() == [("pen", 0), ("ink", 1)]


def test_impressions_are_ordered_by_window_and_block_of_users(con: duckdb.DuckDBPyConnection) -> None:
    for name in ("impression_users", "impression_items"):
        con.execute(f"create table {name} as {statement(name)}", {"k": 3})
    rows = con.execute(statement("impressions"), {"k": 3, "block": 2}).fetchall()
    assert rows == [(0, 0, 0, 1, 1.0, 0.5), (0, 1, 1, 0, 0.0, 0.25), (1, 0, 1, 0, 0.0, 0.5), (1, 2, 1, 2, 0.0, 1.0)]
