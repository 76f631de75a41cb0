"""Sets up what the SQL files of the features read: small tables of the recipe, judged events, the catalogue.

A recipe's event types and its target condition become tables that the files join, since a recipe may change without a new ingest.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from bowerbird.errors import RecipeError, did_you_mean
from bowerbird.recipe import Recipe
from bowerbird.recipe_source import EventSource

CATALOGUE: Final = {
    "item_id": "varchar",
    "title": "varchar",
    "categories": "varchar[]",
    "price": "double",
    "created_at": "timestamptz",
}
"""Columns of ``items`` that features read; one that the view lacks is null."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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


def judge(con: duckdb.DuckDBPyConnection, recipe: Recipe) -> None:
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


def find_cancelled(con: duckdb.DuckDBPyConnection, *cut_offs: datetime) -> None:
    """Create ``cancelled_events``, with what was cancelled before each cut-off; the log is not read where no type cancels."""
    con.execute("create or replace temp table cancelled_events (cut_off timestamptz, event_id varchar)")
    ((num_cancelling,),) = con.execute("select count(cancels) from event_types").fetchall()
    for cut_off in set(cut_offs) if num_cancelling else ():
        con.execute(f"insert into cancelled_events {statement('cancelled_events')}", {"cut_off": cut_off})


def register_catalogue(con: duckdb.DuckDBPyConnection) -> None:
    """Create the view ``catalogue``: the columns of ``items`` that features read, no rows where there is no such view."""
    known = _columns(con, "items")
    columns = ", ".join(f"{name if name in known else 'null'}::{kind} as {name}" for name, kind in CATALOGUE.items())
    source = "from items" if known else "where false"
    con.execute(f"create or replace temp view catalogue as select {columns} {source}")


def register_interactions(con: duckdb.DuckDBPyConnection, path: Path) -> None:
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
