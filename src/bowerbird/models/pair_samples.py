"""Training rows of pointwise rankers: pairs as they were at a cut-off, and whether they came true within the horizon after it.

Candidates of a cut-off are all pairs of a user with events and an item that was seen or stood in the catalogue. A pair is
positive where the user has a target event on the item within the horizon (``Interactions.is_target``). All positives are taken,
negatives are drawn with replacement: the user evenly, the item evenly or in proportion to 1 + its events with evidence. A
negative is expected

    rate(u, i) = number of draws / number of users * share of i

times, which is what corrects the log odds afterwards. Of a large log, users are drawn evenly until they have enough positives;
the rest are no candidates. U users, N items, P pairs, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.data.interactions import Interactions
from bowerbird.models.histories import Histories, HistoryReader
from bowerbird.models.pair_features import PairFeatures

Scheme = Literal["uniform", "popularity"]

MAX_USERS = 5000
MAX_POSITIVES = 20_000
BLOCK_USERS = 512


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs, what came of them, and how often each was expected to be drawn; the first are the positives."""

    x_PF: NDArray[np.float32]
    labels_P: NDArray[np.bool_]
    rates_P: NDArray[np.float64]
    items_P: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CutOff:
    """The candidates at a moment, and which of them came true."""

    moment: int
    before: Interactions
    features: PairFeatures
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    positives: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Codes of users and items, [P] each, by user and item."""

    @classmethod
    def at(
        cls,
        data: Interactions,
        moment: int,
        horizon: int,
        *,
        items: pd.DataFrame | None,
        users: pd.DataFrame | None,
        generator: np.random.Generator,
    ) -> CutOff:
        """Look at ``data`` as it was at ``moment``; the horizon is in microseconds, too."""
        before = data.before(moment)
        features = PairFeatures.fit(data, items, users, at=moment)
        is_later = (data.timestamps >= moment) & (data.timestamps < moment + horizon) & data.is_target
        of_candidates = is_later & np.isin(data.users, before.users) & features.is_known[data.items]
        keys = np.unique(data.users[of_candidates].astype(np.int64) * data.num_items + data.items[of_candidates])
        later_users, later_items = np.divmod(keys, data.num_items)
        chosen = _enough_users(np.unique(before.users), np.bincount(later_users, minlength=data.num_users), generator)
        is_chosen = np.isin(later_users, chosen)
        positives = later_users[is_chosen], later_items[is_chosen]
        return cls(moment, before, features, chosen, np.flatnonzero(features.is_known), positives)

    def __len__(self) -> int:
        return len(self.users) * len(self.items)

    def draw(self, num_draws: int, scheme: Scheme, generator: np.random.Generator) -> Sample:
        """Take the positives and ``num_draws`` other pairs; of these, what hits a positive is dropped."""
        shares = item_shares(self.before, self.items, scheme)
        users = self.users[generator.integers(len(self.users), size=num_draws)]
        places = generator.choice(len(self.items), size=num_draws, p=shares)
        size = self.before.num_items
        is_negative = ~np.isin(users * size + self.items[places], self.positives[0] * size + self.positives[1])
        users, places = users[is_negative], places[is_negative]
        num_positives = len(self.positives[0])
        all_users, all_items = (np.concatenate(pair) for pair in zip(self.positives, (users, self.items[places]), strict=True))
        rates = np.concatenate([np.ones(num_positives), num_draws / len(self.users) * shares[places]])
        return Sample(self._describe(all_users, all_items), np.arange(len(rates)) < num_positives, rates, all_items)

    def _describe(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Take the features of pairs, some users at a time."""
        x_PF = np.empty((len(users), len(self.features.names)), np.float32)
        order = np.argsort(users, kind="stable")
        distinct, starts = np.unique(users[order], return_index=True)
        reader, ends = HistoryReader(self.before, None), np.append(starts, len(users))
        for start in range(0, len(distinct), BLOCK_USERS):
            block = distinct[start : start + BLOCK_USERS]
            pairs = order[ends[start] : ends[start + len(block)]]
            histories: Histories = reader.read(self.before.user_index[block])
            x_PF[pairs] = self.features.of(histories, np.searchsorted(block, users[pairs]), items[pairs], self.moment)
        return x_PF


def item_shares(data: Interactions, items: NDArray[np.int64], scheme: Scheme) -> NDArray[np.float64]:
    """Return how probable each candidate item is in a draw; float64 [items]."""
    shares: NDArray[np.float64] = np.ones(len(items))
    if scheme == "popularity":
        shares += np.bincount(data.items[data.weights > 0], minlength=data.num_items)[items]
    shares /= shares.sum()
    return shares


def _enough_users(
    users: NDArray[np.int32], num_positives_U: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw users until they have enough positives, or are enough."""
    order = generator.permutation(users)[:MAX_USERS].astype(np.int64)
    before = np.cumsum(num_positives_U[order]) - num_positives_U[order]
    return np.sort(order[before < MAX_POSITIVES])
