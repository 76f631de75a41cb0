"""Which items may be listed as of a time, and what the rules have to know of items and users before they order a list.

Shapes: N items, W values of an item in a column (padded with -1), P pins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import CREATED_AT, ITEM_ID
from bowerbird.condition import Condition
from bowerbird.data.interactions import Ids, to_microseconds
from bowerbird.errors import DataError, did_you_mean
from bowerbird.recipe_rules import Freshness, Pin, Rules

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

KNOWN = "select item_id from events union select item_id from items order by 1"


# ---- which items


def allowed_items(con: duckdb.DuckDBPyConnection, rules: Rules, at: int) -> list[str] | None:
    """Return the items that may be listed at a time (microseconds); None where nothing is forbidden.

    ``con`` has the views ``events`` and ``items``. An item of the log that the catalogue lacks is allowed, unless a rule asks
    for something that only the catalogue can tell: ``where``, ``categories``, ``max_age``.
    """
    catalogue = {item for (item,) in con.execute("select item_id from items").fetchall()}
    passing = _passing(con, rules, at) if catalogue else set()
    asks_catalogue = bool(rules.where or rules.categories or rules.max_age)
    if passing == catalogue and not rules.blocked_items and not asks_catalogue:
        return None
    forbidden = (catalogue - passing) | set(rules.blocked_items)
    known = (item for (item,) in con.execute(KNOWN).fetchall())
    return [item for item in known if item not in forbidden and (item in catalogue or not asks_catalogue)]


def _passing(con: duckdb.DuckDBPyConnection, rules: Rules, at: int) -> set[str]:
    """Return the items of the catalogue that no filter forbids."""
    texts = ["true"]
    values: dict[str, Any] = {}  # Any: bound values
    for text, own in _filters(con, rules, at):
        texts.append(text)
        values |= own
    statement = f"select item_id from items where {' and '.join(texts)}"  # noqa: S608 - columns are checked, values bound
    return {item for (item,) in con.execute(statement, values).fetchall()}


def _filters(con: duckdb.DuckDBPyConnection, rules: Rules, at: int) -> Iterator[tuple[str, dict[str, Any]]]:  # Any: bound values
    """Give each filter as a predicate that is never null, with its parameters."""
    if rules.availability:
        begun = "coalesce(epoch_us(available_from) <= $at, true)"
        yield f"{begun} and coalesce(epoch_us(available_until) > $at, true)", {"at": at}
    if rules.categories:
        yield "coalesce(list_has_any(categories, $categories), false)", {"categories": list(rules.categories)}
    if rules.blocked_categories:
        yield "not coalesce(list_has_any(categories, $barred), false)", {"barred": list(rules.blocked_categories)}
    if rules.max_age is not None:
        oldest = at - int(rules.max_age.total_seconds() * 1_000_000)
        yield "coalesce(epoch_us(created_at) between $oldest and $newest, false)", {"oldest": oldest, "newest": at}
    for place, condition in enumerate(rules.where):
        _require_columns(con, "items", condition.columns, f"rules.where.{place}")
        yield condition.sql(f"where_{place}")


def _require_columns(con: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], key: str) -> None:
    """Raise DataError where no run has brought a column in, though the recipe maps it."""
    present = con.table(table).columns
    for column in columns:
        if column not in present:
            raise DataError(
                f"{key} reads the column {column!r}, which no row of the {table} has; they have {', '.join(present)}",
                next_step="ingest the source again with the recipe that maps it",
            )


def warn_of_unknown(con: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Log the items and categories of the filters that nobody has: gone by now, or misspelt."""
    items = [item for (item,) in con.execute(KNOWN).fetchall()]
    rows = con.execute("select distinct unnest(categories) as category from items order by 1").fetchall()
    categories = [category for (category,) in rows]
    asked = (
        ("blocked_items", rules.blocked_items, items),
        ("categories", rules.categories, categories),
        ("blocked_categories", rules.blocked_categories, categories),
    )
    for key, names, known in asked:
        for name in sorted(set(names) - set(known)):
            logger.warning("rules.%s names %r, which nothing has%s", key, name, did_you_mean(name, known))


# ---- what the rules know


@dataclass(frozen=True, eq=False)
class Shelf:
    """The catalogue as the rules see it, in the codes of a model; pinned items that the model does not know come last.

    ``values`` holds, for each column that a rule reads, the codes of each item's values, int32 [N, W]; ``freshness`` what an
    item's age adds to its relevance [N]; ``segments`` the users of each pin, None for everybody.
    """

    item_index: pd.Index[Any]  # Any: see Ids
    values: dict[str, NDArray[np.int32]]
    freshness_N: NDArray[np.float64]
    is_allowed_N: NDArray[np.bool_]
    pins: tuple[Pin, ...]
    pin_codes_P: NDArray[np.int64]
    segments: tuple[frozenset[str] | None, ...]


