"""feedback.sql: a handful of rows in and out."""

from __future__ import annotations

from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.inputs import statement
from tests.warehouse.log import day


def test_impressions_of_a_window_come_as_they_stand() -> None:
    rows = [(0.9, "ann", "a", 1), (1, None, "b", 2), (2.5, "ann", "a", 3), (3, "bob", "a", 4)]
    with connect() as con:
        con.execute(
            "create table feedback (timestamp timestamptz, user_id varchar, item_id varchar, position bigint, click bigint, "
            "propensity double, log varchar)"
        )
        con.executemany("insert into feedback values (?, ?, ?, ?, 1, 0.5, 'x')", [(day(at), *rest) for at, *rest in rows])
        found = con.execute(statement("feedback"), {"start": day(1), "end": day(3)}).fetchall()
    assert found == [(None, "b", 2, 1, 0.5), ("ann", "a", 3, 1, 0.5)], "from the start on, and not at the end"
