"""What a behavioural check may look at, and how alike two items are for those who chose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from bowerbird.columns import EVENT, ITEM_ID, SOURCE, TIMESTAMP, USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.models.base import FALLBACK, Model
from bowerbird.recipe_rules import PINNED

Codes = NDArray[np.int64]
CELLS = 1 << 24
"""Bits held at a time, before they are packed: a byte each."""


class Recommend(Protocol):
    """Makes lists as the run publishes them: ``user_id, item_id, score, rank, source``."""

    def __call__(self, users: Sequence[Any], *, history: Interactions | None = None) -> pd.DataFrame:  # Any: see Ids
        """List ``k`` items for users; ``history`` stands in for what they have done."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a check looks at: the nominee on a sample of the users who have something to find in the newest test window.

    Attributes
    ----------
    model
        The nominee, fitted on the events before the window.
    recommend
        Asks it for lists, with the recipe's rules, as of the window's start.
    lists
        What it recommends to the sample: ``user_id, item_id, score, rank, source``.
    targets
        What they chose in the window: ``user_id, item_id, is_repeat``.
    items
        The catalogue, None where there is none.
    histories
        All events before the window, of everybody.
    allowed
        The items that may be recommended, of those that the model knows.
    withheld
        Tells which events of ``histories`` keep their item from being recommended again; bool [E].
    k
        Places of a list.
    seed
        For whatever a check draws.
    reorders, has_quotas
        The recipe's rules change the model's order, or may leave a list short.
    """

    model: Model
    recommend: Recommend
    lists: pd.DataFrame
    targets: pd.DataFrame
    items: pd.DataFrame | None
    histories: Interactions
    allowed: Ids
    withheld: NDArray[np.bool_]
    k: int
    seed: int
    reorders: bool = False
    has_quotas: bool = False

    @cached_property
    def users(self) -> list[Any]:  # Any: see Ids
        """The sample, in order."""
        return sorted(self.targets[USER_ID].unique().tolist())

    @cached_property
    def own_lists(self) -> pd.DataFrame:
        """The places that the model has filled itself, of users with a history: neither popularity nor a pin stands there."""
        has_history = self.lists[USER_ID].isin(self.histories.user_ids[np.unique(self.histories.users)])
        return self.lists[has_history & ~self.lists[SOURCE].isin([FALLBACK, PINNED])]

    @cached_property
    def space(self) -> ItemSpace:
        """How alike items are."""
        return ItemSpace(self.histories)

    @cached_property
    def popularity_N(self) -> NDArray[np.float64]:
        """The share of users who have chosen each item of ``histories``; [N]."""
        return self.space.num_users_N / max(self.histories.num_users, 1)

    @cached_property
    def withheld_pairs(self) -> pd.DataFrame:
        """Which items are withheld from the users of the sample: ``user_id, item_id``, one row a pair."""
        codes = self.histories.user_index.get_indexer(pd.Index(self.users))
        rows = self.withheld & np.isin(self.histories.users, codes)
        users, items = self.histories.users[rows], self.histories.items[rows]
        pairs = pd.DataFrame({USER_ID: self.histories.user_ids[users], ITEM_ID: self.histories.item_ids[items]})
        return pairs.drop_duplicates(ignore_index=True)

    @cached_property
    def target_of(self) -> pd.Series[Any]:  # Any: see Ids
        """One target of each user, drawn; index user_id."""
        drawn: pd.Series[Any] = (  # Any: see Ids
            self.targets.sample(frac=1, random_state=self.seed).drop_duplicates(USER_ID).set_index(USER_ID)[ITEM_ID].sort_index()
        )
        return drawn

    @cached_property
    def misses(self) -> pd.DataFrame:
        """What was recommended and not chosen, a target of its user, a random item: ``user_id, item_id, target, other``."""
        lists = self.own_lists.merge(self.targets[[USER_ID, ITEM_ID]], on=[USER_ID, ITEM_ID], how="left", indicator="found")
        missed = lists.loc[lists["found"] == "left_only", [USER_ID, ITEM_ID]].reset_index(drop=True)
        others = np.random.default_rng(self.seed).integers(0, max(len(self.allowed), 1), len(missed))
        return missed.assign(target=missed[USER_ID].map(self.target_of), other=self.allowed[others])

    def codes(self, item_ids: pd.Series[Any] | Ids) -> Codes:  # Any: see Ids
        """Return the items' places in ``histories``; -1 where they have no event."""
        return np.asarray(self.histories.item_index.get_indexer(pd.Index(item_ids)), np.int64)

    def history_of(self, users: Sequence[Any]) -> Interactions:  # Any: see Ids
        """Return the events of some users."""
        codes = self.histories.user_index.get_indexer(pd.Index(users))
        return self.histories.select(np.isin(self.histories.users, codes[codes >= 0]))

    def lists_after(self, users: Sequence[str], items: Ids) -> pd.DataFrame:
        """Ask for the lists of users whose whole history is one event after the other on ``items``, one a second until now."""
        histories = self.histories
        event = histories.event_types[int(np.bincount(histories.events).argmax())]
        times = histories.last_timestamp / 1e6 - np.arange(len(items))[::-1]
        history = pd.DataFrame({USER_ID: users, ITEM_ID: items, EVENT: event, TIMESTAMP: times})
        return self.recommend(list(dict.fromkeys(users)), history=Interactions.from_frame(history))


