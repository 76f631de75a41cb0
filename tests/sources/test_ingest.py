from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bowerbird.errors import DataError, RecipeError, SourceError
from bowerbird.recipe import Recipe
from bowerbird.sources.ingest import ingest
from bowerbird.sources.intake import IngestReport, TooManyRejectsError
from bowerbird.store.home import Home
from tests.sources.small import NOW, events_recipe, rows_of

HEADER = "user,item,at\n"


def take(home: Home, source: Path, recipe: Recipe | None = None, run_id: str = "r1") -> IngestReport:
    return ingest(home, recipe or events_recipe(), source, run_id, now=NOW)


def write(source: Path, text: str, name: str = "events.csv") -> None:
    (source / name).write_text(text, encoding="utf-8", newline="")


def reasons(report: IngestReport, table: str = "events") -> dict[str, int]:
    return {reason: num for reason, num in report.tables[table].quarantined.items() if num}


def test_every_row_is_accepted_a_duplicate_or_in_quarantine(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\nu1,a,2024-01-01\n,b,2024-01-02\nu2,b,2024-01-03\n")
    report = take(home, source)
    events = report.tables["events"]
    assert (events.read, events.accepted, reasons(report), events.duplicates) == (4, 2, {"missing_user": 1}, 1)
    assert "events: 4 rows read = 2 accepted + 1 quarantined + 1 duplicates" in report.messages
    assert rows_of(home, "events", "user_id, item_id, event, timestamp, source_file, source_row, run_id") == [
        ("u1", "a", "view", datetime(2024, 1, 1, tzinfo=UTC), "events.csv", 1, "r1"),
        ("u2", "b", "view", datetime(2024, 1, 3, tzinfo=UTC), "events.csv", 4, "r1"),
    ]
    (rejected,) = rows_of(home, "quarantine", 'run_id, "table", source_file, source_row, reason, reasons, raw')
    assert rejected[:6] == ("r1", "events", "events.csv", 3, "missing_user", ["missing_user"])
    assert json.loads(rejected[6]) == {"user": None, "item": "b", "at": "2024-01-02"}


def test_row_counts_once_under_the_first_rule_and_keeps_all_its_reasons(home: Home, source: Path) -> None:
    write(source, HEADER + ",,nonsense\n")
    with pytest.raises(DataError):
        take(home, source)
    (row,) = rows_of(home, "quarantine", "reason, reasons")
    assert row == ("missing_user", ["missing_user", "missing_item", "unreadable_timestamp"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("u1,a", "malformed_row"),
        (" ,a,2024-01-01", "missing_user"),
        ('u1,"",2024-01-01', "missing_item"),
        ("x" * 10_000 + ",a,2024-01-01", "id_too_long"),
        ("u1," + "x" * 513 + ",2024-01-01", "id_too_long"),
        ("u1,a,", "missing_timestamp"),
        ("u1,a,yesterday", "unreadable_timestamp"),
        ("u1,a,infinity", "unreadable_timestamp"),
        ("u1,a,1969-12-31", "timestamp_out_of_range"),
        ("u1,a,2024-06-02T00:00:01Z", "timestamp_in_future"),
    ],
)
def test_bad_row_goes_to_quarantine_with_its_reason(home: Home, source: Path, row: str, reason: str) -> None:
    write(source, HEADER + f"u1,a,2024-06-01T23:59:59Z\n{row}\n")
    report = take(home, source)
    assert reasons(report) == {reason: 1}
    assert report.tables["events"].accepted == 1
    assert rows_of(home, "quarantine", "reason, reasons, source_row") == [(reason, [reason], 2)]


@pytest.mark.parametrize("price", ["inf", "nan", "-inf", "1e999", "ten"])
def test_number_that_is_none_is_rejected_and_a_missing_one_is_not(home: Home, source: Path, price: str) -> None:
    write(source, f"user,item,at,price\nu1,a,2024-01-01,\nu2,a,2024-01-01,{price}\n")
    recipe = events_recipe(columns={"user_id": "user", "item_id": "item", "timestamp": "at", "price": "price"})
    assert reasons(take(home, source, recipe)) == {"not_finite": 1}


def test_nan_in_parquet_is_no_finite_number(home: Home, source: Path) -> None:
    table = pa.table({"user": [1.0, 2.0], "item": ["a", "b"], "at": ["2024-01-01"] * 2, "price": [float("nan"), None]})
    pq.write_table(table, source / "events.parquet")
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "price": "price"}
    report = take(home, source, events_recipe(path="events.parquet", columns=columns))
    assert (reasons(report), report.tables["events"].accepted) == ({"not_finite": 1}, 1)


def test_ids_with_quotes_semicolons_and_line_breaks_are_data(home: Home, source: Path) -> None:
    evil = "'; drop table events; --"
    write(source, HEADER + f'"{evil}","a\nb;\'c""d",2024-01-01\n')
    take(home, source)
    assert rows_of(home, "events", "user_id, item_id") == [(evil, "a\nb;'c\"d")]


def test_column_and_file_names_with_quotes_are_data(home: Home, source: Path) -> None:
    name = "it's; a $file.csv"
    columns = {"user_id": 'the "user" $x\';', "item_id": "item", "timestamp": "at"}
    write(source, '"the ""user"" $x\';",item,at\nu1,a,2024-01-01\n,b,2024-01-01\n', name)
    take(home, source, events_recipe(path=name, columns=columns))
    assert rows_of(home, "events", "user_id, source_file") == [("u1", name)]
    assert json.loads(rows_of(home, "quarantine", "raw")[0][0])['the "user" $x\';'] is None


def test_ids_are_trimmed_and_keep_their_digits(home: Home, source: Path) -> None:
    write(source, HEADER + " u0 ,\u00a0a\u3000,2024-01-01\n030,003,2024-01-01\n")
    take(home, source)
    assert rows_of(home, "events", "user_id, item_id") == [("030", "003"), ("u0", "a")]


def test_whole_floats_lose_their_fraction_as_ids(home: Home, source: Path) -> None:
    at = [datetime(2024, 1, 1)] * 3
    pq.write_table(pa.table({"user": [13085.0, None, 1.5], "item": [1, 2, 3], "at": at}), source / "events.parquet")
    report = take(home, source, events_recipe(path="events.parquet"))
    assert rows_of(home, "events", "user_id, item_id") == [("1.5", "3"), ("13085", "1")]
    assert reasons(report) == {"missing_user": 1}


# ---- time


@pytest.mark.parametrize(
    ("text", "spec", "expected"),
    [
        ("2024-01-01 10:00", {}, "2024-01-01T10:00"),
        ("2024-01-01T10:00:00.123456Z", {}, "2024-01-01T10:00:00.123456"),
        ("2024-01-01 10:00:00+02", {}, "2024-01-01T08:00"),
        ("2024-01-01T10:00:00-05:30", {}, "2024-01-01T15:30"),
        ("2024-01-01", {"time_zone": "Europe/Berlin"}, "2023-12-31T23:00"),
        ("2023-07-01 10:00", {"time_zone": "Europe/London"}, "2023-07-01T09:00"),
        ("964982703", {"time_format": "unix_s"}, "2000-07-30T18:45:03"),
        ("964982703.5", {"time_format": "unix_s"}, "2000-07-30T18:45:03.5"),
        ("964982703123", {"time_format": "unix_ms"}, "2000-07-30T18:45:03.123"),
        ("964982703123456", {"time_format": "unix_us"}, "2000-07-30T18:45:03.123456"),
        ("12/1/10 8:26", {"time_format": ["%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M"]}, "2010-12-01T08:26"),
        ("2010-12-01 08:26:00", {"time_format": ["%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M"]}, "2010-12-01T08:26"),
        ("01.02.2024 10:00 +0100", {"time_format": "%d.%m.%Y %H:%M %z"}, "2024-02-01T09:00"),
    ],
)
def test_times_read_in_every_format(home: Home, source: Path, text: str, spec: dict[str, Any], expected: str) -> None:
    write(source, HEADER + f"u1,a,{text}\n")
    take(home, source, events_recipe(**spec))
    assert rows_of(home, "events", "timestamp") == [(datetime.fromisoformat(expected).replace(tzinfo=UTC),)]


