"""What models share whose scores are a product: the state of a user times a matrix from items to items, sparse or dense.

    score(u, i) = sum over items j of state[u, j] * matrix[j, i], where that is above 0

So the contribution of each past item j is exact, and ``explain`` names the largest. At 0 or below nothing in the past speaks
for an item: the model has nothing to say about it. B users of a block, N items, P pairs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse._sparsetools import csr_matmat

from bowerbird.columns import BECAUSE, ITEM_ID, SHARE, USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.models.base import Arrays, Histories, Model
from bowerbird.models.topk import Scores

Contributions = Callable[[Histories, NDArray[np.int64], NDArray[np.int64]], csr_array]


class AdditiveModel(Model):
    """A model whose score is a sum over past items: it writes what each of them adds."""

    @abstractmethod
    def _explainer(self) -> Contributions:
        """Return a function of histories and pairs (places of users in the block, item codes): what each item adds, P x N."""

    def explain(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the past item that contributes most to each pair: ``user_id, item_id, because, share``.

        ``share`` is its part of all that speaks for the item, in (0, 1]. Equal contributions are told apart by item id.
        Both are missing where nothing in the user's past speaks for the item.
        """
        return self._name_largest(pairs, history, self._explainer(), self.data.item_ids, BECAUSE)

    def _name_largest(
        self,
        pairs: pd.DataFrame,
        history: Interactions | pd.DataFrame | None,
        contributions: Contributions,
        names: Ids,
        column: str,
    ) -> pd.DataFrame:
        """Name what contributes most to each pair, and its part of all that is above 0; ``names`` are those of the columns."""
        named: NDArray[Any] = np.full(len(pairs), None, object)  # Any: names
        share = np.full(len(pairs), np.nan)
        for rows, places, items, histories in self._pair_blocks(pairs, history):
            found, best, part = _largest(contributions(histories, places, items))
            named[rows[found]] = names[best]
            share[rows[found]] = part
        asked = {USER_ID: pairs[USER_ID].to_numpy(), ITEM_ID: pairs[ITEM_ID].to_numpy()}
        return pd.DataFrame(asked | {column: named, SHARE: share})


class LinearModel(AdditiveModel):
    """A model that sets ``_matrix`` (N x N) in ``_fit`` and writes ``_state``."""

    _matrix: csr_array | Scores

    @abstractmethod
    def _state(self, histories: Histories) -> csr_array:
        """Return what a user's past says, B x N, entries above 0."""

    def _score(self, histories: Histories, at: int) -> Scores:
        if isinstance(self._matrix, np.ndarray):
            product_BN = self._state(histories) @ self._matrix
            return np.where(product_BN > 0, product_BN, -np.inf)
        return spread_product(self._state(histories), self._matrix)

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events and count anew on the union of events, which is what a full fit does."""
        return self.fit(self.data.concat(new), items=items, users=users)

    def _explainer(self) -> Contributions:
        return self._contributions

    def _contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        past = self._state(histories)[places]
        weights = self._matrix[past.indices, np.repeat(items, np.diff(past.indptr))]
        past.data = past.data * (weights if isinstance(weights, np.ndarray) else weights.toarray())
        return past

    def _arrays(self) -> Arrays:
        return {"matrix": self._matrix} if isinstance(self._matrix, np.ndarray) else pack(self._matrix, "matrix")

    def _restore(self, arrays: Arrays) -> None:
        self._matrix = arrays["matrix"] if "matrix" in arrays else unpack(arrays, "matrix")


def state_matrix(histories: Histories, values: NDArray[np.float64], num_items: int) -> csr_array:
    """Sum a value for each event by user and item; B x N."""
    shape = (len(histories.users), num_items)
    return coo_array((values, (histories.rows, histories.items)), shape=shape).tocsr()


def log_matrix(histories: Histories, num_items: int) -> csr_array:
    """Return log2(1 + the sum of a user's weights on an item), B x N in single precision: 1 for one event of weight 1."""
    summed = state_matrix(histories, histories.weights, num_items)
    summed.data = (np.log1p(summed.data) / np.log(2)).astype(np.float32)
    return summed


def had_matrix(histories: Histories, num_items: int) -> csr_array:
    """Tell which items users had; B x N, entries of 1."""
    had = state_matrix(histories, np.ones(len(histories.items)), num_items)
    had.data[:] = 1.0
    return had


def spread_product(left: csr_array, right: csr_array) -> Scores:
    """Multiply sparse matrices into a dense block of scores, -inf where the product has nothing above 0; [B, N].

    scipy counts the entries of a product before it multiplies, in a third of the time. They are at most as many as
    multiplications, so this calls what multiplies alone; entries, their order and their sums are those of ``left @ right``.
    """
    num_rows, num_items = left.shape[0], right.shape[1]
    most = min(int(np.diff(right.indptr)[left.indices].sum()), num_rows * num_items)
    index = np.int32 if max(most, left.nnz, right.nnz) <= np.iinfo(np.int32).max else np.int64
    dtype = np.result_type(left.dtype, right.dtype)
    indptr, indices, data = np.empty(num_rows + 1, index), np.empty(most, index), np.empty(most, dtype)
    factors = [
        part.astype(kind, copy=False)
        for matrix in (left, right)
        for part, kind in ((matrix.indptr, index), (matrix.indices, index), (matrix.data, dtype))
    ]
    csr_matmat(num_rows, num_items, *factors, indptr, indices, data)
    places = np.repeat(np.arange(num_rows) * num_items, np.diff(indptr)) + indices[: indptr[-1]]
    values = data[: indptr[-1]]
    scores_BN = np.full((num_rows, num_items), -np.inf, dtype)
    scores_BN.reshape(-1)[places] = np.where(values > 0, values, -np.inf)
    return scores_BN


def pack(matrix: csr_array, name: str) -> Arrays:
    """Turn a matrix into arrays for ``save``."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "width": np.asarray([matrix.shape[1]])}
    return {f"{name}.{part}": values for part, values in parts.items()}


def unpack(arrays: Arrays, name: str) -> csr_array:
    """Turn the arrays of ``pack`` back into a matrix."""
    parts = arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"]
    num_rows = len(parts[2]) - 1
    width = int(arrays[f"{name}.width"][0]) if f"{name}.width" in arrays else num_rows  # a first version kept square ones alone
    return csr_array(parts, shape=(num_rows, width))


def _largest(contributions: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows with an entry above 0, the column of the largest (ties: the lowest), and its part of such entries."""
    contributions.sum_duplicates()
    contributions.data = np.maximum(contributions.data, 0)
    contributions.eliminate_zeros()
    rows = np.repeat(np.arange(contributions.shape[0]), np.diff(contributions.indptr))
    order = np.lexsort((contributions.indices, -contributions.data, rows))
    found, first = np.unique(rows[order], return_index=True)
    best = order[first]
    sums = np.bincount(rows, contributions.data, minlength=contributions.shape[0])
    return found, contributions.indices[best], contributions.data[best] / sums[found]
