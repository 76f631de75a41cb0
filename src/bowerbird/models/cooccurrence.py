"""The counting model: what follows what, and how soon, and how long ago; a strong rival at the price of counting.

    D[j, i]     = sum over users and pairs of their events, j at place p and i at place q, 0 < q - p <= window, of 1 / (q - p)
    score(u, i) = sum over past events j of u of decay^(positions back of j) * (D[j, i] + knn_weight * cos[j, i])

The last event is 0 positions back. Only events with a weight above 0 have places; beyond that their weights do not enter
(multiplying D or the state by them moved NDCG@10 by less than its standard error on the simulated shop and on MovieLens, and
without them D is counted in whole numbers: exactly, in any order). D keeps its diagonal: an item may follow itself. cos is the
cosine of items over users without regard to weights and counts, without its diagonal (see ``neighbours``). Amazon Beauty,
leave-last-out: NDCG@10 0.0494, recall@10 0.0796 (benchmarks/beauty_counting.py).
"""

from __future__ import annotations

from math import lcm
from typing import Annotated, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array, csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.linear import LinearModel, had_matrix, pack, state_matrix, unpack
from bowerbird.models.neighbours import cosine, nearest_items

MAX_ITEMS_A_USER = 1000  # pairs of items grow with the square; of a longer history cos sees the latest


class CooccurrenceConfig(ModelConfig):
    """How far an event reaches, forwards when counting and backwards when recommending."""

    window: Annotated[int, Field(ge=1, le=20)] = 3
    """An event is counted with so many events before it."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.7
    """An event so much less for each event after it."""
    knn_weight: Annotated[float, Field(ge=0, le=1000)] = 0.001
    """Weight of the cosine, which ranks what no pair of events speaks for."""
    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 200
    """So many items with the highest cosine are kept of each item."""
    max_history: Annotated[int, Field(ge=1, le=1000)] = 50
    """Only a user's latest so many events are recommended from; at a decay of 0.7 the fiftieth counts 1e-8."""


class Cooccurrence(LinearModel):
    """Directed co-occurrence with a trace of item-kNN."""

    name: ClassVar[str] = "cooccurrence"
    Config: ClassVar[type[ModelConfig]] = CooccurrenceConfig
    config: CooccurrenceConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._counts = count_pairs(data, self.config.window)
        self._combine()

    def _combine(self) -> None:
        """Put counts and cosine together."""
        config = self.config
        self._matrix = (self._counts / unit(config.window)).tocsr()
        if config.knn_weight > 0:
            past = Histories.of_all(self.data).evidence().last(MAX_ITEMS_A_USER)
            had = had_matrix(past, self.data.num_items)
            near = nearest_items(had, cosine(had), num_neighbors=config.num_neighbors)
            self._matrix = (self._matrix + config.knn_weight * near).tocsr()

    def _state(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        return state_matrix(past, self.config.decay ** past.positions_back.astype(np.float64), self.data.num_items)

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events: pairs are counted anew for the users of ``new`` alone, the cosine for all.

        Counts are whole numbers, so what is taken off and added leaves exactly what a full fit counts.
        """
        old, counts = self.data, self._counts
        self._accept(old.concat(new))
        touched = new.user_ids[np.unique(new.users)]
        before, after = (count_pairs(_of_users(log, touched), self.config.window) for log in (old, self.data))
        self._counts = _add(_widen(counts - before, old, self.data), after)
        self._combine()
        return self

    def _arrays(self) -> Arrays:
        return pack(self._matrix, "matrix") | pack(self._counts, "counts")

    def _restore(self, arrays: Arrays) -> None:
        self._matrix, self._counts = unpack(arrays, "matrix"), unpack(arrays, "counts")


def unit(window: int) -> int:
    """Return by what the counts of ``count_pairs`` are divided: 1 / distance is a whole number of 1 / unit."""
    return lcm(*range(1, window + 1))


def count_pairs(data: Interactions, window: int) -> csr_array:
    """Count directed pairs of events with evidence by their distance; int64 [N, N] in units of 1 / unit(window)."""
    evidence = data.evidence()
    shape = (data.num_items, data.num_items)
    counts = csr_array(shape, dtype=np.int64)
    for distance in range(1, window + 1):
        is_pair: NDArray[np.bool_] = evidence.users[distance:] == evidence.users[:-distance]
        pair = evidence.items[:-distance][is_pair], evidence.items[distance:][is_pair]
        points = np.full(len(pair[0]), unit(window) // distance, np.int64)
        counts = _add(counts, coo_array((points, pair), shape=shape).tocsr())
    return counts


def _of_users(data: Interactions, user_ids: NDArray[np.object_]) -> Interactions:
    is_wanted = np.zeros(data.num_users + 1, bool)  # one place more, for users that ``data`` does not know (-1)
    is_wanted[data.user_index.get_indexer(pd.Index(user_ids))] = True
    return data.select(is_wanted[data.users])


def _widen(counts: csr_array, old: Interactions, new: Interactions) -> csr_array:
    """Give counts over the items of ``old`` the codes of ``new``, which has all of them."""
    places = new.item_index.get_indexer(old.item_index)
    entries = counts.tocoo()
    shape = (new.num_items, new.num_items)
    return coo_array((entries.data, (places[entries.row], places[entries.col])), shape=shape).tocsr()


def _add(first: csr_array, second: csr_array) -> csr_array:
    total = (first + second).tocsr()
    total.eliminate_zeros()
    return total
