"""Puts events and items, as codes, before the SQL files of the warehouse, and reads back columns of numbers.

U users or B users of a block, N items, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CATEGORIES, CREATED_AT, PRICE
from bowerbird.data.interactions import to_microseconds
from bowerbird.models.histories import Histories
from bowerbird.warehouse.inputs import as_moment, statement

Columns = dict[str, NDArray[np.float64]]

MAX_WEIGHT: Final = 1e11
"""The SQL files sum decimals with twelve digits before the point; a larger weight counts as this."""
NO_NUMBERS: Final = {PRICE, CREATED_AT, AVAILABLE_FROM, AVAILABLE_UNTIL}
"""Columns that have features of their own, or are times."""


def described(frame: pd.DataFrame | None, key: str, index: pd.Index[Any]) -> pd.DataFrame:  # Any: see Ids
    """Index a frame by the codes of its ids; unknown ids are left out, and of a repeated id the last row counts."""
    if frame is None:
        return pd.DataFrame(index=pd.Index([], dtype=np.int64))
    coded = frame.drop(columns=key).set_index(index.get_indexer(pd.Index(frame[key])))
    return coded[(coded.index >= 0) & ~coded.index.duplicated(keep="last")].sort_index()


def numbers(frame: pd.DataFrame, size: int) -> Columns:
    """Return the further columns of a described frame that hold numbers or booleans, [size] each; NaN where there is none."""
    found = [str(name) for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name]) and name not in NO_NUMBERS]
    return {name: spread(frame.index.to_numpy(), frame[name].to_numpy(np.float64, na_value=np.nan), size) for name in found}


def spread(places: NDArray[np.int64], values: NDArray[np.float64], size: int, missing: float = np.nan) -> NDArray[np.float64]:
    """Put values into their places of an array of ``size``; the rest, and what is infinite, is ``missing``."""
    column = np.full(size, missing)
    column[places] = np.where(np.isinf(values), missing, values)
    return column


def category_matrix(items: pd.DataFrame, num_items: int) -> csr_array:
    """Number the categories of described items in the order of their names; an entry is 1 / how many the item has, N x C."""
    lists = items[CATEGORIES].map(_as_list) if CATEGORIES in items else pd.Series(dtype=object)
    exploded = lists.explode().dropna()
    codes, names = pd.factorize(exploded.astype(str), sort=True)
    places = exploded.index.to_numpy(np.int64)
    had = csr_array((np.ones(len(codes)), (places, codes)), shape=(num_items, max(1, len(names))))
    had.data = 1.0 / np.repeat(np.diff(had.indptr), np.diff(had.indptr))  # after duplicates were summed
    return had


def register_events(con: duckdb.DuckDBPyConnection, histories: Histories, prices_N: NDArray[np.float64]) -> None:
    """Create the view ``interactions``: users are places in the block, items codes, prices those of the catalogue."""
    num_events = len(histories.items)
    columns = {
        "user_id": histories.rows.astype(np.int32),
        "item_id": histories.items,
        "timestamp": _times(histories.timestamps),
        "weight": np.minimum(histories.weights, MAX_WEIGHT),
        "session_id": pa.nulls(num_events, pa.string()),
        "is_target": histories.weights > 0,
        "price": pa.array(prices_N[histories.items], from_pandas=True),
        "position": np.arange(num_events),
    }
    con.register("interactions", pa.table(columns))


def register_catalogue(con: duckdb.DuckDBPyConnection, items: pd.DataFrame, categories_NC: csr_array) -> None:
    """Create the view ``catalogue`` of described items, categories as codes."""
    codes = items.index.to_numpy(np.int32)
    theirs = categories_NC[codes]
    columns = {
        "item_id": codes,
        "title": pa.nulls(len(items), pa.string()),
        "categories": pa.ListArray.from_arrays(theirs.indptr.astype(np.int32), theirs.indices.astype(np.int32)),
        "price": pa.array(prices(items), from_pandas=True),
        "created_at": _created(items),
    }
    con.register("catalogue", pa.table(columns))


def prices(items: pd.DataFrame) -> NDArray[np.float64]:
    """Return the prices of described items; NaN where there is none."""
    return items[PRICE].to_numpy(np.float64, na_value=np.nan) if PRICE in items else np.full(len(items), np.nan)


def query(con: duckdb.DuckDBPyConnection, name: str, moment: int, columns: Sequence[str]) -> Columns:
    """Run a SQL file as of a moment; nulls become NaN, times microseconds."""
    table = con.sql(statement(name), params={"cut_off": as_moment(moment)}).to_arrow_table().select(columns)
    return {column: _as_numbers(table[column]) for column in columns}


def _as_numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    found: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return found


def _times(microseconds: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array(microseconds, mask=missing).cast(pa.timestamp("us", "UTC"))


def _created(items: pd.DataFrame) -> pa.Array:
    if CREATED_AT not in items:
        return pa.nulls(len(items), pa.timestamp("us", "UTC"))
    is_missing = items[CREATED_AT].isna().to_numpy()
    moments = np.zeros(len(items), np.int64)
    moments[~is_missing] = to_microseconds(items[CREATED_AT][~is_missing])
    return _times(moments, is_missing)


def _as_list(value: Any) -> list[Any]:  # Any: a list, an array, a text or nothing
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []
