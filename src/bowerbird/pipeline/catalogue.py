"""What figures beyond accuracy have to know: the items' prices, ages and categories, and the lists that are published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.columns import AVAILABLE_FROM, CATEGORIES, CREATED_AT, ITEM_ID, PRICE, RANK, TEXT_VECTOR, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions, to_microseconds
from bowerbird.evaluation.beyond import Catalogue
from bowerbird.pipeline.prepare import reading
from bowerbird.pipeline.run import Run
from bowerbird.store import published
from bowerbird.store.tables import relation

if TYPE_CHECKING:
    import duckdb


def read_catalogue(con: duckdb.DuckDBPyConnection, data: Interactions, *, at: int, texts: Path) -> Catalogue:
    """Read what is known of the items of ``data`` at a time (microseconds); columns that no item has are left out.

    Items are alike by their categories; where no item has one, by the vectors in the file ``texts``, if a run has made it.
    """
    items = con.table("items")
    facts = items.project(f"{ITEM_ID}, {PRICE}, {CREATED_AT}, {AVAILABLE_FROM}").df().set_index(ITEM_ID).reindex(data.item_index)
    categories_NG = _one_hot(items.project(f"{ITEM_ID}, unnest({CATEGORIES}) as category").df().dropna(), data)
    return Catalogue(
        data.item_weights(),
        ages_N=_ages(facts, data, at),
        prices_N=facts[PRICE].to_numpy(np.float64) if facts[PRICE].notna().any() else None,
        categories_NG=categories_NG,
        vectors_ND=_text_vectors(texts, data) if categories_NG is None else None,
    )


def _one_hot(pairs: pd.DataFrame, data: Interactions) -> csr_array | None:
    """Mark each item's categories; [N, G], None where no item has one."""
    items = data.item_index.get_indexer(pd.Index(pairs[ITEM_ID]))
    codes, names = pd.factorize(pairs.loc[items >= 0, "category"], sort=True)
    if not len(names):
        return None
    marks_NG = csr_array((np.ones(len(codes)), (items[items >= 0], codes)), shape=(data.num_items, len(names)))
    marks_NG.data[:] = 1  # a category that an item names twice
    return marks_NG


def _ages(facts: pd.DataFrame, data: Interactions, at: int) -> NDArray[np.float64] | None:
    """Return days since items came, 0 for those to come; [N], NaN where unknown, None where all are.

    An item came when it was created; where that is not told, when it was first available or first had an event.
    """
    came_N = np.full(data.num_items, np.inf)
    np.minimum.at(came_N, data.items, data.timestamps)
    for column, decides in ((AVAILABLE_FROM, False), (CREATED_AT, True)):
        is_told = facts[column].notna().to_numpy()
        told = to_microseconds(facts[column][is_told])
        came_N[is_told] = told if decides else np.minimum(came_N[is_told], told)
    ages_N = np.where(np.isfinite(came_N), np.maximum(at - came_N, 0) / MICROSECONDS_A_DAY, np.nan)
    return ages_N if np.isfinite(ages_N).any() else None


def _text_vectors(path: Path, data: Interactions) -> NDArray[np.float64] | None:
    """Return the vectors of the items' texts; [N, D], zeros where an item has none, None where there are none."""
    if not path.exists():
        return None
    table = pd.read_parquet(path, columns=[ITEM_ID, TEXT_VECTOR]).dropna()
    items = data.item_index.get_indexer(pd.Index(table[ITEM_ID]))
    if not (items >= 0).any():
        return None
    known_ND = np.array(table.loc[items >= 0, TEXT_VECTOR].tolist(), np.float64)
    vectors_ND = np.zeros((data.num_items, known_ND.shape[1]))
    vectors_ND[items[items >= 0]] = known_ND
    return vectors_ND


def published_lists(run: Run) -> pd.DataFrame | None:
    """Read ``user_id, item_id, rank`` of what is published now, as many places as are measured; None where nothing is."""
    if published.current(run.home) is None:
        return None
    with reading(run) as con:
        relation(con, run.home.recommendations, "published")
        shown = con.table("published").filter(f"{RANK} <= {run.recipe.gate.k}")
        lists: pd.DataFrame = shown.project(f"{USER_ID}, {ITEM_ID}, {RANK}").df()
    return lists
