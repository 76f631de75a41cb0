"""Copies a CSV file into Parquet: the fast reader for files that are sound, the patient one for those that are not."""

from __future__ import annotations

import gzip
import io
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.errors import SourceError
from bowerbird.sources.csv_repair import FieldSplitter, records
from bowerbird.sources.files import SourceFile

logger = logging.getLogger(__name__)

DELIMITERS = (",", ";", "\t", "|")
ROWS_A_BATCH = 50_000

COPY = """
copy (
    select *, null::varchar as bowerbird_malformed
    from read_csv(
        $path, auto_detect = false, header = true, delim = $delimiter, quote = '"', escape = '"', nullstr = '',
        strict_mode = true, columns = $columns
    )
) to $target (format parquet, compression snappy)
"""


@dataclass(frozen=True)
class CopiedCsv:
    """The header of a copied file, and what a person should be told of it."""

    columns: list[str]
    notes: tuple[str, ...]


def copy_csv(
    con: duckdb.DuckDBPyConnection, file: SourceFile, target: Path, *, delimiter: str | None, needed: list[tuple[str, ...]]
) -> CopiedCsv:
    """Write a CSV file's fields as text columns ``c0, c1, ...``, in file order; rows that are none go into their own column.

    Parameters
    ----------
    delimiter
        One character; found out where absent, as the one that gives most of the ``needed`` columns.

    Raises
    ------
    SourceError
        For a file without header, with a column twice, with another delimiter, not UTF-8, or a broken gzip.
    """
    with readable(file):
        header, starts_at_once = _read_header(file)
        delimiter = delimiter or _find_delimiter(header, needed)
        names = _names(file, header, delimiter, needed)
        columns = {f"c{place}": "VARCHAR" for place in range(len(names))}
        values = {"path": str(file.path), "delimiter": delimiter, "columns": columns, "target": str(target)}
        try:
            if not starts_at_once:
                raise duckdb.InvalidInputException("there are empty lines above the header")
            con.execute("set preserve_insertion_order = true")
            con.execute(COPY, values)
        except duckdb.Error as error:
            # The patient reader says what is really wrong, or tells the bad rows apart.
            logger.info("%s is no sound CSV, reading it row by row: %s", file.name, str(error).splitlines()[0])
            _copy_patiently(file, target, delimiter, len(names))
        finally:
            con.execute("set preserve_insertion_order = false")
        return CopiedCsv(names, _notes(file))


@contextmanager
def readable(file: SourceFile) -> Iterator[None]:
    """Turn what goes wrong with a file's bytes into a SourceError that names the file and the next step."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{file.name} is not UTF-8: byte {error.object[error.start]:#04x} does not read",
            next_step=f"convert it, as in: iconv -f latin1 -t utf-8 {file.path.name}",
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{file.name} is a broken gzip file: {error}", next_step="fetch it again") from error


@contextmanager
def open_text(file: SourceFile) -> Iterator[TextIO]:
    """Open a plain or gzipped file as UTF-8 text, line endings untouched, without the byte order mark."""
    with gzip.open(file.path, "rb") if file.path.name.endswith(".gz") else file.path.open("rb") as stream:
        yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _read_header(file: SourceFile) -> tuple[str, bool]:
    """Return the first line that is not empty, and whether it is the very first."""
    with open_text(file) as lines:
        for place, line in enumerate(lines):
            if line.strip():
                return line, place == 0
    raise SourceError(f"{file.name} is empty: it has no header", next_step="write a header line and rows, or take the file away")


def _find_delimiter(header: str, needed: list[tuple[str, ...]]) -> str:
    def known(sign: str) -> tuple[int, int]:
        names = _split(header, sign)
        return sum(any(name in names for name in spellings) for spellings in needed), len(names)

    return max(DELIMITERS, key=known)


def _split(header: str, delimiter: str) -> list[str]:
    fields = FieldSplitter(delimiter)(header) or []
    return [(field or "").strip() for field in fields]


def _names(file: SourceFile, header: str, delimiter: str, needed: list[tuple[str, ...]]) -> list[str]:
    """Check the header and return the columns' names; a column without a name is kept without one."""
    names = _split(header, delimiter)
    if not names:
        raise SourceError(f"{file.name} has a header with a broken quote: {header.strip()!r}", next_step="mend its first line")
    is_found = any(name in names for spellings in needed for name in spellings)
    if len(names) == 1 and not is_found:
        raise SourceError(
            f"{file.name} has one column only when it is split by {delimiter!r}: {header.strip()[:200]!r}",
            next_step="set delimiter in the recipe to the character between the columns",
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(f"{file.name} has the column {twice[0]!r} twice", next_step="rename one of the two in its header")
    return names


def _copy_patiently(file: SourceFile, target: Path, delimiter: str, num_columns: int) -> None:
    names = [f"c{place}" for place in range(num_columns)]
    schema = pa.schema([(name, pa.string()) for name in (*names, "bowerbird_malformed")])
    with open_text(file) as lines, pq.ParquetWriter(target, schema) as writer:
        rows: list[list[str | None]] = []
        found = records(lines, num_columns=num_columns, delimiter=delimiter)
        next(found, None)  # the header
        for record in found:
            if record.fields is None:
                rows.append([*[None] * num_columns, record.text])
            else:
                rows.append([*record.fields, None])
            if len(rows) == ROWS_A_BATCH:
                writer.write_batch(_batch(rows, schema))
                rows.clear()
        writer.write_batch(_batch(rows, schema))


def _batch(rows: list[list[str | None]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(schema))]
    return pa.record_batch(columns, schema=schema)


def _notes(file: SourceFile) -> tuple[str, ...]:
    """Say so where the last line has no end: it may have been cut off inside its last field."""
    if file.path.name.endswith(".gz") or file.path.stat().st_size == 0:
        return ()
    with file.path.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        ended = stream.read(1) in b"\r\n"
    return () if ended else (f"{file.name} does not end in a line break; its last row was read as it stands",)
