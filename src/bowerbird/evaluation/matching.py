"""Where in a user's list his targets stand; the one join from which every accuracy metric is computed.

Lists are laid out as a table of users by places, and each target is compared with its user's row, so nothing as long as
the lists is ever sorted. Shapes: U users with targets, K places, T targets, H hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, RANK, USER_ID
from bowerbird.errors import DataError

Codes = NDArray[np.int64]
EMPTY = np.iinfo(np.int64).min
BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Matches:
    """What lists hit of the targets, up to place ``k``.

    Attributes
    ----------
    k : int
        Places of a list that count.
    user_ids : Index [U]
        The users who have targets, ascending.
    num_targets : int64 [U]
        Distinct targets of each.
    hit_users, hit_places : int64 [H]
        Each hit's user (a place in ``user_ids``) and place in the list, from 0; ordered by user, then by place.
    """

    k: int
    user_ids: pd.Index[Any]  # Any: ids are texts or whole numbers
    num_targets: Codes
    hit_users: Codes
    hit_places: Codes

    @property
    def num_hits(self) -> Codes:
        """Hits of each user; int64 [U]."""
        return np.bincount(self.hit_users, minlength=len(self.user_ids)).astype(np.int64)

    def sum_by_user(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum one value a hit (float64 [H]) by user; float64 [U]."""
        return np.bincount(self.hit_users, values, minlength=len(self.user_ids)).astype(np.float64)


def match(lists: pd.DataFrame, targets: pd.DataFrame, *, k: int) -> Matches:
    """Find the targets in the first ``k`` places of the lists.

    Parameters
    ----------
    lists : DataFrame
        ``user_id, item_id, rank``, rank from 1, in any order; users without targets are left out. An item that stands
        twice in a list counts at its first place.
    targets : DataFrame
        ``user_id, item_id``; a pair that occurs twice counts once.
    k : int
        Places that count, at least 1.

    Raises
    ------
    DataError
        For ``k`` or a rank below 1, a missing id, a rank that a user has twice, or ids that are numbers on one side and
        texts on the other.
    """
    if k < 1:
        raise DataError(f"k is {k}", next_step="give a whole number of places, at least 1")
    for column in (USER_ID, ITEM_ID):
        _check_ids(lists[column], targets[column], column)
    users_T, user_ids = pd.factorize(targets[USER_ID], sort=True)
    items_L, items_T = _comparable(lists[ITEM_ID], targets[ITEM_ID])
    users_T, items_T = _distinct(users_T.astype(np.int64), items_T)
    table_UK = _as_table(lists, items_L, pd.Index(user_ids), k)
    hit_users, hit_places = _find(table_UK, users_T, items_T)
    num_targets = np.bincount(users_T, minlength=len(user_ids)).astype(np.int64)
    return Matches(k, pd.Index(user_ids, name=USER_ID), num_targets, hit_users, hit_places)


def paired_tables(lists: pd.DataFrame, others: pd.DataFrame, *, k: int) -> tuple[Codes, Codes]:
    """Lay out the lists of the users who have both, first k places; two arrays int64 [U, K], EMPTY where there is no item.

    Numbers are equal where items are. Raises DataError as ``match`` does.
    """
    lists, others = lists[lists[RANK] <= k], others[others[RANK] <= k]
    for column in (USER_ID, ITEM_ID):
        _check_ids(lists[column], others[column], column)
    ours, theirs = _comparable(lists[ITEM_ID], others[ITEM_ID])
    user_ids = pd.Index(lists[USER_ID].unique()).intersection(pd.Index(others[USER_ID].unique()))
    return _as_table(lists, ours, user_ids, k), _as_table(others, theirs, user_ids, k)


