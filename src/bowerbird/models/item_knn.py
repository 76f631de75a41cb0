"""Item-kNN: items that the same users had are alike.

    w[u, i]     = sum of the weights of u's events on i, c[u, i] = log(1 + w[u, i])
    score(u, i) = sum over past items j of c[u, j] * sim[j, i], for the num_neighbors items i most similar to j

With n[u] the number of u's items, N that of all, idf[u] = max(0, log N - log(1 + n[u])) and s the shrinkage:

    cosine             x = c                                    x_j . x_i / (|x_j| |x_i| + s)
    asymmetric_cosine  x = c                                    x_j . x_i / (|x_j|^(2 alpha) |x_i|^(2 (1 - alpha)) + s)
    tfidf              x = sqrt(w) idf                          x_j . x_i / (|x_j| |x_i| + s)
    bm25               x = w (k1 + 1) / (k1 l[i] + w) idf       x_j . x_i, l[i] = 1 - b + b * (sum of w over u) / its mean
    jaccard            x = 1                                    both / (either + s), counted in users

Users of many items say little: idf makes them count less. bm25 has no norms, which would undo l, and no shrinkage. Sarwar et
al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; Aiolli, "Efficient top-N recommendation for
very large scale binary rated datasets", RecSys 2013 (asymmetric); tf-idf and BM25 are written as in the library ``implicit``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import Interactions
from bowerbird.models.alike import nearest_frame
from bowerbird.models.base import Histories, ModelConfig
from bowerbird.models.linear import LinearModel, state_matrix
from bowerbird.models.neighbours import Similarity, cosine, jaccard, nearest_items

BM25_K1, BM25_B = 1.2, 0.75


class ItemKnnConfig(ModelConfig):
    """How alike is measured, how many neighbours, and how careful with rare items."""

    similarity: Literal["cosine", "asymmetric_cosine", "tfidf", "bm25", "jaccard"] = "cosine"
    """See the formulas of the module."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of asymmetric_cosine: how much of the divisor is the past item's norm; 0.5 is the cosine."""
    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 100
    """So many items most similar to each item are kept."""
    shrinkage: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Added to the denominator, in units of x squared: pulls similarities that rest on few users towards 0."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""


class ItemKnn(LinearModel):
    """The nearest items of what a user had."""

    name: ClassVar[str] = "item_knn"
    Config: ClassVar[type[ModelConfig]] = ItemKnnConfig
    config: ItemKnnConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        x, similarity = self._compared(self._weights(Histories.of_all(data)))
        self._matrix = nearest_items(x, similarity, num_neighbors=self.config.num_neighbors)

    def _compared(self, weights: csr_array) -> tuple[csr_array, Similarity]:
        """Return what columns hold when items are compared, and how their products become similarities."""
        shrinkage = self.config.shrinkage
        kind = self.config.similarity
        if kind == "jaccard":
            x = _with_data(weights, np.ones(weights.nnz))
            return x, jaccard(x, shrinkage=shrinkage)
        if kind == "bm25":
            x = _with_data(weights, _saturated(weights) * _rarity(weights))
            x.eliminate_zeros()
            return x, Similarity(np.ones(x.shape[1]), np.ones(x.shape[1]))
        x = _with_data(weights, np.sqrt(weights.data) * _rarity(weights) if kind == "tfidf" else np.log1p(weights.data))
        x.eliminate_zeros()
        return x, cosine(x, shrinkage=shrinkage, alpha=self.config.alpha if kind == "asymmetric_cosine" else 0.5)

    def similar_items(self, item_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` items most like each, of the ``num_neighbors`` kept: ``item_id, similar_item_id, score, rank``.

        Unknown items are left out.
        """
        return nearest_frame(item_ids, self.data.item_index, self._nearest, k=k, column=ITEM_ID)

    def _nearest(self, codes: NDArray[np.int64]) -> csr_array:
        return csr_array(self._matrix[codes])

    def _state(self, histories: Histories) -> csr_array:
        weights = self._weights(histories)
        return _with_data(weights, np.log1p(weights.data))

    def _weights(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        return state_matrix(past, past.weights, self.data.num_items)


def _with_data(matrix: csr_array, data: NDArray[np.float64]) -> csr_array:
    return csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _rarity(weights: csr_array) -> NDArray[np.float64]:
    """Return idf of the user of each entry."""
    num_items = np.diff(weights.indptr)
    idf = np.maximum(0, np.log(weights.shape[1]) - np.log1p(num_items))
    return np.repeat(idf, num_items)


def _saturated(weights: csr_array) -> NDArray[np.float64]:
    """Return the part of BM25 that grows with an entry's weight, and less for items with much weight in all."""
    sums = np.bincount(weights.indices, weights.data, minlength=weights.shape[1])
    lengths = 1 - BM25_B + BM25_B * sums / sums.mean() if weights.nnz else sums
    saturated: NDArray[np.float64] = weights.data * (BM25_K1 + 1) / (BM25_K1 * lengths[weights.indices] + weights.data)
    return saturated