def test_typed_times_are_taken_as_they_are(home: Home, source: Path) -> None:
    for name, kind in (("1", pa.timestamp("us", "UTC")), ("2", pa.timestamp("ns")), ("3", pa.timestamp("s"))):
        at = pa.array([datetime(2024, 1, 1, 10)], kind)
        pq.write_table(pa.table({"user": [name], "item": ["a"], "at": at}), source / f"{name}.parquet")
    take(home, source, events_recipe(path="*.parquet", time_zone="Europe/Berlin"))
    utc, berlin = datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 9, tzinfo=UTC)
    assert rows_of(home, "events", "user_id, timestamp") == [("1", utc), ("2", berlin), ("3", berlin)]


def test_seconds_given_for_milliseconds_are_unreadable_rather_than_wrong(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,1704067200000000\nu1,a,1704067200\n")
    assert reasons(take(home, source, events_recipe(time_format="unix_s"))) == {"unreadable_timestamp": 1}


# ---- event types and conditions


def test_event_types_come_from_cases_then_the_column_then_the_constant(home: Home, source: Path) -> None:
    write(
        source,
        "user,item,at,kind,code\nu1,a,2024-01-01,cart,1\nu1,b,2024-01-01,,1\nu1,c,2024-01-01,cart,C1\nu1,d,2024-01-01,odd,1\n",
    )
    recipe = events_recipe(
        columns={"user_id": "user", "item_id": "item", "timestamp": "at", "event": "kind", "session_id": "code"},
        event_when=[{"event": "cancel", "when": "session_id starts with 'C'"}],
        weights={"view": 1.0, "cart": 2.0, "purchase": 3.0},
        cancels={"cancel": "purchase"},
    )
    report = take(home, source, recipe)
    assert rows_of(home, "events", "item_id, event") == [("a", "cart"), ("b", "view"), ("c", "cancel")]
    assert reasons(report) == {"unknown_event": 1}
    assert report.tables["events"].by_event == {"cancel": 1, "cart": 1, "view": 1}


def test_rows_that_only_when_leaves_out_are_not_counted(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\nu2,a,2024-01-01\nu3\n")
    report = take(home, source, events_recipe(only_when="user_id = 'u1'"))
    assert (report.tables["events"].read, reasons(report)) == (2, {"malformed_row": 1})


def test_file_stem_and_extra_columns_are_kept(home: Home, source: Path) -> None:
    write(source, "user,item,at,rating\nu1,a,2024-01-01,4.5\n", "log one.csv")
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "rating": "rating", "log": "file_stem"}
    take(home, source, events_recipe(path="*.csv", columns=columns))
    assert rows_of(home, "events", "rating, log") == [("4.5", "log one")]


def test_joined_columns_make_an_id_and_a_missing_part_makes_none(home: Home, source: Path) -> None:
    lines = ["shop,customer,item,day,hour", *(f"{who},a,2024-01-01,10:30:00" for who in ("north, 7 ", "south,7", "south,"))]
    write(source, "\n".join(lines))
    columns = {
        "user_id": {"join": ["shop", "customer"], "separator": "/"},
        "item_id": "item",
        "timestamp": {"join": ["day", "hour"], "separator": " "},
    }
    report = take(home, source, events_recipe(columns=columns))
    assert reasons(report) == {"missing_user": 1}
    expected = datetime(2024, 1, 1, 10, 30, tzinfo=UTC)
    assert rows_of(home, "events", "user_id, timestamp") == [("north/7", expected), ("south/7", expected)]


def test_what_a_path_tells_is_a_column_that_may_be_joined(home: Home, source: Path) -> None:
    for name in ("men/2024-01-01.csv", "women/2024-01-02.csv"):
        (source / name).parent.mkdir()
        write(source, "user,item\nu1,3\n", name)
    columns = {"user_id": "user", "item_id": {"join": ["campaign", "item"]}, "timestamp": "day", "part": ["campaign"]}
    recipe = events_recipe(path="*/*.csv", path_pattern=r"(?P<campaign>\w+)/(?P<day>[0-9-]+)\.csv", columns=columns)
    take(home, source, recipe)
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]
    assert rows_of(home, "events", "item_id, timestamp, part") == [("men|3", days[0], "men"), ("women|3", days[1], "women")]


