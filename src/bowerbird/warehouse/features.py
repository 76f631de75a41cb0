"""Features of an event log as of a cut-off, each one SQL file; nothing at or after the cut-off is ever read.

The connection holds the views ``events`` and, where there are any, ``items``; ``docs/reference/features.md`` says what comes out.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bowerbird.columns import EVENT, GAIN, ITEM_ID, SESSION_ID, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.errors import DataError
from bowerbird.recipe import Recipe
from bowerbird.warehouse.inputs import as_moment, find_cancelled, judge, register_catalogue, register_interactions, statement

FEATURES: Final = ("interactions", "user_sequences", "item_popularity", "user_profiles", "item_profiles", "cooccurrence")
LOADED: Final = (USER_ID, ITEM_ID, TIMESTAMP, EVENT, WEIGHT, SESSION_ID, "is_target")
BATCH: Final = 1_000_000
"""Rows that are held as texts at a time while interactions stream in."""
RANGE: Final = 2_000_000
"""Interactions whose lists are held at a time."""

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
    judge(con, recipe)
    find_cancelled(con, as_moment(cut_off))
    register_catalogue(con)


def write_feature(con: duckdb.DuckDBPyConnection, name: str, *, cut_off: datetime | int, folder: Path) -> FeatureTable:
    """Write one of ``FEATURES``; all but ``interactions`` read the file of that, so write it first."""
    path, partial = folder / f"{name}.parquet", folder / f".{name}.parquet.partial"
    write = _copy_by_users if name == "user_sequences" else _copy
    num_rows = write(con, name, as_moment(cut_off), partial)
    partial.replace(path)
    if name == "interactions":
        register_interactions(con, path)
    logger.info("feature %s: %d rows", name, num_rows)
    return FeatureTable(name, path, num_rows)


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
    judge(con, recipe)
    find_cancelled(con, moment)
    columns: dict[str, list[pa.Array]] = {name: [] for name in LOADED}
    for batch in con.sql(statement("interactions"), params={"cut_off": moment}).to_arrow_reader(BATCH):
        for name in LOADED:
            columns[name].append(_shrink(batch[name]))
    if not any(map(len, columns[USER_ID])):
        raise DataError(f"there are no interactions before {moment:%Y-%m-%d %H:%M}", next_step="check the source and the cut-off")
    # Each column goes as soon as it is read, since together they take as much as what is made of them.
    users, user_ids = _sorted_codes(columns.pop(USER_ID))
    items, known_items = _sorted_codes(columns.pop(ITEM_ID), also=item_ids)
    events, types = _sorted_codes(columns.pop(EVENT))
    sessions = _codes(_unify(columns.pop(SESSION_ID))).astype(np.int64)
    interactions = Interactions(
        user_ids,
        known_items,
        users,
        items,
        _numbers(columns.pop(TIMESTAMP)).view(np.int64),
        _numbers(columns.pop(WEIGHT)),
        tuple(map(str, types)),
        events.astype(np.int16),
        sessions=sessions if (sessions >= 0).any() else None,
    )
    return Loaded(interactions, _numbers(columns.pop("is_target")))


def load_targets(con: duckdb.DuckDBPyConnection, recipe: Recipe, *, start: datetime | int, end: datetime | int) -> pd.DataFrame:
    """Read the pairs with a target event in [start, end) that was not taken back before ``end``.

    Returns
    -------
    DataFrame
        ``user_id, item_id, is_repeat``, ordered by both ids; a repeat had a target event before ``start``, as known then. With
        ``target.gains = "weight"`` a column ``gain``, too.
    """
    moments = {"start": as_moment(start), "end": as_moment(end)}
    judge(con, recipe)
    find_cancelled(con, *moments.values())
    targets: pd.DataFrame = con.execute(statement("targets"), moments).df()
    is_graded = recipe.target is not None and recipe.target.gains == "weight"
    return targets if is_graded else targets.drop(columns=GAIN)


def _copy(con: duckdb.DuckDBPyConnection, name: str, cut_off: datetime, path: Path) -> int:
    ((num_rows,),) = con.execute(
        f"copy ({statement(name)}) to $path (format parquet, compression zstd)", {"cut_off": cut_off, "path": str(path)}
    ).fetchall()
    return int(num_rows)


def _copy_by_users(con: duckdb.DuckDBPyConnection, name: str, cut_off: datetime, path: Path) -> int:
    """Write range by range of users into one file: DuckDB cannot spill lists, so it is given few of them at a time."""
    ranges = con.execute(statement("user_ranges"), {"num_rows": RANGE}).fetchall() or [("", "")]
    num_rows = 0
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for first, last in ranges:
            bounds = {"cut_off": cut_off, "first_user": first, "last_user": last}
            table = con.sql(statement(name), params=bounds).to_arrow_table()
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
            writer.write_table(table)
            num_rows += table.num_rows
    return num_rows


def _shrink(column: pa.Array) -> pa.Array:
    """Number the texts of a batch, so that an id takes 4 bytes, and copy the rest, which would keep the texts alive."""
    if pa.types.is_string(column.type):
        return column.dictionary_encode()
    return pa.array(column.to_numpy(zero_copy_only=False).copy())


def _numbers(column: list[pa.Array]) -> NDArray[Any]:  # Any: the column's type
    return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in column])


def _unify(column: list[pa.Array]) -> pa.ChunkedArray:
    """Give all batches one dictionary, in order of appearance."""
    return pa.chunked_array(column).unify_dictionaries()


def _codes(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """Return the codes of a dictionary column; -1 for null."""
    return _numbers([chunk.indices.fill_null(-1) for chunk in column.chunks]).astype(np.int32, copy=False)


def _sorted_codes(column: list[pa.Array], *, also: Ids | None = None) -> tuple[NDArray[np.int32], Ids]:
    """Number the distinct texts of a column, and those of ``also``, in ascending order."""
    unified = _unify(column)
    values = unified.chunk(0).dictionary.to_numpy(zero_copy_only=False).astype(object)
    distinct = np.unique(values if also is None else np.concatenate([values, np.asarray(also, object)]))
    places = pd.Index(distinct).get_indexer(pd.Index(values))
    return places.astype(np.int32, copy=False)[_codes(unified)], distinct
