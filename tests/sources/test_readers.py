from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bowerbird.errors import SourceError
from bowerbird.recipe_source import TableSource
from bowerbird.sources.readers import RawFile, open_source
from bowerbird.warehouse.connection import connect

Open = Callable[..., list[RawFile]]
HEADER = b"user,item,at\n"


@pytest.fixture
def opened(con: duckdb.DuckDBPyConnection, source: Path, tmp_path: Path) -> Open:
    def open_all(path: str = "events.csv", root: Path | None = None, **spec: Any) -> list[RawFile]:
        columns = spec.pop("columns", {"user_id": "user", "item_id": "item"})
        table = spec.pop("table", "events")
        return open_source(
            con, TableSource(path=path, columns=columns, **spec), root or source, table=table, scratch=tmp_path / "s"
        )

    return open_all


def content(raw: RawFile) -> list[tuple[Any, ...]]:
    with connect() as con:
        return con.execute("select * from read_parquet($path)", {"path": str(raw.path)}).fetchall()


def write(source: Path, data: bytes, name: str = "events.csv") -> None:
    (source / name).write_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        HEADER + b"1,2,3\n4,5,6\n",
        b"user,item,at\r\n1,2,3\r\n4,5,6\r\n",
        b"\xef\xbb\xbf" + HEADER + b"1,2,3\n4,5,6\n",
        b"user;item;at\n1;2;3\n4;5;6\n",
        b"user\titem\tat\n1\t2\t3\n4\t5\t6\n",
        b"user,item,at\r\n1,2,3\n4,5,6\r\n",
        b"\n\n" + HEADER + b"\n1,2,3\n\n4,5,6\n",
        HEADER + b"1,2,3\n4,5,6",
    ],
    ids=["plain", "crlf", "bom", "semicolons", "tabs", "mixed endings", "empty lines", "no final line break"],
)
def test_csv_reads_however_it_is_written(opened: Open, source: Path, data: bytes) -> None:
    write(source, data)
    (raw,) = opened()
    assert content(raw) == [("1", "2", "3", None), ("4", "5", "6", None)]
    assert list(raw.columns) == ["user", "item", "at"]


def test_missing_final_line_break_is_told(opened: Open, source: Path) -> None:
    write(source, HEADER + b"1,2,3")
    assert "does not end in a line break" in opened()[0].notes[0]


def test_gzip_reads_as_plain(opened: Open, source: Path) -> None:
    write(source, gzip.compress(HEADER + b"1,2,3\n"), "events.csv.gz")
    (raw,) = opened("*.csv.gz")
    assert (content(raw), raw.told["file_stem"]) == ([("1", "2", "3", None)], "events")


def test_unicode_quotes_and_line_breaks_are_data(opened: Open, source: Path) -> None:
    write(source, HEADER + '"a;\'b""c\nd",中文 é,3\n'.encode())
    assert content(opened()[0]) == [("a;'b\"c\nd", "中文 é", "3", None)]


@pytest.mark.parametrize(
    ("data", "malformed"),
    [
        (b"1,2,3\n4,5\n", "4,5"),
        (b"1,2,3\n4,5,6,7\n", "4,5,6,7"),
        (b"1,2,3\n4,5", "4,5"),
        (b'1,2,3\n4,5,"6\n', '4,5,"6'),
        (b'1,2,3\n4,"5"x,6\n', '4,"5"x,6'),
    ],
    ids=["too short", "too long", "ends in the middle", "unclosed quote", "text after a quote"],
)
def test_malformed_row_keeps_its_place_and_its_text(opened: Open, source: Path, data: bytes, malformed: str) -> None:
    write(source, HEADER + data)
    assert content(opened()[0]) == [("1", "2", "3", None), (None, None, None, malformed)]