def read_shelf(con: duckdb.DuckDBPyConnection, rules: Rules, item_ids: Ids, *, allowed: list[str] | None, at: int) -> Shelf:
    """Read what the rules have to know; ``con`` has the views ``events``, ``items`` and ``users``.

    Raises DataError for a pin of an item that nobody knows.
    """
    known = pd.Index(item_ids)
    pinned = [pin.item for pin in rules.pins]
    _require_known_pins(con, pinned)
    index = known.append(pd.Index(sorted({item for item in pinned if item not in known}), dtype=known.dtype))
    items = con.execute("select * from items order by item_id").df().set_index(ITEM_ID, drop=False).reindex(index)
    read = [quota.column for quota in rules.quotas]
    read += rules.diversity.columns if rules.diversity and rules.diversity.by == "columns" else ()
    read += [rules.calibration.column] if rules.calibration else []
    _require_columns(con, "items", read, "[rules]")
    return Shelf(
        item_index=index,
        values={column: value_codes(items[column]) for column in dict.fromkeys(read)},
        freshness_N=_freshness(items, rules.freshness, at),
        is_allowed_N=np.ones(len(index), bool) if allowed is None else index.isin(allowed),
        pins=rules.pins,
        pin_codes_P=index.get_indexer(pd.Index(pinned, dtype=known.dtype)).astype(np.int64),
        segments=tuple(segment(con, pin.when) for pin in rules.pins),
    )


def _require_known_pins(con: duckdb.DuckDBPyConnection, pinned: list[str]) -> None:
    known = [item for (item,) in con.execute(KNOWN).fetchall()] if pinned else []
    for item in set(pinned) - set(known):
        raise DataError(
            f"rules.pins names the item {item!r}, which neither the catalogue nor the log knows{did_you_mean(item, known)}",
            next_step="mend the pin",
        )


def segment(con: duckdb.DuckDBPyConnection, when: Condition | None) -> frozenset[str] | None:
    """Return the users for whom a condition holds; None for everybody."""
    if when is None:
        return None
    _require_columns(con, "users", when.columns, "rules.pins")
    text, values = when.sql("pin")
    statement = f"select user_id from users where {text}"  # noqa: S608 - columns are checked, values bound
    return frozenset(user for (user,) in con.execute(statement, values).fetchall())


def value_codes(column: pd.Series[Any]) -> NDArray[np.int32]:  # Any: texts, numbers, or lists of texts
    """Give each item's values as codes, -1 where an item has fewer than another; int32 [N, W]."""
    long = pd.DataFrame({"item": np.arange(len(column)), "value": column.to_numpy(object)}).explode("value")
    long = long.dropna().drop_duplicates()
    slots = long.groupby("item").cumcount().to_numpy()
    codes_NW = np.full((len(column), int(slots.max(initial=0)) + 1), -1, np.int32)
    codes_NW[long["item"].to_numpy(np.int64), slots] = pd.factorize(long["value"])[0]
    return codes_NW


def _freshness(items: pd.DataFrame, freshness: Freshness | None, at: int) -> NDArray[np.float64]:
    """Return boost * 2^(-age / half-life), 0 where the age is unknown or below 0; [N]."""
    boost_N = np.zeros(len(items))
    if freshness is None:
        return boost_N
    is_known = items[CREATED_AT].notna().to_numpy()
    ages = (at - to_microseconds(items.loc[is_known, CREATED_AT])) / 1_000_000
    boosts = freshness.boost * np.exp2(-np.maximum(ages, 0) / freshness.half_life.total_seconds())
    boost_N[is_known] = np.where(ages < 0, 0, boosts)
    return boost_N


def longest_list(rules: Rules, shelf: Shelf) -> int:
    """Return a bound on how many items quotas let into one list: of n items with the same value, at most ``most`` count."""
    bound = len(shelf.item_index)
    for quota in rules.quotas:
        values_NW = shelf.values[quota.column][shelf.is_allowed_N]
        sizes = np.bincount(values_NW[values_NW >= 0])
        free = int((values_NW < 0).all(axis=1).sum())
        bound = min(bound, free + int(np.minimum(sizes, quota.most).sum()) + len(shelf.pins))
    return bound
