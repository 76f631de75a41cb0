"""Opens the files of a source as Parquet: raw columns in file order, malformed rows in their places.

Parquet is read where it lies; CSV, JSON lines and partitioned Delta tables are copied into a scratch folder once, so that
every later pass is fast, ordered and bounded in memory.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.errors import SourceError, did_you_mean
from bowerbird.recipe_source import TableSource
from bowerbird.recipe_values import Join
from bowerbird.sources.csv_files import copy_csv
from bowerbird.sources.files import FILE_STEM, SourceFile, find_files
from bowerbird.sources.json_lines import copy_json_lines

logger = logging.getLogger(__name__)

MALFORMED = "bowerbird_malformed"
"""The column of a scratch file that holds the text of a row that is none."""


@dataclass(frozen=True)
class RawFile:
    """A file of a source, readable as Parquet."""

    name: str
    """The file's name relative to the source."""
    told: dict[str, str]
    """What the file's name tells, as columns of the source; they hide columns of the same name."""
    path: Path
    """The Parquet file: the source's own, or a copy in the scratch folder."""
    columns: dict[str, str]
    """The source's column names, to their names in the Parquet file."""
    types: dict[str, str]
    """The source's column names, to their DuckDB types."""
    has_malformed: bool = False
    num_rows: int = 0
    notes: tuple[str, ...] = ()
    """What a person should be told, such as a missing line break at the end."""


def open_source(con: duckdb.DuckDBPyConnection, spec: TableSource, root: Path, *, table: str, scratch: Path) -> list[RawFile]:
    """Open all files of a table, in the order of their names, and check their columns.

    Parameters
    ----------
    root
        A folder, one file, or a zip archive.
    table
        How errors call it: ``events``, ``items``, ``users`` or ``feedback``.
    scratch
        A folder for copies; the caller removes it.

    Raises
    ------
    SourceError
        For a file that is missing, empty, corrupt or not UTF-8, for a wrong delimiter, and for a column that is missing or
        there twice.
    """
    folder = scratch / table
    folder.mkdir(parents=True, exist_ok=True)
    opened: list[RawFile] = []
    for file in find_files(spec, root, table=table, scratch=scratch):
        for raw in _open(con, file, spec, folder):
            check_columns(raw, spec, table)
            opened.append(raw)
    return opened


def needed_columns(spec: TableSource) -> list[tuple[str, ...]]:
    """List the source's columns that the map asks for, each with its alternative spellings."""
    needed: list[tuple[str, ...]] = []
    for ours, theirs in spec.columns.items():
        if isinstance(theirs, Join):
            needed += [(name,) for name in theirs.join]
            continue
        names = (theirs,) if isinstance(theirs, str) else theirs
        needed += [(name,) for name in names] if ours == "categories" else [names]
    told = {FILE_STEM, *(re.compile(spec.path_pattern).groupindex if spec.path_pattern else ())}
    return [names for names in needed if not told & {*names}]


def check_columns(raw: RawFile, spec: TableSource, table: str) -> None:
    """Raise SourceError, naming the closest column, where one that the map asks for is not there."""
    for names in needed_columns(spec):
        if not any(name in raw.columns for name in names):
            asked = " or ".join(map(repr, names))
            there = ", ".join(map(repr, raw.columns)) or "none"
            raise SourceError(
                f"{raw.name} has no column {asked}; it has {there}{did_you_mean(names[0], list(raw.columns))}",
                next_step=f"mend source.{table}.columns in the recipe",
            )


def _open(con: duckdb.DuckDBPyConnection, file: SourceFile, spec: TableSource, folder: Path) -> list[RawFile]:
    target = folder / f"{len(list(folder.iterdir())):05d}.parquet"
    if file.format == "csv":
        copied = copy_csv(con, file, target, delimiter=spec.delimiter, needed=needed_columns(spec))
        return [_scratch_file(con, file, target, copied.columns, copied.notes)]
    if file.format == "jsonl":
        columns = copy_json_lines(con, file, target)
        return [_scratch_file(con, file, target, columns, ())]
    if file.format == "delta":
        return _open_delta(con, file, folder)
    return [open_parquet(con, file.path, name=file.name, told=file.told)]


def _scratch_file(
    con: duckdb.DuckDBPyConnection, file: SourceFile, target: Path, columns: Iterable[str], notes: tuple[str, ...]
) -> RawFile:
    names = {name: f"c{place}" for place, name in enumerate(columns)}
    return RawFile(
        file.name,
        file.told,
        target,
        columns={name: own for name, own in names.items() if name},
        types={name: "VARCHAR" for name in names if name},
        has_malformed=True,
        num_rows=pq.ParquetFile(target).metadata.num_rows,
        notes=notes,
    )


def open_parquet(con: duckdb.DuckDBPyConnection, path: Path, *, name: str, told: dict[str, str]) -> RawFile:
    """Open a Parquet file where it lies. Raises SourceError where it is none."""
    if path.stat().st_size == 0:
        raise SourceError(f"{name} is empty: no bytes", next_step="write the file again, or take it out of the source folder")
    try:
        described = con.execute("describe select * from read_parquet($path)", {"path": str(path)}).fetchall()
        num_rows = pq.ParquetFile(path).metadata.num_rows
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{name} cannot be read as Parquet: {_first_line(error)}", next_step="write the file again; it is cut off or damaged"
        ) from error
    types = {str(row[0]): str(row[1]) for row in described}
    return RawFile(name, told, path, {column: column for column in types}, types, num_rows=num_rows)


def _open_delta(con: duckdb.DuckDBPyConnection, file: SourceFile, folder: Path) -> list[RawFile]:
    """Open the files of a Delta table's newest version; partition columns, which stand in their names only, are put back."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    from bowerbird.store.tables import Table

    try:
        handle = DeltaTable(file.path)
        features = handle.protocol().reader_features or []
        partitions = list(handle.metadata().partition_columns)
        paths = Table(file.path, pa.schema([])).files()
    except DeltaError as error:
        raise SourceError(f"{file.name} cannot be read as a Delta table: {_first_line(error)}", next_step="mend it") from error
    if "deletionVectors" in features or partitions:
        why = "has deletion vectors" if "deletionVectors" in features else f"is partitioned by {', '.join(partitions)}"
        raise SourceError(
            f"the Delta table {file.name} {why}, which is not read", next_step="copy it into one without, or into Parquet"
        )
    return [open_parquet(con, Path(path), name=f"{file.name}/{Path(path).name}", told=file.told) for path in paths]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
