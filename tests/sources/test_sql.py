"""Each statement of the ingest, with a handful of rows in and rows out."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from bowerbird.sources.steps import read_sql

A, B, C = (f"{letter}" * 32 for letter in "abc")


@pytest.fixture
def rows(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Two files: a comes twice in the first and once in the second, c is in the table already, one row is broken."""
    con.execute(
        f"""
        create table staged as select file::integer as file, source_row::bigint as source_row, broken::bigint as broken,
            identity::uuid as identity, event, timestamp::timestamptz as timestamp, raw, 'i' || source_row as item_id
        from (values
            (0, 1, 0, '{A}', 'view', '2024-01-01', null),
            (0, 2, 0, '{A}', 'view', '2024-01-01', null),
            (0, 3, 0, '{B}', 'cart', '2024-01-03', null),
            (0, 4, 0, '{C}', 'view', '2024-01-02', null),
            (1, 1, 0, '{A}', 'view', '2024-01-01', null),
            (1, 2, 6, null, 'view', null, '{{"u":null}}'),
            (1, 3, 6, null, 'view', null, '{{"u":null}}')
        ) as rows(file, source_row, broken, identity, event, timestamp, raw)
        """
    )
    con.execute(f"create table stored as select '{C}' as event_id, timestamptz '2024-01-02' as timestamp")
    return con


def compare(con: duckdb.DuckDBPyConnection, *, keep: bool) -> None:
    con.execute(read_sql("repeated"), {"keep": keep})
    con.execute(read_sql("candidates"))
    con.execute(read_sql("known"))


def sorted_rows(con: duckdb.DuckDBPyConnection, query: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    return sorted(con.execute(query, values or {}).fetchall(), key=repr)


def test_tally_counts_rows_by_what_they_break(rows: duckdb.DuckDBPyConnection) -> None:
    assert rows.execute(read_sql("tally")).fetchall() == [(0, 5), (6, 2)]


def test_repeated_rows_are_dropped_after_the_first(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=False)
    assert sorted_rows(rows, "select file, source_row, ordinal, is_first from repeated") == [
        (0, 1, 1, True),
        (0, 2, 1, False),
        (1, 1, 1, False),
    ]


def test_repeated_rows_that_are_kept_have_an_ordinal_within_their_file(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=True)
    assert sorted_rows(rows, "select file, source_row, ordinal, is_first from repeated") == [
        (0, 1, 1, True),
        (0, 2, 2, True),
        (1, 1, 1, False),
    ]


def test_candidates_are_the_accepted_rows_and_kept_repeats_differ_in_identity(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=True)
    assert sorted_rows(rows, "select count(*), count(distinct identity) filter (is_first) from candidates") == [(5, 4)]
    compare(rows, keep=False)
    assert sorted_rows(rows, "select count(*), count(distinct identity) from candidates") == [(5, 3)]


def test_known_rows_are_those_in_the_table(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=False)
    assert rows.execute("select * from known").fetchall() == [(0, 4)]


def test_new_rows_are_counted_by_event_with_the_late_ones(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=False)
    assert rows.execute(read_sql("new_by_event")).fetchall() == [("cart", 1, 0), ("view", 1, 1)]


def test_fresh_rows_carry_their_id_file_and_run(rows: duckdb.DuckDBPyConnection) -> None:
    compare(rows, keep=False)
    names = [
        row[0] for row in rows.execute(f"describe {read_sql('fresh').replace('$files', '[]').replace('$run_id', '0')}").fetchall()
    ]
    assert names == ["event_id", "source_row", "event", "timestamp", "item_id", "source_file", "run_id"]
    found = sorted_rows(rows, read_sql("fresh"), {"files": ["one.csv", "two.csv"], "run_id": "r1"})
    assert [(row[0], row[1], row[5], row[6]) for row in found] == [(A, 1, "one.csv", "r1"), (B, 3, "one.csv", "r1")]


def test_quarantine_takes_equal_rows_of_one_file_once_each_and_never_again(rows: duckdb.DuckDBPyConnection) -> None:
    rows.execute('create table quarantine (row_key varchar, "table" varchar)')
    values = {"names": ["malformed", "no_user", "no_item"], "files": ["one.csv", "two.csv"], "table": "events", "run_id": "r1"}
    found = sorted_rows(rows, read_sql("quarantine"), values)
    assert [row[:7] for row in found] == [
        ("r1", "events", "two.csv", 2, "no_user", ["no_user", "no_item"], '{"u":null}'),
        ("r1", "events", "two.csv", 3, "no_user", ["no_user", "no_item"], '{"u":null}'),
    ]
    rows.execute("insert into quarantine values ($key, 'events')", {"key": found[0][7]})
    assert [row[3] for row in sorted_rows(rows, read_sql("quarantine"), values)] == [3]
    assert len(sorted_rows(rows, read_sql("quarantine"), {**values, "table": "items"})) == 2


@pytest.mark.parametrize(("name", "key"), [("newest_items", "item_id"), ("newest_users", "user_id")])
def test_last_row_of_an_id_wins_over_the_source_and_the_table(con: duckdb.DuckDBPyConnection, name: str, key: str) -> None:
    con.execute(
        f"""
        create table staged as select * from (values
            (0, 1, 0, null, 'a', 'first'),
            (0, 2, 0, null, 'a', 'second'),
            (1, 1, 0, null, 'b', 'new'),
            (1, 2, 1, '{{}}', null, 'x')
        ) as rows(file, source_row, broken, raw, {key}, title)
        """
    )
    con.execute(f"create table stored as select * from (values ('b', 'old', 1), ('c', 'kept', 2)) as rows({key}, title, extra)")
    con.execute(read_sql(name))
    assert sorted_rows(con, f"select {key}, title, extra from merged") == [
        ("a", "second", None),
        ("b", "new", None),
        ("c", "kept", 2),
    ]
