"""TIFU-kNN: how often a user had an item, the recent past counting more, blended with the same of the nearest users; for repeats.

A basket is all that a user had in one session, or on one day (UTC) where events name no session. Baskets are cut into groups of
``group_size`` from the newest back, so the oldest group may be smaller. With b = 0 for the newest basket of its group, which has
n baskets, and g = 0 for the newest of G groups:

    x[basket, i] = the largest weight of an event on i in the basket, so 1 where weights are 1
    v[u, i]      = sum over u's baskets of x[basket, i] * within_decay^b / n * group_decay^g / G
    score(u, i)  = alpha * v[u, i] + (1 - alpha) * mean of v[w, i] over the num_neighbors users w nearest to u

Hu et al., "Modeling personalized item frequency information for next-basket recommendation", SIGIR 2020. The nearest are those
of the highest cosine of v (so that neighbours share an item), where the paper has the lowest Euclidean distance, to which users
with little past are near whatever they had. Labels do not enter.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array, csr_array, diags_array

from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.models.base import Histories
from bowerbird.models.neighbours import Similarity, cosine
from bowerbird.models.topk import Scores
from bowerbird.models.user_neighbours import UserNeighbourConfig, UserNeighbourModel

SMALLEST = 1e-100


class TifuKnnConfig(UserNeighbourConfig):
    """How fast the past fades, and how much neighbours count."""

    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 300
    """So many users most similar to a user are listened to."""
    group_size: Annotated[int, Field(ge=1, le=10_000)] = 7
    """So many baskets make a group."""
    within_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """A basket counts so much of the next one in its group."""
    group_decay: Annotated[float, Field(gt=0, le=1)] = 0.7
    """A group counts so much of the next one."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.7
    """The part of the user's own past; the rest is the neighbours'."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""


class TifuKnn(UserNeighbourModel):
    """A user's own items by decayed frequency, and those of the nearest users."""

    name: ClassVar[str] = "tifu_knn"
    Config: ClassVar[type[UserNeighbourConfig]] = TifuKnnConfig
    config: TifuKnnConfig

    def _score(self, histories: Histories, at: int) -> Scores:
        nearest_BU = self._neighbours(histories)
        nearest_BU.data[:] = 1.0
        found_B = np.maximum(np.diff(nearest_BU.indptr), 1)
        theirs_BN = diags_array((1 - self.config.alpha) / found_B) @ (nearest_BU @ self._vectors_UN)
        scores_BN: Scores = (self.config.alpha * self._vectors(histories) + theirs_BN).toarray()
        scores_BN[scores_BN <= 0] = -np.inf
        return scores_BN

    def _compared(self, vectors_BN: csr_array) -> tuple[csr_array, Similarity]:
        x_NB = vectors_BN.T.tocsr()
        return x_NB, cosine(x_NB)

    def _vectors(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        baskets_E, users_K = baskets(past)
        num_items = self.data.num_items
        places, which_E = np.unique(baskets_E * num_items + past.items, return_inverse=True)
        weights = np.zeros(len(places))
        np.maximum.at(weights, which_E, past.weights)
        baskets_P, items_P = np.divmod(places, num_items)
        values_P = np.maximum(weights * self._decay(users_K)[baskets_P], SMALLEST)
        entries = values_P, (users_K[baskets_P], items_P)
        return coo_array(entries, shape=(len(past.users), num_items)).tocsr()

    def _decay(self, users_K: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much each basket counts, [K]; ``users_K`` are its baskets' users, ascending, each user's in order."""
        config = self.config
        counts_K = np.bincount(users_K)[users_K]
        back_K = np.searchsorted(users_K, users_K, side="right") - 1 - np.arange(len(users_K))
        groups_K, within_K = np.divmod(back_K, config.group_size)
        sizes_K = np.minimum(config.group_size, counts_K - groups_K * config.group_size)
        num_groups_K = -(-counts_K // config.group_size)
        decay_K: NDArray[np.float64] = config.within_decay**within_K / sizes_K * config.group_decay**groups_K / num_groups_K
        return decay_K


def baskets(past: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the baskets by user and their first event: which one each event is in, int64 [E], and whose each is, int64 [K]."""
    has_session_E = past.sessions >= 0
    days_E = past.timestamps // MICROSECONDS_A_DAY
    names, name_E = np.unique(np.where(has_session_E, 2 * past.sessions, 2 * days_E + 1), return_inverse=True)
    _, first_K, which_E = np.unique(past.rows * len(names) + name_E, return_index=True, return_inverse=True)
    order_K = np.argsort(first_K)
    return np.argsort(order_K)[which_E], past.rows[first_K[order_K]]