def _check_ids(ours: pd.Series[Any], theirs: pd.Series[Any], column: str) -> None:  # Any: see Matches
    for name, ids in (("lists", ours), ("targets", theirs)):
        if ids.isna().any():
            raise DataError(f"{int(ids.isna().sum())} rows of the {name} have no {column}", next_step="drop those rows")
    is_number = [pd.api.types.is_numeric_dtype(ids) for ids in (ours, theirs)]
    if len(ours) and len(theirs) and is_number[0] != is_number[1]:
        raise DataError(
            f"{column} is {ours.dtype} in the lists and {theirs.dtype} in the targets", next_step="turn both into one type"
        )


def _comparable(ours: pd.Series[Any], theirs: pd.Series[Any]) -> tuple[Codes, Codes]:  # Any: see Matches
    """Turn item ids into whole numbers that are equal where the ids are; whole numbers stay as they are."""
    if all(pd.api.types.is_integer_dtype(ids) for ids in (ours, theirs)):
        return ours.to_numpy(np.int64), theirs.to_numpy(np.int64)
    codes_T, wanted = pd.factorize(theirs, sort=True)
    codes_L, listed = pd.factorize(ours)
    place_of_listed = pd.Index(wanted).get_indexer(pd.Index(listed)).astype(np.int64)
    return place_of_listed[codes_L] if len(codes_L) else np.zeros(0, np.int64), codes_T.astype(np.int64)


def _distinct(users_T: Codes, items_T: Codes) -> tuple[Codes, Codes]:
    """Keep one of equal pairs; ordered by user, then item."""
    order = np.lexsort((items_T, users_T))
    users_T, items_T = users_T[order], items_T[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (users_T[1:] != users_T[:-1]) | (items_T[1:] != items_T[:-1])
    return users_T[is_new], items_T[is_new]


def _as_table(lists: pd.DataFrame, items_L: Codes, user_ids: pd.Index[Any], k: int) -> Codes:  # Any: see Matches
    """Lay the lists out; int64 [U, K], EMPTY where a list has no item."""
    ranks_L = lists[RANK].to_numpy(np.int64)
    if len(ranks_L) and ranks_L.min() < 1:
        raise DataError(f"a rank is {ranks_L.min()}", next_step="count ranks from 1")
    users_L = _look_up(lists[USER_ID], user_ids)
    kept = (users_L >= 0) & (ranks_L <= k)
    table_UK = np.full((len(user_ids), k), EMPTY, np.int64)
    table_UK[users_L[kept], ranks_L[kept] - 1] = items_L[kept]
    num_twice = int(kept.sum()) - int(np.count_nonzero(table_UK != EMPTY))
    if num_twice:
        raise DataError(f"{num_twice} ranks stand twice in one user's list", next_step="number each list from 1 without repeats")
    return table_UK


def _look_up(ids: pd.Series[Any], known: pd.Index[Any]) -> Codes:  # Any: see Matches
    """Find each id's place in ``known``, -1 where it has none; int64 [L].

    Lists come sorted by user, so equal neighbours are looked up once.
    """
    if not len(ids):
        return np.zeros(0, np.int64)
    is_first = np.ones(len(ids), bool)
    is_first[1:] = np.asarray(ids.array[1:] != ids.array[:-1], bool)
    starts = np.flatnonzero(is_first)
    places = known.get_indexer(pd.Index(ids.iloc[starts])).astype(np.int64)
    return np.repeat(places, np.diff(np.append(starts, len(ids))))


def _find(table_UK: Codes, users_T: Codes, items_T: Codes) -> tuple[Codes, Codes]:
    """Compare each target with its user's list; users and places of the hits, ordered by both."""
    k = table_UK.shape[1]
    found = []
    for start in range(0, len(users_T), BLOCK):
        users_B, items_B = users_T[start : start + BLOCK], items_T[start : start + BLOCK]
        is_hit_BK = table_UK[users_B] == items_B[:, None]
        is_hit_B = is_hit_BK.any(axis=1)
        found.append(users_B[is_hit_B] * k + is_hit_BK[is_hit_B].argmax(axis=1))
    cells_H = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return cells_H // k, cells_H % k
