"""Cosine similarity of items over users, a block of items at a time, the nearest few of each item kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

BLOCK_PRODUCTS = 20_000_000  # a block of items needs at most so many multiplications, so at most 240 MB


def cosine_neighbours(confidence: csr_array, *, num_neighbors: int, shrinkage: float = 0.0) -> csr_array:
    """Return similarities of items, N x N; row j holds the ``num_neighbors`` items most similar to j, without j itself.

        cos[j, i] = x_j . x_i / (|x_j| |x_i| + shrinkage)

    where x_i is column i of ``confidence`` (users x items, not negative). At the last place the lower item code wins.
    """
    by_item = confidence.T.tocsr()
    norms = np.sqrt(np.asarray(confidence.multiply(confidence).sum(axis=0)).ravel())
    parts = []
    for start, stop in _blocks(confidence, by_item):
        product = (by_item[start:stop] @ confidence).tocsr()
        product.sort_indices()
        rows = np.repeat(np.arange(start, stop), np.diff(product.indptr))
        values = product.data / (norms[rows] * norms[product.indices] + shrinkage)
        kept = _nearest(rows, product.indices, values, num_neighbors)
        parts.append((rows[kept], product.indices[kept], values[kept]))
    rows, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return csr_array((values, (rows, columns)), shape=(len(norms), len(norms)))


def _blocks(confidence: csr_array, by_item: csr_array) -> list[tuple[int, int]]:
    """Cut the items so that no block, but for a single item, needs more than BLOCK_PRODUCTS multiplications."""
    per_user = np.diff(confidence.indptr)
    per_entry = np.concatenate([[0], np.cumsum(per_user[by_item.indices])])
    ends = per_entry[by_item.indptr[1:]]
    cuts, begin = [0], 0
    while cuts[-1] < len(ends):
        stop = max(int(np.searchsorted(ends, begin + BLOCK_PRODUCTS, side="right")), cuts[-1] + 1)
        begin = int(ends[stop - 1])
        cuts.append(stop)
    return list(pairwise(cuts))


def _nearest(
    rows: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float64], num_neighbors: int
) -> NDArray[np.int64]:
    """Choose the entries with the largest values of each row; they come ordered by row, then column."""
    candidates = np.flatnonzero((rows != columns) & (values > 0))
    order = candidates[np.lexsort((-values[candidates], rows[candidates]))]  # stable: the column breaks ties
    first = np.searchsorted(rows[order], rows[order])
    return order[np.arange(len(order)) - first < num_neighbors]