class ItemSpace:
    """The cosine of two items over the users who chose them: common users / sqrt(users of one * users of the other).

    Pairs are compared by bits, one a user: to count those that two items have in common is one instruction for 64 users.
    """

    def __init__(self, histories: Interactions) -> None:
        chosen = histories.evidence()
        cells = np.sort(chosen.users.astype(np.int64) * histories.num_items + chosen.items)
        cells = cells[np.diff(cells, prepend=-1) > 0]  # np.unique hashes, which takes ten times as long
        users, items = np.divmod(cells, max(histories.num_items, 1))
        shape = (histories.num_users, histories.num_items)
        self.num_users_N = np.bincount(items, minlength=histories.num_items).astype(np.float64)
        self._x_UN = csc_array((1 / np.sqrt(self.num_users_N[items]), (users, items)), shape=shape)

    def similarity(self, first_P: Codes, second_P: Codes) -> NDArray[np.float64]:
        """Compare pairs of items; 0 where one of them has no event with evidence; [P]."""
        found = np.zeros(len(first_P))
        known = np.flatnonzero((first_P >= 0) & (second_P >= 0))
        size = max(1, CELLS // max(self._x_UN.shape[0], 1))
        for start in range(0, len(known), size):
            block = known[start : start + size]
            items, places = np.unique(np.concatenate([first_P[block], second_P[block]]), return_inverse=True)
            words_IW = self._bits(items)
            first, second = np.split(places, 2)
            common = np.bitwise_count(words_IW[first] & words_IW[second]).sum(axis=1, dtype=np.int64)
            num_users = self.num_users_N[first_P[block]] * self.num_users_N[second_P[block]]
            found[block] = common / np.sqrt(np.maximum(num_users, 1))  # an item may have events of weight 0 alone
        return found

    def _bits(self, items_I: Codes) -> NDArray[np.uint64]:
        """Mark the users of some items, a bit each; [I, W] words of 64."""
        chosen = self._x_UN[:, items_I]
        marks_IU = np.zeros((len(items_I), -(-chosen.shape[0] // 64) * 64), bool)
        marks_IU[np.repeat(np.arange(len(items_I)), np.diff(chosen.indptr)), chosen.indices] = True
        return np.packbits(marks_IU, axis=1).view(np.uint64)

    def nearest(self, items_B: Codes) -> Codes:
        """Return the most similar other item of each, the lower code of equals, -1 where none shares a user; [B]."""
        items, places = np.unique(items_B, return_inverse=True)
        similar = csr_array(self._x_UN[:, items].T @ self._x_UN)
        similar.data[similar.indices == np.repeat(items, np.diff(similar.indptr))] = 0
        similar.sort_indices()
        best = np.asarray(similar.argmax(axis=1), np.int64).ravel()
        return np.where(np.asarray(similar.max(axis=1).todense()).ravel() > 0, best, -1)[places]


def strangers(num_users: int) -> list[str]:
    """Name users whom no log has."""
    return [f"a stranger, {place}" for place in range(num_users)]


def with_items(history: Interactions, places: Codes, items: Codes) -> Interactions:
    """Return a history in which the events at some places are on other items."""
    changed = history.items.copy()
    changed[places] = items
    return replace(history, items=changed)
