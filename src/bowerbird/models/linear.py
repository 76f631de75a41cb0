"""What models share whose scores are a sparse product: the state of a user times a matrix from items to items.

    score(u, i) = sum over items j of state[u, j] * matrix[j, i]

So the contribution of each past item j is exact, and ``explain`` names the largest. B users of a block, N items, P pairs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Arrays, Histories, Model
from bowerbird.models.topk import Scores


class LinearModel(Model):
    """A model that sets ``_matrix`` (N x N, entries above 0) in ``_fit`` and writes ``_state``."""

    _matrix: csr_array

    @abstractmethod
    def _state(self, histories: Histories) -> csr_array:
        """Return what a user's past says, B x N, entries above 0."""

    def _score(self, histories: Histories, at: int) -> Scores:
        product = self._state(histories) @ self._matrix
        scores_BN = np.full(product.shape, -np.inf)
        scores_BN[np.repeat(np.arange(product.shape[0]), np.diff(product.indptr)), product.indices] = product.data
        return scores_BN

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events and count anew on the union of events, which is what a full fit does."""
        return self.fit(self.data.concat(new), items=items, users=users)

    def explain(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the past item that contributes most to each pair: ``user_id, item_id, because, share``.

        ``share`` is the part of the score that it makes up, in (0, 1]. Equal contributions are told apart by item id.
        Both are missing where nothing in the user's past speaks for the item.
        """
        because: NDArray[Any] = np.full(len(pairs), None, object)  # Any: item ids
        share = np.full(len(pairs), np.nan)
        columns = self._matrix.tocsc()
        for rows, places, items, histories in self._pair_blocks(pairs, history):
            contributions = self._state(histories)[places].multiply(columns[:, items].T).tocsr()
            found, best, part = _largest(contributions)
            because[rows[found]] = self.data.item_ids[best]
            share[rows[found]] = part
        named = {USER_ID: pairs[USER_ID].to_numpy(), ITEM_ID: pairs[ITEM_ID].to_numpy()}
        return pd.DataFrame(named | {"because": because, "share": share})

    def _arrays(self) -> Arrays:
        return pack(self._matrix, "matrix")

    def _restore(self, arrays: Arrays) -> None:
        self._matrix = unpack(arrays, "matrix")


def state_matrix(histories: Histories, values: NDArray[np.float64], num_items: int) -> csr_array:
    """Sum a value for each event by user and item; B x N."""
    shape = (len(histories.users), num_items)
    return coo_array((values, (histories.rows, histories.items)), shape=shape).tocsr()


def pack(matrix: csr_array, name: str) -> Arrays:
    """Turn a square matrix into arrays for ``save``."""
    return {f"{name}.data": matrix.data, f"{name}.indices": matrix.indices, f"{name}.indptr": matrix.indptr}


def unpack(arrays: Arrays, name: str) -> csr_array:
    """Turn the arrays of ``pack`` back into a matrix."""
    size = len(arrays[f"{name}.indptr"]) - 1
    parts = arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"]
    return csr_array(parts, shape=(size, size))


def _largest(contributions: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows that have an entry, the column of the largest (ties: the lowest), and its part of the row's sum."""
    contributions.sum_duplicates()
    rows = np.repeat(np.arange(contributions.shape[0]), np.diff(contributions.indptr))
    order = np.lexsort((contributions.indices, -contributions.data, rows))
    found, first = np.unique(rows[order], return_index=True)
    best = order[first]
    sums = np.bincount(rows, contributions.data, minlength=contributions.shape[0])
    return found, contributions.indices[best], contributions.data[best] / sums[found]
