"""Small event logs for the tests of the warehouse: one line a row, days counted from 2026-01-01."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from bowerbird.recipe import Recipe
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.features import FEATURES, prepare
from bowerbird.warehouse.inputs import statement

Rows = list[tuple[Any, ...]]  # Any: what a table holds
START = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = """
create or replace temp table events (
    event_id varchar, user_id varchar, item_id varchar, event varchar, timestamp timestamptz, session_id varchar,
    quantity double, price double, source_file varchar, source_row bigint, run_id varchar, rating double, country varchar
)
"""


def day(number: float) -> datetime:
    """The moment ``number`` days after the start."""
    return START + timedelta(days=number)


def recipe(
    *, gains: str = "equal", targets: tuple[str, ...] = ("purchase",), **events: Any
) -> Recipe:  # Any: keys of [source.events]
    """A shop's recipe: views weigh 1, purchases 4; purchases are the target and refunds take them back."""
    source = {
        "path": "events.csv",
        "columns": {name: name for name in ("user_id", "rating", "ratings", "country")},
        "weights": {"view": 1, "purchase": 4, "refund": 0},
        "cancels": {"refund": "purchase"},
        **events,
    }
    target = {"events": targets, "gains": gains}
    return Recipe.model_validate({"name": "shop", "source": {"events": source}, "target": target})


def log(text: str, con: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyConnection:
    """Put events into a connection; a line reads ``day user item event[ key=value ...]``, and its place is its source row."""
    con = con or connect(threads=2)
    con.execute(EVENTS)
    for place, line in enumerate(text.strip().splitlines()):
        number, user, item, event, *rest = line.split()
        extra = dict(part.split("=") for part in rest)
        row = {"event_id": f"e{place:03}", "source_row": place, "source_file": "events.csv", "run_id": "run", **extra}
        row |= {"user_id": user, "item_id": item, "event": event, "timestamp": day(float(number))}
        names = ", ".join(row)
        con.execute(f"insert into events ({names}) values ({', '.join(f'${name}' for name in row)})", row)
    return con


def run(con: duckdb.DuckDBPyConnection, name: str, *, cut_off: float, recipe: Recipe) -> list[dict[str, Any]]:  # Any: see Rows
    """Return the rows of one file as of a day, of all users, with what it builds on."""
    prepare(con, recipe, cut_off=day(cut_off))
    moments = {"cut_off": day(cut_off)}
    if name in FEATURES[1:]:
        con.execute("drop table if exists numbered")
        con.execute(f"create temp table numbered as {statement('interactions')}", moments)
        con.execute("create or replace temp view interactions as select *, rowid as position from numbered")
    bounds = {"first_user": "", "last_user": "\U0010ffff"} if name == "user_sequences" else {}
    found = con.execute(statement(name), moments | bounds)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def columns(rows: list[dict[str, Any]], *names: str) -> Rows:  # Any: see Rows
    """Keep some columns, as tuples."""
    return [tuple(row[name] for name in names) for row in rows]
