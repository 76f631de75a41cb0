"""Delta tables: one commit, one version; what is read has the columns of the table, whatever its files hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from bowerbird.errors import DiskFullError, HomeError, PublishConflictError
from bowerbird.store.tables import UNBORN, Table, relation

SCHEMA = pa.schema(
    [("name", pa.string()), ("size", pa.float64()), ("tags", pa.list_(pa.string())), ("at", pa.timestamp("us", "UTC"))]
)
TYPES = {"name": "VARCHAR", "size": "DOUBLE", "tags": "VARCHAR[]", "at": "TIMESTAMP WITH TIME ZONE"}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    made = Table(tmp_path / "a table é 中文", SCHEMA)
    made.create(retention_days=30)
    return made


def append(table: Table, **columns: object) -> int:
    return table.append(pa.table(columns), metadata={})


def types(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    """The columns of a view in their order."""
    return {column: kind for column, kind, *_ in con.execute(f"describe {name}").fetchall()}


def names(con: duckdb.DuckDBPyConnection, table: Table, *, version: int | None = None) -> list[str]:
    relation(con, table, "seen", version=version)
    return [name for (name,) in con.execute("select name from seen order by name").fetchall()]


def test_table_is_unborn_until_created(tmp_path: Path) -> None:
    table = Table(tmp_path / "none", SCHEMA)
    assert (table.exists(), table.version(), table.identity()) == (False, UNBORN, "none")
    assert table.files() == [] and table.commits() == []
    table.create(retention_days=30)
    assert (table.exists(), table.version(), table.files()) == (True, 0, [])


def test_creating_twice_changes_nothing(table: Table) -> None:
    append(table, name=["a"])
    before = table.identity()
    table.create(retention_days=30)
    assert table.identity() == before


def test_creator_that_was_killed_early_is_no_obstacle(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    table = Table(tmp_path / "torn", SCHEMA)
    (table.path / "_delta_log").mkdir(parents=True)
    assert not table.exists() and table.version() == UNBORN and names(con, table) == []
    table.create(retention_days=30)
    append(table, name=["a"])
    assert names(con, table) == ["a"]


def test_retention_is_written_into_the_table(table: Table) -> None:
    kept = table.open().metadata().configuration
    assert kept["delta.logRetentionDuration"] == "interval 3650 days"
    assert kept["delta.deletedFileRetentionDuration"] == "interval 30 days"


def test_each_append_is_one_version_with_its_metadata(table: Table) -> None:
    versions = [table.append(pa.table({"name": [name]}), metadata={"who": name}) for name in "abcdefghijkl"]
    assert versions == list(range(1, 13))
    commits = table.commits()
    assert [commit["version"] for commit in commits] == list(range(12, -1, -1))
    assert [commit.get("who") for commit in commits[:2]] == ["l", "k"]


def test_identity_tells_tables_and_versions_apart(tmp_path: Path) -> None:
    tables = [Table(tmp_path / name, SCHEMA) for name in "ab"]
    for table in tables:
        table.create(retention_days=30)
    before = tables[0].identity()
    append(tables[0], name=["x"])
    assert len({before, *(table.identity() for table in tables)}) == 3


@pytest.mark.parametrize("folder", ["plain", "with space", "é", "中文", "it's; drop table x", 'a "b" #1 & {c}', "a=b"])
def test_table_works_end_to_end_in_any_folder(tmp_path: Path, con: duckdb.DuckDBPyConnection, folder: str) -> None:
    table = Table(tmp_path / folder / "events", SCHEMA)
    table.create(retention_days=30)
    append(table, name=["one"])
    append(table, name=["two é 中文"])
    assert names(con, table) == ["one", "two é 中文"]
    assert all(Path(file).is_file() for file in table.files()) and len(table.files()) == 2


def test_empty_table_gives_typed_columns_and_no_rows(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    relation(con, table, "seen")
    assert con.execute("select * from seen").fetchall() == [] and types(con, "seen") == TYPES


def test_missing_table_gives_typed_columns_and_no_rows(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    relation(con, Table(tmp_path / "none", SCHEMA), "seen")
    assert con.execute("select * from seen").fetchall() == [] and types(con, "seen") == TYPES


def test_view_follows_the_table_on_one_connection(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    assert names(con, table) == []
    append(table, name=["a"])
    assert names(con, table) == ["a"]
    assert names(con, table, version=0) == []
    append(table, name=["b"])
    assert names(con, table) == ["a", "b"]


def test_earlier_versions_stay_readable(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    append(table, name=["b"], extra=["x"])
    table.overwrite(pa.table({"name": ["c"]}, schema=pa.schema([("name", pa.string())])), metadata={})
    assert [names(con, table, version=version) for version in range(4)] == [[], ["a"], ["a", "b"], ["c"]]
    relation(con, table, "seen", version=2)
    assert list(types(con, "seen")) == [*TYPES, "extra"]
    relation(con, table, "seen")
    assert list(types(con, "seen")) == ["name"]


def test_columns_keep_the_order_of_the_schema_however_files_are_named(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    append(table, later=["x"], at=[datetime(2024, 1, 1, tzinfo=UTC)], name=["b"])
    append(table, last=["y"], size=[1.0], name=["c"])
    relation(con, table, "seen")
    assert list(types(con, "seen")) == [*TYPES, "later", "last"]
    assert con.execute("select name, later, last from seen order by name").fetchall() == [
        ("a", None, None),
        ("b", "x", None),
        ("c", None, "y"),
    ]


def test_new_column_of_an_append_without_rows_is_there(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    table.append(pa.table({"name": pa.array([], pa.string()), "extra": pa.array([], pa.float64())}), metadata={})
    relation(con, table, "seen")
    assert con.execute("select name, extra from seen").fetchall() == [("a", None)]
    assert types(con, "seen")["extra"] == "DOUBLE"


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"name": pa.array(["x"], pa.string_view())},
        lambda: {"name": pa.array(["x"], pa.large_string())},
        lambda: {"name": pa.array(["x"]).dictionary_encode()},
        lambda: {"name": ["x"], "tags": pa.array([["t"]], pa.large_list(pa.large_string()))},
        lambda: {"name": ["x"], "size": pa.array([1], pa.int64())},
        lambda: {"name": ["x"], "size": pa.nulls(1)},
        lambda: {"name": ["x"], "at": pa.array([1_000], pa.timestamp("ns", "UTC"))},
        lambda: {"name": ["x"], "at": pa.array([0], pa.timestamp("ms", "Europe/London"))},
    ],
    ids=["string_view", "large_string", "dictionary", "large_list", "int64", "null", "nanoseconds", "another_zone"],
)
def test_kindred_arrow_types_are_taken_as_the_types_of_the_table(
    table: Table, con: duckdb.DuckDBPyConnection, make: Callable[[], dict[str, object]]
) -> None:
    append(table, name=["a"], size=[0.5], tags=[["t"]], at=[datetime(2024, 1, 1, tzinfo=UTC)])
    append(table, **make())
    assert names(con, table) == ["a", "x"] and types(con, "seen") == TYPES


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.string()], ids=str)
def test_new_text_column_is_text_whatever_arrow_calls_it(table: Table, con: duckdb.DuckDBPyConnection, kind: pa.DataType) -> None:
    append(table, name=["a"], extra=pa.array(["x"], kind))
    append(table, name=["b"], extra=pa.array(["y"], pa.string()))
    relation(con, table, "seen")
    assert con.execute("select extra from seen order by name").fetchall() == [("x",), ("y",)]


def test_result_of_duckdb_can_be_appended(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    rows = con.sql("select 'a' as name, ['t'] as tags, timestamptz '2024-01-01 00:00:00+00' as at").to_arrow_reader()
    assert table.append(rows, metadata={}) == 1
    assert names(con, table) == ["a"]


def test_overwrite_through_a_stale_handle_is_refused(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    handle = table.open()
    append(table, name=["a"])
    with pytest.raises(PublishConflictError, match=r"committed to .* since version 0"):
        table.overwrite(pa.table({"name": ["b"]}), metadata={}, handle=handle)
    assert (names(con, table), table.version()) == (["a"], 1)


def test_rows_that_fail_midway_commit_nothing(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    schema = pa.schema([("name", pa.string())])

    def rows() -> object:
        yield pa.record_batch({"name": ["b"]}, schema=schema)
        raise RuntimeError("broken in the middle")

    with pytest.raises(Exception, match="broken in the middle"):
        table.overwrite(pa.RecordBatchReader.from_batches(schema, rows()), metadata={})
    assert (names(con, table), table.version()) == (["a"], 1)


def test_restore_shows_earlier_rows_in_a_new_version(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    table.overwrite(pa.table({"name": ["b"]}), metadata={})
    assert table.restore(1, metadata={"who": "me"}) == 3
    assert names(con, table) == ["a"] and table.commits()[0]["who"] == "me"


def test_restore_says_where_files_are_gone(table: Table, con: duckdb.DuckDBPyConnection) -> None:
    append(table, name=["a"])
    [file] = table.files()
    table.overwrite(pa.table({"name": ["b"]}), metadata={})
    Path(file).unlink()
    with pytest.raises(HomeError, match=r"files of version 1 of .* are gone"):
        table.restore(1, metadata={})
    assert (names(con, table), table.version()) == (["b"], 2)


def test_full_disk_leaves_the_table_as_it_was(small_disk: Path, con: duckdb.DuckDBPyConnection) -> None:
    table = Table(small_disk / "events", SCHEMA)
    table.create(retention_days=30)
    append(table, name=["a"])
    many = con.sql("select md5(i::varchar) as name from range(200000) t(i)").to_arrow_table()
    with pytest.raises(DiskFullError, match="No space left on device"):
        table.append(many, metadata={})
    assert (names(con, table), table.version()) == (["a"], 1)
    assert append(table, name=["b"]) == 2
