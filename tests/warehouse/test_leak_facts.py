"""What leak checks read, on a handful of rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from bowerbird.warehouse.leak_facts import RowDates, arrivals, counts_across, dates_of, newest_in, numbers_of
from tests.warehouse.log import day, log, recipe


def at(number: float) -> int:
    return int(day(number).timestamp() * 1_000_000)


def catalogue(con: duckdb.DuckDBPyConnection, rows: str, columns: str) -> duckdb.DuckDBPyConnection:
    con.execute(f"create or replace temp table items as select * from (values {rows}) as rows ({columns})")
    con.execute("create or replace temp table users (user_id varchar)")
    return con


def test_items_without_an_earlier_event_come_when_the_catalogue_or_else_the_log_says() -> None:
    con = log("1 ann tea view\n5 ann cup view\n6 bob cup view\n7 ann jug view\n8 ann pot view")
    rows = """
        ('tea', timestamptz '2026-01-09', null), ('jug', timestamptz '2026-01-07', timestamptz '2026-01-20'),
        ('pot', null, timestamptz '2026-01-08'), ('mug', null, null)
    """
    found = arrivals(catalogue(con, rows, "item_id, created_at, available_from"), at(5))
    told = [(row.item_id, row.told_by if isinstance(row.told_by, str) else None) for row in found.itertuples()]
    assert told == [("cup", "first event"), ("jug", "created_at"), ("mug", None), ("pot", "available_from")]
    assert found["came_at"].dt.day.tolist()[:2] == [6, 7]


def test_counts_are_cut_at_the_cut_off_and_know_what_counts_as_success() -> None:
    con = log(
        "1 ann tea view\n2 ann tea purchase rating=5\n5 bob tea purchase rating=5\n6 bob tea purchase rating=1\n6 ann cup view"
    )
    found = counts_across(con, recipe(target_when="rating >= 3"), at(5)).set_index(["described", "id"])
    names = [f"{of}_{side}" for of in ("events", "targets", "others") for side in ("before", "after")]
    assert found.loc[("items", "tea"), names].tolist() == [2, 2, 1, 1, 1, 1]
    assert found.loc[("items", "cup"), names].tolist() == [0, 1, 0, 0, 0, 1]
    assert found.loc[("users", "ann"), names].tolist() == [2, 1, 1, 0, 1, 1]
    assert found.loc[("users", "bob"), names].tolist() == [0, 2, 0, 1, 0, 1]


def test_later_events_are_dealt_into_halves_by_who_brings_them_and_ratings_and_times_are_told_apart():
    lines = [f"{number} u{number} tea view rating={number}" for number in range(1, 9)]
    con = log("\n".join([*lines, "8 u8 tea view rating=6", "2 ann cup view"]))
    row = counts_across(con, recipe(target_when="rating >= 3"), at(5)).set_index(["described", "id"]).loc[("items", "tea")]
    assert (row["events_before"], row["events_after"], row["events_recent"]) == (4, 5, 3), "days 2 to 4 are as long ago as 5 to 8"
    assert (row["valued_before"], row["value_before"], row["valued_after"], row["value_after"]) == (4, 10, 5, 5 + 6 + 7 + 8 + 6)
    assert 0 < row["events_half"] < 5 and 0 < row["others_half"] < 4
    assert [round((row[name] - at(0) / 1e6) / 86400) for name in ("first_moment", "last_before", "last_after")] == [1, 4, 8]
    assert max(row["last_half"], row["last_other_half"]) == row["last_after"]
    assert counts_across(con, recipe(), at(5)).set_index("id").loc["cup", "valued_after"] == 0


def test_columns_of_numbers_are_found_in_texts_too() -> None:
    rows = "('b', 'B', '1.5', 'x', 2, null, ['1']), ('a', 'A', null, '3', 1, null, ['2'])"
    con = catalogue(log(""), rows, "item_id, title, sold, mixed, price, empty, categories")
    found = numbers_of(con, "items")
    assert list(found.columns) == ["item_id", "sold", "price"]
    assert found["item_id"].tolist() == ["a", "b"] and found["sold"].tolist()[1] == 1.5 and found["price"].tolist() == [1, 2]


def test_dates_count_for_what_was_there_before_and_planned_columns_are_left_aside() -> None:
    con = log("1 ann tea view\n2 ann cup view\n6 ann jug view\n9 ann tea view")
    rows = """
        ('tea', timestamptz '2026-01-07', '2026-01-06 00:00:00', timestamptz '2026-01-08', '5'),
        ('cup', timestamptz '2026-01-07', '2026-01-09T12:00:00', timestamptz '2026-03-01', 'x'),
        ('jug', timestamptz '2026-01-07', '2026-01-06', null, null)
    """
    found = list(dates_of(catalogue(con, rows, "item_id, created_at, updated_at, sale_ends, shelf"), "items", at(5)))
    assert found == [
        RowDates("updated_at", num_ahead=0, num_young=2, first=("tea", datetime(2026, 1, 6, tzinfo=UTC))),
        RowDates("sale_ends", num_ahead=1, num_young=1, first=("tea", datetime(2026, 1, 8, tzinfo=UTC))),
    ]


def test_the_newest_time_of_a_file_is_found_in_lists_too(tmp_path: Path) -> None:
    con = log("1 ann tea view\n2 ann cup view")
    path = tmp_path / "sequences.parquet"
    query = "select user_id, list(timestamp) as times, min(timestamp) as first, null::timestamptz as none from events group by 1"
    con.execute(f"copy ({query}) to '{path}'")
    assert newest_in(con, path) == {"times": day(2), "first": day(1)}