def test_row_over_the_fast_readers_limit_is_read(opened: Open, source: Path) -> None:
    write(source, HEADER + b"1," + b"x" * 3_000_000 + b",3\n4,5,6\n")
    assert [len(row[1]) for row in content(opened()[0])] == [3_000_000, 1]


FIELD = st.text(alphabet='ab,"\n é;', max_size=5).map(str.strip)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=6))
def test_both_readers_give_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]) -> None:
    """A broken row at the end brings the patient reader in; the rows before it must read as the fast one reads them."""
    folder = tmp_path_factory.mktemp("both")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    (folder / "fast.csv").write_bytes(HEADER + text.getvalue().encode())
    (folder / "slow.csv").write_bytes(HEADER + text.getvalue().encode() + b"broken\n")
    spec = TableSource(path="*.csv", columns={"user_id": "user"})
    with connect() as con:
        fast, slow = open_source(con, spec, folder, table="events", scratch=folder / "s")
    empty_is_null = [tuple(value or None for value in row) for row in content(fast)]
    assert [tuple(value or None for value in row) for row in content(slow)] == [*empty_is_null, (None, None, None, "broken")]


def test_json_lines_keep_numbers_texts_and_lists(opened: Open, source: Path) -> None:
    write(source, b'{"user":13085.0,"item":"13085.0","l":["p"]}\n\n{"user":7,"item":null}\n{"us\n[1]\n', "events.jsonl")
    (raw,) = opened("events.jsonl")
    assert list(raw.columns) == ["item", "l", "user"]
    assert content(raw) == [
        ("13085.0", '["p"]', "13085", None),
        (None, None, "7", None),
        (None, None, None, '{"us'),
        (None, None, None, "[1]"),
    ]


def test_parquet_is_read_where_it_lies(opened: Open, source: Path) -> None:
    pq.write_table(pa.table({"user": [1.0], "item": ["a"]}), source / "events.parquet")
    (raw,) = opened("events.parquet")
    assert (raw.path, raw.types) == (source / "events.parquet", {"user": "DOUBLE", "item": "VARCHAR"})


