"""Features of an event log as of a cut-off, each one SQL file; nothing at or after the cut-off is ever read.

The connection holds the views ``events`` and, where there are any, ``items`` (see ``docs/reference/features.md``). A recipe's
event types and its target condition become the small tables that the files join, since a recipe may change without a new ingest.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bowerbird.columns import EVENT, ITEM_ID, SESSION_ID, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.errors import DataError, RecipeError, did_you_mean
from bowerbird.recipe import EventSource, Recipe

FEATURES: Final = ("interactions", "user_sequences", "item_popularity", "user_profiles", "item_profiles", "cooccurrence")
CATALOGUE: Final = {
    "item_id": "varchar",
    "title": "varchar",
    "categories": "varchar[]",
    "price": "double",
    "created_at": "timestamptz",
}
"""Columns of ``items`` that features read; one that the view lacks is null."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BATCH: Final = 1_000_000
"""Rows that are held as texts at a time while interactions stream in."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureTable:
    """A feature written as Parquet."""

    name: str
    path: Path
    num_rows: int


@dataclass(frozen=True, eq=False)
class Loaded:
    """Interactions, and for each (bool [E]) whether it is a success; in one order."""

    interactions: Interactions
    is_target: NDArray[np.bool_]


def build_features(
    con: duckdb.DuckDBPyConnection, recipe: Recipe, *, cut_off: datetime | int, folder: Path
) -> list[FeatureTable]:
    """Write all features as of ``cut_off`` (a datetime, no zone means UTC, or microseconds since 1970) into ``folder``.

    Each is one Parquet file, named for the feature, and appears whole or not at all.

    Raises
    ------
    RecipeError
        Where the recipe has no events, or its ``target_when`` names a column that ``events`` does not have.
    """
    prepare(con, recipe, cut_off=cut_off)
    folder.mkdir(parents=True, exist_ok=True)
    return [write_feature(con, name, cut_off=cut_off, folder=folder) for name in FEATURES]


def prepare(con: duckdb.DuckDBPyConnection, recipe: Recipe, *, cut_off: datetime | int) -> None:
    """Set up what ``write_feature`` reads: event types, judged events, what was cancelled, the catalogue. Raises RecipeError."""
    _judge(con, recipe)
    _find_cancelled(con, as_moment(cut_off))
    _register_catalogue(con)


def write_feature(con: duckdb.DuckDBPyConnection, name: str, *, cut_off: datetime | int, folder: Path) -> FeatureTable:
    """Write one of ``FEATURES``; all but ``interactions`` read the file of that, so write it first."""
    path, partial = folder / f"{name}.parquet", folder / f".{name}.parquet.partial"
    copied = con.execute(
        f"copy ({statement(name)}) to $path (format parquet, compression zstd)",
        {"cut_off": as_moment(cut_off), "path": str(partial)},
    ).fetchone()
    assert copied is not None
    partial.replace(path)
    if name == "interactions":
        _register_interactions(con, path)
    logger.info("feature %s: %d rows", name, copied[0])
    return FeatureTable(name, path, int(copied[0]))


def load_interactions(
    con: duckdb.DuckDBPyConnection, recipe: Recipe, *, cut_off: datetime | int, item_ids: Ids | None = None
) -> Loaded:
    """Read the interactions before ``cut_off``; ``item_ids`` makes the catalogue wider than the items that occur.

    Equal to ``Interactions.from_frame`` on the rows of ``interactions.sql``, but quicker: ids are numbered while they
    stream in. ``sessions`` is None where no event has one.

    Raises
    ------
    RecipeError
        Where the recipe has no events, or its ``target_when`` names a column that ``events`` does not have.
    DataError
        Where there is no event before the cut-off.
    """
    moment = as_moment(cut_off)
    _judge(con, recipe)
    _find_cancelled(con, moment)
    rows = con.sql(statement("interactions"), params={"cut_off": moment}).to_arrow_reader(BATCH)
    batches = [_shrink(batch) for batch in rows]
    table = pa.Table.from_batches(batches).unify_dictionaries() if batches else None
    if table is None or table.num_rows == 0:
        raise DataError(f"there are no interactions before {moment:%Y-%m-%d %H:%M}", next_step="check the source and the cut-off")
    users, user_ids = _sorted_codes(table[USER_ID])
    items, known_items = _sorted_codes(table[ITEM_ID], also=item_ids)
    events, types = _sorted_codes(table[EVENT])
    sessions = None
    if table[SESSION_ID].null_count < table.num_rows:
        sessions = _codes(table[SESSION_ID]).astype(np.int64)
    interactions = Interactions(
        user_ids,
        known_items,
        users,
        items,
        table[TIMESTAMP].to_numpy(),
        table[WEIGHT].to_numpy(),
        tuple(map(str, types)),
        events.astype(np.int16),
        sessions=sessions,
    )
    return Loaded(interactions, table["is_target"].to_numpy())


def load_targets(con: duckdb.DuckDBPyConnection, recipe: Recipe, *, start: datetime | int, end: datetime | int) -> pd.DataFrame:
    """Read the pairs with a target event in [start, end) that was not taken back before ``end``.

    Returns
    -------
    DataFrame
        ``user_id, item_id, is_repeat``, ordered by both ids; a repeat had a target event before ``start``, as known then.
    """
    moments = {"start": as_moment(start), "end": as_moment(end)}
    _judge(con, recipe)
    _find_cancelled(con, *moments.values())
    return con.execute(statement("targets"), moments).df()


def statement(name: str) -> str:
    """Return the text of ``sql/<name>.sql``."""
    return (files("bowerbird.warehouse") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def as_moment(time: datetime | int) -> datetime:
    """Turn a datetime (no zone means UTC) or microseconds since 1970 into a datetime in UTC, exact to the microsecond."""
    if isinstance(time, pd.Timestamp):
        time = time.as_unit("us").to_pydatetime()
    if isinstance(time, datetime):
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return EPOCH + timedelta(microseconds=int(time))


def _judge(con: duckdb.DuckDBPyConnection, recipe: Recipe) -> None:
    """Create ``event_types`` and the view ``events_judged``: the events, and whether ``target_when`` holds."""
    source = recipe.source.events
    if source is None:
        raise RecipeError(f"recipe {recipe.name} has no events", next_step="add [source.events]")
    con.execute("create or replace temp table event_types (event varchar, weight double, is_target boolean, cancels varchar)")
    targets = recipe.target.events if recipe.target else ()
    con.executemany(
        "insert into event_types values ($1, $2, $3, $4)",
        [
            (event, source.weights.get(event, 0.0), event in targets, source.cancels.get(event))
            for event in sorted({*source.weights, *source.cancels})
        ],
    )
    predicate = _predicate(con, source)  # of checked columns and variables, no values
    con.execute(f"create or replace temp view events_judged as select *, {predicate} as holds from events")  # noqa: S608


def _predicate(con: duckdb.DuckDBPyConnection, source: EventSource) -> str:
    """Write ``target_when`` over checked columns; its values become variables, since a view cannot be bound."""
    if source.target_when is None:
        return "true"
    known = _columns(con, "events")
    for column in source.target_when.columns:
        if column not in known:
            raise RecipeError(
                f"source.events.target_when names the column {column!r}; the events have {known}{did_you_mean(column, known)}",
                next_step="map the column under source.events.columns, or mend the condition",
            )
    predicate, values = source.target_when.sql("target_when")
    for name, value in values.items():
        con.execute(f"set variable {name} = $value", {"value": value})
    return re.sub(r"\$(target_when_\d+)", r"getvariable('\1')", predicate)


def _find_cancelled(con: duckdb.DuckDBPyConnection, *cut_offs: datetime) -> None:
    """Create ``cancelled_events``, with what was cancelled before each cut-off."""
    con.execute("create or replace temp table cancelled_events (cut_off timestamptz, event_id varchar)")
    for cut_off in set(cut_offs):
        con.execute(f"insert into cancelled_events {statement('cancelled_events')}", {"cut_off": cut_off})


def _register_catalogue(con: duckdb.DuckDBPyConnection) -> None:
    """Create the view ``catalogue``: the columns of ``items`` that features read, no rows where there is no such view."""
    known = _columns(con, "items")
    columns = ", ".join(f"{name if name in known else 'null'}::{kind} as {name}" for name, kind in CATALOGUE.items())
    source = "from items" if known else "where false"
    con.execute(f"create or replace temp view catalogue as select {columns} {source}")


def _register_interactions(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create the view ``interactions`` over its file; the row number is the ``position`` that the other features order by."""
    con.read_parquet([str(path)], file_row_number=True).create_view("interactions_file", replace=True)
    con.execute(
        "create or replace temp view interactions as "
        "select * exclude (file_row_number), file_row_number as position from interactions_file"
    )


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """List a table's or view's columns; empty where there is none of that name."""
    found = con.execute(
        "select column_name from information_schema.columns where table_name = $table order by ordinal_position", {"table": table}
    )
    return [str(row[0]) for row in found.fetchall()]


def _shrink(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Number the texts of a batch, so that millions of ids take 4 bytes each."""
    columns = {name: batch[name].dictionary_encode() for name in (USER_ID, ITEM_ID, EVENT, SESSION_ID)}
    columns[TIMESTAMP] = batch[TIMESTAMP].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    columns |= {name: batch[name] for name in (WEIGHT, "is_target")}
    return pa.RecordBatch.from_pydict(columns)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """Return the codes of a dictionary column, in order of appearance; -1 for null."""
    return np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks]).astype(np.int32)


def _sorted_codes(column: pa.ChunkedArray, *, also: Ids | None = None) -> tuple[NDArray[np.int32], Ids]:
    """Number the distinct values of a dictionary column, and those of ``also``, in ascending order."""
    values = column.chunk(0).dictionary.to_numpy(zero_copy_only=False).astype(object)
    distinct = np.unique(values if also is None else np.concatenate([values, np.asarray(also, object)]))
    places = pd.Index(distinct).get_indexer(pd.Index(values))
    return places.astype(np.int32)[_codes(column)], distinct
