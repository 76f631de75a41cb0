"""Reads what leak checks judge: when items came, counts before and after a cut-off, and what dates rows and features carry.

The connection holds the views ``events``, ``items`` and ``users``. What the figures mean is said in ``evaluation/leaks.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CREATED_AT, ITEM_ID, TITLE, USER_ID
from bowerbird.recipe import Recipe
from bowerbird.warehouse.inputs import as_moment, judge, statement

NUMERIC: Final = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE)$")
RATING: Final = "rating"
IDS: Final = {"items": ITEM_ID, "users": USER_ID}
PLANNED: Final = (CREATED_AT, AVAILABLE_FROM, AVAILABLE_UNTIL)
"""Columns whose times say when something begins and ends, not when its row was written."""


@dataclass(frozen=True)
class RowDates:
    """What a column of times says of rows whose item or user was there before the cut-off.

    ``num_ahead`` rows lie after the newest event, ``num_young`` between the cut-off and that; ``first`` is the earliest of these.
    """

    column: str
    num_ahead: int
    num_young: int
    first: tuple[str, datetime] | None


def arrivals(con: duckdb.DuckDBPyConnection, cut_off: int) -> pd.DataFrame:
    """Return ``item_id, came_at, told_by`` of the items that no event before the cut-off (microseconds) names."""
    return con.execute(statement("item_arrivals"), {"cut_off": as_moment(cut_off)}).df()


def counts_across(con: duckdb.DuckDBPyConnection, recipe: Recipe, cut_off: int) -> pd.DataFrame:
    """Return the rows of ``counts_across.sql``."""
    judge(con, recipe)
    value = _rating(con, recipe)
    cast = f'try_cast("{value}" as decimal(18, 6))' if value else "null::decimal(18, 6)"
    con.execute(f"create or replace temp view events_valued as select *, {cast} as value from events_judged")  # noqa: S608 - see below
    return con.execute(statement("counts_across"), {"cut_off": as_moment(cut_off)}).df()


def _rating(con: duckdb.DuckDBPyConnection, recipe: Recipe) -> str | None:
    """Return the events' column that users rate with: the first that ``target_when`` holds against a number, or ``rating``."""
    condition = recipe.source.events.target_when if recipe.source.events else None
    graded = [term.column for term in condition.terms if isinstance(term.value, float)] if condition else []
    return next((name for name in (*graded, RATING) if name in con.table("events").columns), None)


def numbers_of(con: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    """Return the id and the columns of ``items`` or ``users`` that hold nothing but numbers, texts of numbers too."""
    names = [name for name, kind in _others(con, table) if kind == "VARCHAR" or NUMERIC.match(kind)]
    casts = "".join(f', try_cast("{name}" as double) as "{name}"' for name in names)
    counts = "".join(f', count("{name}")' for name in names)
    found = con.execute(f"select {IDS[table]}{casts} from {table} order by 1").df()  # noqa: S608 - names that the table has
    (given,) = con.execute(f"select count(*){counts} from {table}").fetchall()  # noqa: S608 - names that the table has
    are_numbers = [name for name, count in zip(names, given[1:], strict=True) if found[name].count() == count > 0]
    return found[[IDS[table], *are_numbers]]


def dates_of(con: duckdb.DuckDBPyConnection, table: str, cut_off: int) -> Iterator[RowDates]:
    """Give the dates in the columns of ``items`` or ``users`` that hold nothing but times, ``PLANNED`` ones aside."""
    known, at = IDS[table], {"cut_off": as_moment(cut_off)}
    for column, kind in _others(con, table):
        if kind != "VARCHAR" and not kind.startswith(("TIMESTAMP", "DATE")):
            continue
        row = con.execute(
            f"""
            with dated as (
                select {known} as id, try_cast("{column}" as timestamptz) as moment, "{column}" is not null as is_given
                from {table}
            ),
            newest as (select max(timestamp) as moment from events),
            ours as (select * from dated where id in (select {known} from events where timestamp < $cut_off)),
            young as (select * from ours where moment >= $cut_off and moment <= (select moment from newest))
            select
                (select count(*) filter (is_given) - count(moment) from dated),
                (select count(moment) from dated),
                (select count(*) from dated where moment > (select moment from newest)),
                (select count(*) from young),
                (select min_by(id, (moment, id)) from young),
                (select min(moment) from young)
            """,  # noqa: S608 - a name that the table has
            at,
        ).fetchone()
        assert row is not None
        num_unread, num_times, num_ahead, num_young, first, moment = row
        if num_times and not num_unread:
            yield RowDates(column, num_ahead, num_young, (first, moment) if num_young else None)


def newest_in(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, datetime]:
    """Return the latest time in each column of times of a Parquet file."""
    kinds = con.execute("select column_name, column_type from (describe select * from read_parquet($path))", {"path": str(path)})
    found = {}
    for column, kind in kinds.fetchall():
        if kind.startswith("TIMESTAMP"):
            value = f'list_max("{column}")' if kind.endswith("[]") else f'"{column}"'
            query = f"select max({value}) from read_parquet($path)"  # noqa: S608 - a name that the file has
            ((newest,),) = con.execute(query, {"path": str(path)}).fetchall()
            if newest is not None:
                found[column] = newest
    return found


def _others(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """List name and type of the columns that might hold numbers or times; names are those that a recipe may give, so safe."""
    relation = con.table(table)
    kinds = zip(relation.columns, map(str, relation.types), strict=True)
    left_out = (IDS[table], TITLE, *PLANNED)
    return [(name, kind) for name, kind in kinds if name not in left_out and not kind.endswith("[]")]