def test_delta_table_is_read(opened: Open, source: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(source / "log é", pa.table({"user": ["1"], "item": ["a"]}))
    (raw,) = opened("log é")
    assert content(raw) == [("1", "a")]
    assert raw.name.startswith("log é/")
    assert content(opened(root=source / "log é")[0]) == [("1", "a")]


def test_zip_archive_is_looked_into_and_its_single_folder_through(opened: Open, source: Path) -> None:
    with zipfile.ZipFile(source / "ml.zip", "w") as archive:
        archive.writestr("ml-small/events.csv", "user,item\n1,2\n")
    (raw,) = opened(root=source / "ml.zip")
    assert (raw.name, content(raw)) == ("events.csv", [("1", "2", None)])


def test_one_file_stands_for_the_events(opened: Open, source: Path) -> None:
    write(source, HEADER + b"1,2,3\n", "other name.csv")
    assert opened(root=source / "other name.csv")[0].name == "other name.csv"


def test_tables_beside_one_file_are_found(opened: Open, source: Path) -> None:
    write(source, HEADER + b"1,2,3\n")
    write(source, b"item\n2\n", "items.csv")
    (raw,) = opened("items.csv", root=source / "events.csv", table="items", columns={"item_id": "item"})
    assert raw.name == "items.csv"


def test_files_come_in_the_order_of_their_names(opened: Open, source: Path) -> None:
    for name in ("b.csv", "a.csv", "c.csv"):
        write(source, HEADER + b"1,2,3\n", name)
    assert [raw.name for raw in opened("*.csv")] == ["a.csv", "b.csv", "c.csv"]


def refusal(opened: Open, **spec: Any) -> str:
    with pytest.raises(SourceError) as caught:
        opened(**spec)
    assert caught.value.next_step
    return str(caught.value)


def test_missing_file_names_the_pattern_and_what_is_there(opened: Open, source: Path) -> None:
    write(source, HEADER, "rating.csv")
    message = refusal(opened)
    assert "'events.csv'" in message and "'rating.csv'" in message


def test_missing_folder_names_what_is_there(opened: Open, source: Path) -> None:
    message = refusal(opened, root=source / "no" / "such")
    assert "does not exist" in message and str(source) in message


def test_folder_instead_of_a_file_is_refused(opened: Open, source: Path) -> None:
    (source / "events.csv").mkdir()
    write(source / "events.csv", HEADER, "part.csv")
    assert "is a folder where a file is expected; it holds 'part.csv'" in refusal(opened)


def test_path_may_not_leave_the_source(opened: Open) -> None:
    assert "leaves the source folder" in refusal(opened, path="../secret.csv")


def test_wrong_delimiter_shows_the_header(opened: Open, source: Path) -> None:
    write(source, b"user~item~at\n1~2~3\n")
    message = refusal(opened)
    assert "one column" in message and "user~item~at" in message and "set delimiter" in message
    assert content(opened(delimiter="~")[0]) == [("1", "2", "3", None)]


def test_missing_column_suggests_the_closest(opened: Open, source: Path) -> None:
    write(source, b"users,item,at\n1,2,3\n")
    message = refusal(opened)
    assert "no column 'user'" in message and "did you mean 'users'?" in message and "source.events.columns" in message


def test_one_of_several_spellings_is_enough(opened: Open, source: Path) -> None:
    write(source, b"CustomerID,item\n1,2\n")
    columns = {"user_id": ("Customer ID", "CustomerID"), "item_id": "item"}
    assert len(opened(columns=columns)) == 1
    assert "'Customer' or 'Kunde'" in refusal(opened, columns={"user_id": ("Customer", "Kunde")})


def test_column_twice_is_refused(opened: Open, source: Path) -> None:
    write(source, b"user,item,item\n1,2,3\n")
    assert "the column 'item' twice" in refusal(opened)


def test_empty_file_is_refused(opened: Open, source: Path) -> None:
    write(source, b"")
    assert "is empty: it has no header" in refusal(opened)
    write(source, b"", "events.parquet")
    assert "is empty: no bytes" in refusal(opened, path="events.parquet")
    write(source, b"", "events.jsonl")
    assert "is empty" in refusal(opened, path="events.jsonl")


@pytest.mark.parametrize("data", [b"PAR1 but no more", b"PAR1" + b"x" * 200 + b"PAR1"])
def test_corrupt_parquet_is_refused(opened: Open, source: Path, data: bytes) -> None:
    write(source, data, "events.parquet")
    assert "cannot be read as Parquet" in refusal(opened, path="events.parquet")


@pytest.mark.parametrize("data", [gzip.compress(HEADER + b"1,2,3\n" * 50_000)[:-30], b"no gzip"], ids=["cut short", "no gzip"])
def test_broken_gzip_is_refused(opened: Open, source: Path, data: bytes) -> None:
    write(source, data, "events.csv.gz")
    assert "broken gzip" in refusal(opened, path="events.csv.gz")


def test_other_encodings_are_refused_with_the_way_out(opened: Open, source: Path) -> None:
    write(source, HEADER + "1,é,3\n".encode("latin1"))
    message = refusal(opened)
    assert "is not UTF-8" in message and "iconv" in message


def test_json_array_is_refused(opened: Open, source: Path) -> None:
    write(source, b'[{"user": 1}]', "events.json")
    assert "is a JSON array" in refusal(opened, path="events.json")


def test_broken_zip_is_refused(opened: Open, source: Path) -> None:
    with zipfile.ZipFile(source / "ml.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.csv", "user,item\n" + "1,2\n" * 1000)
    damaged = bytearray((source / "ml.zip").read_bytes())
    damaged[45] ^= 0xFF
    write(source, bytes(damaged), "ml.zip")
    assert "cannot be unpacked" in refusal(opened, root=source / "ml.zip")
