"""How much more a new item is asked for than what is described like it, learned from the items that were new last.

An item without events goes by its description, and so is as popular as the mean of what is described alike, most of which is
old. Buyers of a new item are few, but they are now: of the events in the log's newest tenth, the share s that went to *young*
items, those first met in it, is known. With p_u the share that the model gives to the young ones by their descriptions alone,
asked with what the user u had before that tenth, the lift c is what makes the two equal:

    mean over users u, by events in the tenth, of sigmoid(log(p_u / (1 - p_u)) + c) = s

c is added to the bias of each *new* item: one without events whose ``available_from`` or else ``created_at`` lies in that tenth
or after it. An item without events and without a date may as well be a dead one: it gets no lift. Nothing but the training log
is read. Shapes: N items, B users of a block, U users asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from bowerbird.columns import AVAILABLE_FROM, CREATED_AT, ITEM_ID
from bowerbird.data.interactions import Interactions, to_microseconds
from bowerbird.models.base import Histories
from bowerbird.models.features import known_rows
from bowerbird.models.topk import Scores

NEWEST = 0.1
NUM_ASKED = 2000
BLOCK = 256
MIN_YOUNG = 10
LARGEST = 10.0
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Which items were young when the log ended, and which are new; bool [N]. ``since`` is where its newest tenth begins."""

    since: int
    is_young_N: NDArray[np.bool_]
    is_new_N: NDArray[np.bool_]
    has_events_N: NDArray[np.bool_]

    @classmethod
    def of(cls, data: Interactions, items: pd.DataFrame | None, is_described_N: NDArray[np.bool_]) -> Arrivals:
        """Look at the events with evidence of ``data`` and the dates of ``items``; what is not described does not count."""
        evidence = data.evidence()
        since = int(np.quantile(evidence.timestamps, 1 - NEWEST, method="higher")) if len(evidence) else 0
        first_N = np.full(data.num_items, NEVER)
        np.minimum.at(first_N, evidence.items, evidence.timestamps)
        has_events_N = first_N < NEVER
        is_new_N = is_described_N & ~has_events_N & (_dates(data, items) >= since)
        return cls(since, is_described_N & has_events_N & (first_N >= since), is_new_N, has_events_N)

    def lift(self, past: Histories, score: Callable[[Histories], Scores]) -> float:
        """Return c; 0 where no item is new, or fewer than 10 are young.

        ``score`` gives [B, N], the young items by their descriptions alone; -inf is nothing to say.
        """
        if not self.is_new_N.any() or self.is_young_N.sum() < MIN_YOUNG:
            return 0.0
        rows, is_later = past.rows, past.timestamps >= self.since
        num_later_B = np.bincount(rows[is_later], minlength=len(past.users))
        num_young_B = np.bincount(rows[is_later & self.is_young_N[past.items]], minlength=len(past.users))
        before = past.select(~is_later)
        asked = np.flatnonzero((np.diff(before.indptr) > 0) & (num_later_B > 0))
        asked = asked[:: -(-len(asked) // NUM_ASKED) or 1]
        odds, weights, share = [], num_later_B[asked], num_young_B[asked].sum() / max(num_later_B[asked].sum(), 1)
        for start in range(0, len(asked), BLOCK):
            scores_BN = score(before.of_users(asked[start : start + BLOCK])).astype(np.float64)
            old_BO = scores_BN[:, self.has_events_N & ~self.is_young_N]
            odds.append(logsumexp(scores_BN[:, self.is_young_N], axis=1) - logsumexp(old_BO, axis=1))
        return _lift(np.concatenate([*odds, np.zeros(0)]), weights, share)


def _lift(log_odds_U: NDArray[np.float64], weights_U: NDArray[np.int64], share: float) -> float:
    """Find c by halving; it lies between -10 and 10."""
    is_finite_U = np.isfinite(log_odds_U)
    if not weights_U[is_finite_U].any():
        return 0.0
    low, high = -LARGEST, LARGEST
    for _ in range(50):
        middle = (low + high) / 2
        found = np.average(expit(log_odds_U[is_finite_U] + middle), weights=weights_U[is_finite_U])
        low, high = (middle, high) if found < share else (low, middle)
    return (low + high) / 2


def _dates(data: Interactions, items: pd.DataFrame | None) -> NDArray[np.int64]:
    """Return when each item arrived, in microseconds; the smallest number where nothing tells; int64 [N]."""
    dates_N = np.full(data.num_items, np.iinfo(np.int64).min)
    if items is None:
        return dates_N
    known = known_rows(items, ITEM_ID, until=data.last_timestamp)
    for column in (CREATED_AT, AVAILABLE_FROM):  # the latter, where there, holds
        if column in known:
            given = known[column].dropna()
            codes = data.item_index.get_indexer(given.index)
            dates_N[codes[codes >= 0]] = to_microseconds(given)[codes >= 0]
    return dates_N