def test_a_file_whose_path_does_not_match_is_an_error(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n")
    with pytest.raises(SourceError, match=r"events.csv does not match path_pattern, '\(\?P<day>\[0-9\]\+\)'"):
        take(home, source, events_recipe(path_pattern="(?P<day>[0-9]+)"))


def test_a_joined_column_that_is_not_there_is_an_error(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n")
    columns = {"user_id": {"join": ["user", "shp"]}, "item_id": "item", "timestamp": "at"}
    with pytest.raises(SourceError, match=r"events\.csv has no column 'shp'"):
        take(home, source, events_recipe(columns=columns))


def test_rules_of_the_recipe_come_after_those_of_every_log_in_their_order(home: Home, source: Path) -> None:
    write(source, "user,item,at,price\nu1,POST,2024-01-01,0\n,POST,2024-01-01,1\nu1,123,2024-01-01,0\nu1,123,2024-01-01,2\n")
    recipe = events_recipe(
        columns={"user_id": "user", "item_id": "item", "timestamp": "at", "price": "price"},
        contracts={
            "max_rejected_share": 1.0,
            "rules": [
                {"name": "not_a_product", "column": "item_id", "matches": "[0-9]+"},
                {"name": "zero_price", "column": "price", "above": 0},
            ],
        },
    )
    report = take(home, source, recipe)
    assert reasons(report) == {"missing_user": 1, "not_a_product": 1, "zero_price": 1}
    assert report.tables["events"].broken["not_a_product"] == 2
    assert [row[0] for row in rows_of(home, "quarantine", "reasons")] == [
        ["missing_user", "not_a_product"],
        ["not_a_product", "zero_price"],
        ["zero_price"],
    ]


# ---- once is enough


def test_same_file_twice_adds_nothing_and_makes_no_commit(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\nu1,a,2024-01-01\n,b,2024-01-02\n")
    first = take(home, source)
    second = take(home, source, run_id="r2")
    assert (first.committed, second.committed) == (["quarantine", "events"], [])
    assert second.versions == first.versions
    events = second.tables["events"]
    assert (events.accepted, events.duplicates, reasons(second)) == (0, 2, {"missing_user": 1})


def test_renamed_copy_and_grown_file_add_the_new_rows_only(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n,b,2024-01-02\n")
    take(home, source)
    (source / "events.csv").rename(source / "copy.csv")
    write(source, HEADER + "u1,a,2024-01-01\n,b,2024-01-02\n,b,2024-01-02\nu2,a,2024-01-05\n")
    report = take(home, source, events_recipe(path="*.csv"), run_id="r2")
    assert (report.tables["events"].accepted, report.tables["events"].duplicates) == (1, 2)
    assert rows_of(home, "quarantine", "source_file, source_row") == [("events.csv", 2), ("events.csv", 3)]
    assert rows_of(home, "events", "user_id, run_id") == [("u1", "r1"), ("u2", "r2")]


def test_equal_rows_of_one_file_are_kept_where_the_recipe_says_so(home: Home, source: Path) -> None:
    keep = events_recipe(contracts={"duplicates": "keep"})
    write(source, HEADER + "u1,a,2024-01-01\n" * 3 + "u2,b,2024-01-01\n")
    assert take(home, source, keep).tables["events"].accepted == 4
    write(source, HEADER + "u1,a,2024-01-01\n" * 4)
    again = take(home, source, keep, run_id="r2").tables["events"]
    assert (again.accepted, again.duplicates) == (1, 3)
    assert len(set(rows_of(home, "events", "event_id"))) == 5


def test_equal_rows_of_two_files_are_one_event_even_where_they_are_kept(home: Home, source: Path) -> None:
    keep = events_recipe(path="*.csv", contracts={"duplicates": "keep"})
    write(source, HEADER + "u1,a,2024-01-01\n" * 2, "a.csv")
    write(source, HEADER + "u1,a,2024-01-01\n" * 3, "b.csv")
    report = take(home, source, keep)
    assert (report.tables["events"].accepted, report.tables["events"].duplicates) == (3, 2)


def test_mapped_event_id_is_the_identity(home: Home, source: Path) -> None:
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "event_id": "id"}
    write(source, "user,item,at,id\nu1,a,2024-01-01,1\nu1,a,2024-01-01,2\nu9,z,2024-01-09,1\nu1,a,2024-01-01,\n")
    report = take(home, source, events_recipe(columns=columns))
    assert (report.tables["events"].accepted, report.tables["events"].duplicates) == (3, 1)
    assert rows_of(home, "events", "user_id, source_row") == [("u1", 1), ("u1", 2), ("u1", 4)]


def test_fields_that_join_to_the_same_text_are_different_events(home: Home, source: Path) -> None:
    write(source, "user,item,at,x,y\nu,a,2024-01-01,ab,c\nu,a,2024-01-01,a,bc\nu,a,2024-01-01,,abc\nu,a,2024-01-01,abc,\n")
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "x": "x", "y": "y"}
    assert take(home, source, events_recipe(columns=columns)).tables["events"].accepted == 4


def test_the_same_event_in_csv_and_parquet_is_one(home: Home, source: Path) -> None:
    write(source, "user,item,at,price\n7,a,2024-01-01 10:00,2.50\n", "one.csv")
    at = [datetime(2024, 1, 1, 10)]
    pq.write_table(pa.table({"user": [7.0], "item": ["a "], "at": at, "price": [2.5]}), source / "one.parquet")
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "price": "price"}
    report = take(home, source, events_recipe(path="one.*", columns=columns))
    assert (report.tables["events"].accepted, report.tables["events"].duplicates) == (1, 1)


def test_kill_between_the_two_commits_is_completed_by_the_next_run(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n,b,2024-01-02\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bowerbird.sources.ingest.write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            take(home, source)
    assert (len(rows_of(home, "quarantine")), len(rows_of(home, "events"))) == (1, 0)
    assert take(home, source, run_id="r2").committed == ["events"]
    assert (len(rows_of(home, "quarantine")), len(rows_of(home, "events"))) == (1, 1)


def test_scratch_of_a_killed_ingest_is_removed(home: Home, source: Path) -> None:
    left = home.path / "ingest.left behind"
    left.mkdir()
    write(source, HEADER + "u1,a,2024-01-01\n")
    take(home, source)
    assert not list(home.path.glob("ingest.*"))


def test_late_events_are_accepted_and_told(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-03-01\nu1,b,2024-01-01\n")
    assert take(home, source).tables["events"].late == 0
    write(source, HEADER + "u2,a,2024-02-01\nu2,a,2024-04-01\n")
    report = take(home, source, run_id="r2")
    assert report.tables["events"].late == 1
    assert any("1 late events" in message for message in report.messages)


def test_new_columns_are_told_within_a_run_and_between_runs(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n", "1.csv")
    write(source, "user,item,at,campaign\nu2,a,2024-01-01,x\n", "2.csv")
    recipe = events_recipe(path="*.csv")
    assert take(home, source, recipe).tables["events"].new_columns == ["campaign"]
    write(source, "user,item,at,device\nu3,a,2024-01-01,x\n", "3.csv")
    assert take(home, source, recipe, run_id="r2").tables["events"].new_columns == ["device"]


def test_extra_column_that_is_mapped_later_is_added_to_the_table(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n")
    take(home, source)
    write(source, "user,item,at,device\nu2,a,2024-01-01,phone\n")
    columns = {"user_id": "user", "item_id": "item", "timestamp": "at", "device": "device"}
    report = take(home, source, events_recipe(columns=columns), run_id="r2")
    assert any("may come in again" in message for message in report.messages)
    assert rows_of(home, "events", "user_id, device") == [("u1", None), ("u2", "phone")]


# ---- stops and refusals


def test_too_many_rejects_stop_with_the_numbers_and_lose_nothing(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n" + ",b,2024-01-02\n" * 2 + "u1,,2024-01-02\n")
    with pytest.raises(TooManyRejectsError) as caught:
        take(home, source, events_recipe(contracts={"max_rejected_share": 0.5}))
    message = str(caught.value)
    assert "3 of 4 rows were rejected (75.0%)" in message and "50.0%" in message and "missing_user 2, missing_item 1" in message
    assert caught.value.exit_code == 5
    assert caught.value.report.tables["events"].accepted == 1
    assert (len(rows_of(home, "quarantine")), len(rows_of(home, "events"))) == (3, 0)


def test_all_rows_bad_is_an_error_even_where_any_share_is_allowed(home: Home, source: Path) -> None:
    write(source, HEADER + ",a,2024-01-01\n")
    with pytest.raises(DataError, match="all 1 rows were rejected: missing_user 1"):
        take(home, source)


def test_no_rows_is_an_error_at_first_and_told_later(home: Home, source: Path) -> None:
    write(source, HEADER)
    with pytest.raises(SourceError, match=r"no rows in events\.csv"):
        take(home, source)
    write(source, HEADER + "u1,a,2024-01-01\n")
    take(home, source)
    write(source, HEADER)
    report = take(home, source, run_id="r2")
    assert "events: no rows came in" in report.messages and report.committed == []


def test_empty_file_among_others_is_told(home: Home, source: Path) -> None:
    write(source, HEADER, "1.csv")
    write(source, HEADER + "u1,a,2024-01-01\n", "2.csv")
    report = take(home, source, events_recipe(path="*.csv"))
    assert "1.csv has no rows" in report.messages and report.tables["events"].accepted == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"user_id": "user", "item_id": "item"}}, "has no 'timestamp'"),
        ({"event": None}, "names no event type"),
        ({"time_zone": "Europe/Berlim"}, "did you mean 'Europe/Berlin'"),
        ({"only_when": "usr_id = 'x'"}, "did you mean 'user_id'"),
        ({"target_when": "rating > 3"}, "reads the column 'rating'"),
        ({"columns": {"user_id": "user", "item_id": "item", "timestamp": "at", "weight": "w"}}, "'weight' cannot be"),
        ({"contracts": {"rules": [{"name": "x", "column": "prise", "min": 0}]}}, "asks for the column 'prise'"),
        ({"contracts": {"rules": [{"name": "x", "column": "user_id", "matches": "(["}]}}, "is no regular expression"),
    ],
)
def test_recipe_that_does_not_fit_is_refused(home: Home, source: Path, change: dict[str, Any], message: str) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n")
    with pytest.raises(RecipeError) as caught:
        take(home, source, events_recipe(**change))
    assert message in str(caught.value)
    assert rows_of(home, "events") == []


def test_damaged_pages_inside_a_parquet_file_are_a_clear_error(home: Home, source: Path) -> None:
    path = source / "events.parquet"
    rows = {"user": [str(n) for n in range(5000)], "item": ["a"] * 5000, "at": ["2024-01-01"] * 5000}
    pq.write_table(pa.table(rows), path)
    damaged = bytearray(path.read_bytes())
    damaged[50:400] = b"\xff" * 350
    path.write_bytes(bytes(damaged))
    with pytest.raises(SourceError, match=r"events\.parquet cannot be read to its end"):
        take(home, source, events_recipe(path="events.parquet"))
    assert rows_of(home, "events") == []


def test_report_survives_json(home: Home, source: Path) -> None:
    write(source, HEADER + "u1,a,2024-01-01\n")
    report = take(home, source)
    assert IngestReport.load(json.loads(json.dumps(report.dump()))) == report


CELL = st.sampled_from(["", " ", "u1", "a", "2024-01-01", "nonsense", '"', "é;中", "x" * 600])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=12), st.sampled_from(["drop", "keep"]))
def test_sums_add_up_whatever_comes(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], duplicates: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    home = Home.open(folder / "home")
    home.create_tables(retention_days=30)
    (folder / "events.csv").write_text(
        HEADER + "u,i,2024-01-01\n" + "".join(",".join(row) + "\n" for row in rows), encoding="utf-8"
    )
    recipe = events_recipe(contracts={"duplicates": duplicates, "max_rejected_share": 1.0})
    first = take(home, folder, recipe)
    second = take(home, folder, recipe, run_id="r2")
    for report in (first, second):
        events = report.tables["events"]
        assert events.read == events.accepted + events.num_quarantined + events.duplicates
    assert first.tables["events"].read == second.tables["events"].read
    assert (second.committed, second.tables["events"].accepted) == ([], 0)
    assert len(rows_of(home, "events")) == first.tables["events"].accepted
    assert len(rows_of(home, "quarantine")) == first.tables["events"].num_quarantined


def test_source_that_changes_while_it_is_read_adds_nothing(home: Home, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(num: int) -> pa.Table:
        return pa.table({"user": ["u1"] * num, "item": [str(n) for n in range(num)], "at": ["2024-01-01"] * num})

    pq.write_table(rows(3), source / "events.parquet")

    def change(*_: object) -> None:
        pq.write_table(rows(5), source / "events.parquet")

    monkeypatch.setattr("bowerbird.sources.ingest._stop_if_too_many", change)
    with pytest.raises(SourceError, match="the source has changed in between"):
        take(home, source, events_recipe(path="events.parquet"))
    assert rows_of(home, "events") == []
