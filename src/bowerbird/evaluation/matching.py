"""Where in a user's list his targets stand; the one join from which every accuracy metric is computed.

Lists are laid out as a table of users by places, in whole numbers that stand for items, and each target is compared with its
user's row, so nothing as long as the lists is ever sorted. Shapes: U users with targets, K places, N items, T targets, H hits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import GAIN, ITEM_ID, RANK, USER_ID
from bowerbird.errors import DataError

Codes = NDArray[np.int64]
Table = NDArray[np.int32]
Gains = NDArray[np.float64]
EMPTY = -1
BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Matches:
    """What lists hit of the targets, up to place ``k``.

    Attributes
    ----------
    k : int
        Places of a list that count.
    user_ids : Index [U]
        The users who have targets, ascending.
    item_ids : Index [N]
        The items that the table's codes stand for.
    table_UK : int32 [U, K]
        The users' lists; EMPTY where a list has ended, or names an item that is not in ``item_ids``.
    hit_users, hit_places : int64 [H]
        Each hit's user (a place in ``user_ids``) and place in the list, from 0; ordered by user, then by place.
    target_users, target_items : int64 [T]
        The distinct targets: places in ``user_ids`` and ``item_ids``, ordered by both.
    target_gains : float64 [T], optional
        What each target is worth; None where all are worth the same.
    """

    k: int
    user_ids: pd.Index[Any]  # Any: ids are texts or whole numbers
    item_ids: pd.Index[Any]  # Any: see user_ids
    table_UK: Table
    hit_users: Codes
    hit_places: Codes
    target_users: Codes
    target_items: Codes
    target_gains: Gains | None = None

    @property
    def num_targets(self) -> Codes:
        """Distinct targets of each user; int64 [U]."""
        return np.bincount(self.target_users, minlength=len(self.user_ids)).astype(np.int64)

    @property
    def num_hits(self) -> Codes:
        """Hits of each user; int64 [U]."""
        return np.bincount(self.hit_users, minlength=len(self.user_ids)).astype(np.int64)

    @property
    def hit_items(self) -> Codes:
        """The code of each hit's item; int64 [H]."""
        return self.table_UK[self.hit_users, self.hit_places].astype(np.int64)

    @property
    def hit_gains(self) -> Gains | None:
        """What each hit is worth; float64 [H], or None where all are worth the same."""
        if self.target_gains is None:
            return None
        num_items = len(self.item_ids)
        targets, hits = self.target_users * num_items + self.target_items, self.hit_users * num_items + self.hit_items
        return self.target_gains[np.searchsorted(targets, hits)]

    @property
    def hits(self) -> pd.DataFrame:
        """The hits as lists with gaps, ``user_id, item_id, rank``: a match with them hits what this one hits."""
        users, items = self.user_ids[self.hit_users], self.item_ids[self.hit_items]
        return pd.DataFrame({USER_ID: users, ITEM_ID: items, RANK: (self.hit_places + 1).astype(np.int32)})

    def sum_by_user(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum one value a hit (float64 [H]) by user; float64 [U]."""
        return np.bincount(self.hit_users, values, minlength=len(self.user_ids)).astype(np.float64)

    def first(self, k: int) -> Matches:
        """Return what the first ``k`` places hit; raises DataError for more places than were matched."""
        if not 1 <= k <= self.k:
            raise DataError(f"k is {k}, and {self.k} places were matched", next_step="match as many places as the largest k")
        counts = self.hit_places < k
        users, places = self.hit_users[counts], self.hit_places[counts]
        return replace(self, k=k, table_UK=self.table_UK[:, :k], hit_users=users, hit_places=places)


def match(
    lists: pd.DataFrame, targets: pd.DataFrame, *, k: int, items: pd.Index[Any] | None = None
) -> Matches:  # Any: see Matches
    """Find the targets in the first ``k`` places of the lists.

    Parameters
    ----------
    lists : DataFrame
        ``user_id, item_id, rank``, rank from 1, in any order; users without targets are left out. An item that stands
        twice in a list counts at its first place.
    targets : DataFrame
        ``user_id, item_id`` and optionally ``gain``, above 0; a pair that occurs twice counts once, with the larger gain.
    k : int
        Places that count, at least 1.
    items : Index [N], optional
        Items whose codes come first in the table, in this order; targets that are none of them come after. Without it the
        table knows the targets' items only, which is all that a match has to know.

    Raises
    ------
    DataError
        For ``k`` or a rank below 1, a missing id, a gain that is not above 0 and finite, a rank that a user has twice, or ids
        that are numbers on one side and texts on the other.
    """
    if k < 1:
        raise DataError(f"k is {k}", next_step="give a whole number of places, at least 1")
    _check_ids(lists, targets)
    users_T, user_ids = pd.factorize(targets[USER_ID], sort=True)
    codes_T, wanted = pd.factorize(targets[ITEM_ID])
    known = pd.Index(wanted) if items is None else _joined(pd.Index(items.to_numpy()), pd.Index(wanted))
    items_T = known.get_indexer(pd.Index(wanted)).astype(np.int64)[codes_T]
    gains_T = _gains(targets)
    users_T, items_T, gains_T = _distinct(users_T.astype(np.int64), items_T, len(known), gains_T)
    table_UK = lay_out(lists, users=pd.Index(user_ids), items=known, k=k)
    hit_users, hit_places = _find(table_UK, users_T, items_T)
    index = pd.Index(user_ids, name=USER_ID)
    return Matches(k, index, known, table_UK, hit_users, hit_places, users_T, items_T, gains_T)


def paired_tables(lists: pd.DataFrame, others: pd.DataFrame, *, k: int) -> tuple[pd.Index[Any], Table, Table]:  # Any: see Matches
    """Lay out the lists of the users who have both, first k places: the users, and two arrays int32 [U, K].

    Codes are equal where items are, and EMPTY where a list has ended. Raises DataError as ``match`` does.
    """
    lists, others = lists[lists[RANK] <= k], others[others[RANK] <= k]
    _check_ids(lists, others)
    users = pd.Index(lists[USER_ID].unique()).intersection(pd.Index(others[USER_ID].unique()))
    items = _joined(pd.Index(lists[ITEM_ID].unique()), pd.Index(others[ITEM_ID].unique()))
    ours, theirs = (lay_out(frame, users=users, items=items, k=k) for frame in (lists, others))
    return users, ours, theirs


def lay_out(lists: pd.DataFrame, *, users: pd.Index[Any], items: pd.Index[Any], k: int) -> Table:  # Any: see Matches
    """Lay out the first ``k`` places of some users' lists; int32 [U, K], EMPTY where there is no item, or none of ``items``.

    Raises DataError for a rank below 1 or one that a user has twice.
    """
    ranks_L, codes_L = lists[RANK].to_numpy(), _codes(lists[ITEM_ID], items)
    if len(ranks_L) and ranks_L.min() < 1:
        raise DataError(f"a rank is {ranks_L.min()}", next_step="count ranks from 1")
    starts = _starts(lists[USER_ID])
    rows = users.get_indexer(pd.Index(lists[USER_ID].iloc[starts]))
    table_UK = np.full((len(users), k), EMPTY, np.int32)
    width = len(codes_L) // max(len(starts), 1)
    if _are_full(ranks_L, starts, width) and np.bincount(rows[rows >= 0], minlength=1).max() <= 1:
        table_UK[rows[rows >= 0], :width] = codes_L.reshape(-1, width)[rows >= 0, :k]
        return table_UK
    rows_L = np.repeat(rows, np.diff(np.append(starts, len(codes_L))))
    kept = (rows_L >= 0) & (ranks_L <= k)
    cells = (rows_L[kept] * k + ranks_L[kept] - 1).astype(np.int64)
    num_twice = len(cells) - np.unique(cells).size
    if num_twice:
        raise DataError(f"{num_twice} ranks stand twice in one user's list", next_step="number each list from 1 without repeats")
    table_UK.ravel()[cells] = codes_L[kept]
    return table_UK


def _check_ids(lists: pd.DataFrame, targets: pd.DataFrame) -> None:
    for column in (USER_ID, ITEM_ID):
        sides = {"lists": lists[column], "targets": targets[column]}
        for name, ids in sides.items():
            if ids.isna().any():
                raise DataError(f"{int(ids.isna().sum())} rows of the {name} have no {column}", next_step="drop those rows")
        is_number = {pd.api.types.is_numeric_dtype(ids) for ids in sides.values() if len(ids)}
        if len(is_number) > 1:
            ours, theirs = (ids.dtype for ids in sides.values())
            raise DataError(f"{column} is {ours} in the lists and {theirs} in the targets", next_step="turn both into one type")


def _joined(items: pd.Index[Any], others: pd.Index[Any]) -> pd.Index[Any]:  # Any: see Matches
    """Put the ids that only ``others`` has behind ``items``."""
    missing = others[items.get_indexer(others) < 0]
    return items.append(missing) if len(missing) else items


def _codes(ids: pd.Series[Any], items: pd.Index[Any]) -> Table:  # Any: see Matches
    """Find each id's place among ``items``, EMPTY where it has none; int32 [L]."""
    if pd.api.types.is_integer_dtype(ids):
        return items.get_indexer(pd.Index(ids)).astype(np.int32)
    codes, distinct = pd.factorize(ids)  # texts are hashed once, their codes are cheap
    places: Table = items.get_indexer(pd.Index(distinct)).astype(np.int32)
    return places[codes]


def _starts(ids: pd.Series[Any]) -> Codes:  # Any: see Matches
    """Find where each run of equal ids begins; lists come user by user."""
    is_first = np.ones(len(ids), bool)
    is_first[1:] = np.asarray(ids.array[1:] != ids.array[:-1], bool)
    return np.flatnonzero(is_first)


def _are_full(ranks_L: NDArray[Any], starts: Codes, width: int) -> bool:  # Any: any whole number
    """Whether the lists are all as long as each other and in the order of ranks, so that a table need only be folded."""
    if not width or len(starts) * width != len(ranks_L) or (starts != np.arange(len(starts)) * width).any():
        return False
    return bool((ranks_L.reshape(-1, width) == np.arange(1, width + 1)).all())


def _gains(targets: pd.DataFrame) -> Gains | None:
    """Read what the targets are worth; None where that is not told."""
    if GAIN not in targets:
        return None
    gains = targets[GAIN].to_numpy(np.float64)
    wrong = ~(np.isfinite(gains) & (gains > 0))
    if wrong.any():
        raise DataError(f"a target's gain is {gains[wrong][0]:g}", next_step="give numbers above 0")
    return gains


def _distinct(users_T: Codes, items_T: Codes, num_items: int, gains_T: Gains | None) -> tuple[Codes, Codes, Gains | None]:
    """Keep one of equal pairs, with the largest of their gains; ordered by user, then item."""
    pairs = users_T * num_items + items_T
    if gains_T is None:
        pairs = np.sort(pairs)
    else:
        order = np.lexsort((-gains_T, pairs))
        pairs, gains_T = pairs[order], gains_T[order]
    is_first = np.diff(pairs, prepend=-1) > 0
    users, items = np.divmod(pairs[is_first], max(num_items, 1))
    return users, items, None if gains_T is None else gains_T[is_first]


def _find(table_UK: Table, users_T: Codes, items_T: Codes) -> tuple[Codes, Codes]:
    """Compare each target with its user's list; users and places of the hits, ordered by both."""
    k = table_UK.shape[1]
    found = []
    for start in range(0, len(users_T), BLOCK):
        users_B, items_B = users_T[start : start + BLOCK], items_T[start : start + BLOCK]
        is_hit_BK = table_UK[users_B] == items_B.astype(np.int32)[:, None]
        is_hit_B = is_hit_BK.any(axis=1)
        found.append(users_B[is_hit_B] * k + is_hit_BK[is_hit_B].argmax(axis=1))
    cells_H = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
    return cells_H // k, cells_H % k
