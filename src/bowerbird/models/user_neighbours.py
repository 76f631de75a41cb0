"""What models share that compare users: the nearest users of everybody, found once in ``fit``, or for a history that is new.

A subclass says what is known of a user, a vector over items, and how two users are compared. Inside, users are ordered by how
many items they have, most first, since that is how ties are broken (then by id). A user is nobody's own neighbour, so where
the caller gives a user's history, what the model knows of that user is left out.

B users of a block, U users fitted on, in that order, N items.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.sparse import csr_array

from bowerbird.columns import USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.models.alike import nearest_frame
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig
from bowerbird.models.linear import pack, unpack
from bowerbird.models.neighbours import Similarity, nearest_items, nearest_to


class UserNeighbourConfig(ModelConfig):
    """How many neighbours."""

    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 100
    """So many users most similar to a user are listened to."""


class UserNeighbourModel(Model):
    """A model that listens to the users most like each; it writes ``_vectors`` and ``_compared``."""

    config: UserNeighbourConfig

    @abstractmethod
    def _vectors(self, histories: Histories) -> csr_array:
        """Return what is known of users, B x N, entries above 0."""

    @abstractmethod
    def _compared(self, vectors_BN: csr_array) -> tuple[csr_array, Similarity]:
        """Return N x B, entries above 1e-100, whose columns are compared, and how their products become similarities."""

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._read(data)
        self._nearest_UU = nearest_items(self._compared_NU, self._similarity, num_neighbors=self.config.num_neighbors)

    def _read(self, data: Interactions) -> None:
        """Set the vectors of all users, and what is compared; ``_places`` finds a user's row by code."""
        vectors_UN = self._vectors(Histories.of_all(data))
        self._order = np.argsort(-np.diff(vectors_UN.indptr), kind="stable")
        self._places = np.argsort(self._order)
        self._vectors_UN = vectors_UN[self._order]
        self._compared_NU, self._similarity = self._compared(self._vectors_UN)

    def _neighbours(self, histories: Histories) -> csr_array:
        """Return similarities, B x U: those from ``fit`` for users with their own history, new ones for the others."""
        is_new_B = histories.users < 0 if histories.stands_in is None else histories.stands_in | (histories.users < 0)
        places_B = np.where(histories.users >= 0, self._places[histories.users], -1)
        known_BU = _chosen(np.flatnonzero(~is_new_B), places_B[~is_new_B], self._nearest_UU, len(places_B))
        if not is_new_B.any():
            return known_BU
        new_NB, similarity = self._compared(self._vectors(histories.select(is_new_B[histories.rows])))
        both = replace(self._similarity, left=similarity.left)
        new_BU = nearest_to(new_NB, self._compared_NU, both, num_neighbors=self.config.num_neighbors, own=places_B)
        return (known_BU + new_BU).tocsr()

    def similar_users(self, user_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` users most like each, of the ``num_neighbors`` kept: ``user_id, similar_user_id, score, rank``.

        Unknown users are left out.
        """

        def nearest(codes: Any) -> csr_array:  # Any: whole numbers
            near = self._nearest_UU[self._places[codes]]
            return csr_array((near.data, self._order[near.indices], near.indptr), shape=near.shape)

        return nearest_frame(user_ids, self.data.user_index, nearest, k=k, column=USER_ID)

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events and compare all users anew, which is what a full fit does."""
        return self.fit(self.data.concat(new), items=items, users=users)

    def _arrays(self) -> Arrays:
        return pack(self._nearest_UU, "nearest")

    def _restore(self, arrays: Arrays) -> None:
        self._read(self.data)
        self._nearest_UU = unpack(arrays, "nearest")


def _chosen(rows: Any, places: Any, matrix: csr_array, num_rows: int) -> csr_array:  # Any: whole numbers
    """Put rows of a matrix at ``rows`` of a new one, whose other rows are empty."""
    chooser = csr_array((np.ones(len(rows)), (rows, places)), shape=(num_rows, matrix.shape[0]))
    return chooser @ matrix
