"""Features of a user, of an item, and of the two together, as of a moment: what rankers of pairs look at.

The files of ``warehouse/sql`` compute them in DuckDB, by user, by item, by user and item, by user and category; here they are put
side by side for pairs. Nothing at or after the moment enters: items are described as of the end of the data that was fitted on,
users by the part of their history that lies before the moment of asking. Weights are evidence; times are in days, those of users
capped at the span of the data, so that a history without times is no stranger than the oldest one.

    user_*          user_profiles.sql over the history
    item_*          item_profiles.sql and item_popularity.sql
    users.*         numbers that ``users`` has in further columns; items.* those of ``items``
    pair_*          user_item_histories.sql: the user's events on this very item
    category_share  user_tastes.sql: part of the user's evidence in the item's categories, mean over these
    price_ratio     log(price / mean price of what the user had)
    cooccurrence    sum over past events on j of 0.7^(events since) * weight of (j, item) in cooccurrence.sql
    similarity      sum over the items j of the last 100 events of cos[j, item] over users, without regard to weights

B users of a block, N items, C categories, P pairs, F features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from bowerbird.columns import ITEM_ID, PRICE, USER_ID, WEIGHT
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.base import Arrays, Histories
from bowerbird.models.linear import had_matrix, pack, state_matrix, unpack
from bowerbird.models.neighbours import cosine, nearest_items
from bowerbird.models.pair_tables import (
    Columns,
    category_matrix,
    described,
    numbers,
    prices,
    query,
    register_catalogue,
    register_events,
    spread,
)
from bowerbird.warehouse.connection import connect

USER: Final = ("num_events", "num_evidence", "num_items", WEIGHT, "days_since_last", "mean_gap_days", "mean_price")
PROFILE: Final = ("num_events", "num_evidence", "num_users", WEIGHT, "age_days", "last_timestamp", PRICE)
POPULARITY: Final = ("num_events_7d", "num_events_28d", "weight_7d", "weight_28d", "num_users_28d")
PAIR: Final = ("num_events", WEIGHT, "days_since_last")
CROSS: Final = (*(f"pair_{name}" for name in PAIR), "category_share", "price_ratio", "cooccurrence", "similarity")
UNKNOWN: Final = {"age_days", "last_timestamp", PRICE}
"""Missing for an item without events, where the counts are 0."""
CAPPED: Final = {"days_since_last", "mean_gap_days"}
DECAY: Final = 0.7
MAX_HISTORY: Final = 100
NUM_NEIGHBORS: Final = 50
SHRINKAGE: Final = 5.0


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """What is known of items up to the end of the data, and how to describe users and pairs.

    Attributes
    ----------
    names
        The features, in the order of the columns.
    is_known : bool [N]
        Items that were seen or stood in the catalogue before the end of the data.
    """

    names: tuple[str, ...]
    is_known: NDArray[np.bool_]
    span_days: float
    items_NF: NDArray[np.float32]
    users_UF: NDArray[np.float32]
    prices_N: NDArray[np.float64]
    categories_NC: csr_array
    followers_NN: csr_array
    neighbours_NN: csr_array

    @classmethod
    def fit(
        cls, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None, *, at: int | None = None
    ) -> PairFeatures:
        """Describe the items of ``data`` as of ``at`` (microseconds; just after the newest event if absent).

        ``items`` and ``users`` are frames with an id and further columns; ids that ``data`` does not know are left out.
        """
        moment = data.last_timestamp + 1 if at is None else at
        everybody = Histories.of_all(data.before(moment))
        size = data.num_items
        catalogue, people = described(items, ITEM_ID, data.item_index), described(users, USER_ID, data.user_index)
        categories_NC = category_matrix(catalogue, size)
        prices_N = spread(catalogue.index.to_numpy(), prices(catalogue), size)
        with connect() as con:
            register_events(con, everybody, prices_N)
            register_catalogue(con, catalogue, categories_NC)
            profiles = query(con, "item_profiles", moment, (ITEM_ID, *PROFILE))
            popularity = query(con, "item_popularity", moment, (ITEM_ID, *POPULARITY))
            pairs = query(con, "cooccurrence", moment, (ITEM_ID, "next_item_id", WEIGHT))
        own = _by_item(profiles, size) | _by_item(popularity, size)
        own["days_since_last"] = (moment - own.pop("last_timestamp")) / MICROSECONDS_A_DAY
        further = {"users.": numbers(people, data.num_users), "items.": numbers(catalogue, size)}
        named = {f"item_{name}": column for name, column in own.items()} | _prefixed(further, "items.")
        known = np.zeros(size, bool)
        known[profiles[ITEM_ID].astype(np.int64)] = True
        had = had_matrix(everybody.evidence().last(MAX_HISTORY), size)
        codes = pairs[ITEM_ID].astype(np.int32), pairs["next_item_id"].astype(np.int32)
        return cls(
            (*(f"user_{name}" for name in USER), *_prefixed(further, "users."), *named, *CROSS),
            known,
            (moment - int(everybody.timestamps.min(initial=moment))) / MICROSECONDS_A_DAY,
            _stack(named, size),
            _stack(further["users."], data.num_users),
            prices_N,
            categories_NC,
            coo_array((pairs[WEIGHT], codes), shape=(size, size)).tocsr(),
            nearest_items(had, cosine(had, shrinkage=SHRINKAGE), num_neighbors=NUM_NEIGHBORS),
        )

    def of(self, histories: Histories, rows: NDArray[np.int64], items: NDArray[np.int64], at: int) -> NDArray[np.float32]:
        """Describe pairs as of ``at`` (microseconds); float32 [P, F], NaN where a feature is missing.

        ``rows`` [P] are places of users in the block, ``items`` [P] item codes.
        """
        return self.block(histories, at).of(rows, items)

    def block(self, histories: Histories, at: int) -> PairBlock:
        """Describe the users of a block once, for several calls of ``PairBlock.of``."""
        past = histories.select(histories.timestamps < at)
        num_users, num_items = len(past.users), len(self.is_known)
        with connect(threads=1) as con:
            register_events(con, past, self.prices_N)
            register_catalogue(con, pd.DataFrame(index=np.unique(past.items)), self.categories_NC)
            profiles = query(con, "user_profiles", at, (USER_ID, *USER))
            tastes = query(con, "user_tastes", at, (USER_ID, "category", "share"))
            met = query(con, "user_item_histories", at, (USER_ID, ITEM_ID, *PAIR))
        places = profiles.pop(USER_ID).astype(np.int64)
        theirs = {name: spread(places, self._capped(name, column), num_users) for name, column in profiles.items()}
        attributes_BF = np.where(past.users[:, None] >= 0, self.users_UF[past.users], np.float32(np.nan))
        evidence = past.evidence().last(MAX_HISTORY)
        state = state_matrix(evidence, DECAY ** evidence.positions_back.astype(np.float64), num_items)
        shape, pair = (num_users, num_items), (met[USER_ID].astype(np.int32), met[ITEM_ID].astype(np.int32))
        return PairBlock(
            self,
            np.concatenate([_stack(theirs, num_users), attributes_BF], axis=1),
            tuple(csr_array((self._capped(name, met[name]), pair), shape=shape) for name in PAIR),
            _dense(tastes, num_users, self.categories_NC.shape[1]),
            _sorted(state @ self.followers_NN),
            _sorted(had_matrix(evidence, num_items) @ self.neighbours_NN),
        )

    def arrays(self) -> Arrays:
        """Return what ``fit`` learned, for ``save``."""
        kept: Arrays = {
            "names": np.frombuffer(json.dumps(self.names).encode(), np.uint8),
            "span_days": np.array([self.span_days]),
        }
        kept |= {name: getattr(self, name) for name in ("is_known", "items_NF", "users_UF", "prices_N")}
        kept |= pack(self.followers_NN, "followers") | pack(self.neighbours_NN, "neighbours")
        return kept | pack(self.categories_NC, "categories")

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[np.float64]]) -> PairFeatures:
        """Take back what ``arrays`` returned."""
        return cls(
            tuple(json.loads(arrays["names"].tobytes())),
            arrays["is_known"].astype(bool),
            float(arrays["span_days"][0]),
            arrays["items_NF"].astype(np.float32),
            arrays["users_UF"].astype(np.float32),
            arrays["prices_N"],
            unpack(dict(arrays), "categories"),
            unpack(dict(arrays), "followers"),
            unpack(dict(arrays), "neighbours"),
        )

    def _capped(self, name: str, column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum(column, self.span_days) if name in CAPPED else column


@dataclass(frozen=True, eq=False)
class PairBlock:
    """The users of a block, described."""

    features: PairFeatures
    users_BF: NDArray[np.float32]
    met_BN: tuple[csr_array, ...]  # one for each of PAIR
    tastes_BC: NDArray[np.float32]
    followers_BN: csr_array
    similar_BN: csr_array

    def of(self, rows: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Describe pairs; float32 [P, F]."""
        features = self.features
        x_FP = np.empty((len(features.names), len(rows)), np.float32)  # columns lie together, as they are filled and read
        num_users, num_own = self.users_BF.shape[1], features.items_NF.shape[1]
        for place in range(num_users):
            x_FP[place] = self.users_BF[rows, place]
        for place in range(num_own):
            x_FP[num_users + place] = features.items_NF[items, place]
        for place, column in enumerate(self._cross(rows, items), num_users + num_own):
            x_FP[place] = column
        return x_FP.T

    def _cross(self, rows: NDArray[np.int64], items: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        num_events, weight, days = (matrix[rows, items] for matrix in self.met_BN)
        return [
            num_events,
            weight,
            np.where(num_events > 0, days, np.nan),
            self._category_share(rows, items),
            self._price_ratio(rows, items),
            self.followers_BN[rows, items],
            self.similar_BN[rows, items],
        ]

    def _category_share(self, rows: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
        theirs = self.features.categories_NC[items]
        counts = np.diff(theirs.indptr)
        shares = theirs.data * self.tastes_BC[np.repeat(rows, counts), theirs.indices]
        return np.where(counts > 0, np.bincount(np.repeat(np.arange(len(rows)), counts), shares, minlength=len(rows)), np.nan)

    def _price_ratio(self, rows: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            asked_N, paid_B = np.log(self.features.prices_N), np.log(self.users_BF[:, USER.index("mean_price")])
            ratio = asked_N[items] - paid_B[rows]
        return np.where(np.isfinite(ratio), ratio, np.nan)


def _by_item(found: Columns, size: int) -> Columns:
    places = found[ITEM_ID].astype(np.int64)
    rest = {name: column for name, column in found.items() if name != ITEM_ID}
    return {name: spread(places, column, size, np.nan if name in UNKNOWN else 0.0) for name, column in rest.items()}


def _prefixed(further: dict[str, Columns], prefix: str) -> Columns:
    return {prefix + name: column for name, column in further[prefix].items()}


def _stack(columns: Columns, size: int) -> NDArray[np.float32]:
    stacked = np.stack(list(columns.values()), axis=1) if columns else np.zeros((size, 0))
    return stacked.astype(np.float32)


def _dense(tastes: Columns, num_users: int, num_categories: int) -> NDArray[np.float32]:
    tastes_BC = np.zeros((num_users, num_categories), np.float32)
    tastes_BC[tastes[USER_ID].astype(np.int64), tastes["category"].astype(np.int64)] = tastes["share"]
    return tastes_BC


def _sorted(matrix: csr_array) -> csr_array:
    matrix.sort_indices()
    return matrix
