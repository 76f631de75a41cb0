"""Cosine similarity of items over users, a block of items at a time, the nearest few of each item kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.models.topk import top_k

BLOCK_PRODUCTS = 20_000_000  # a block of items needs at most so many multiplications, so at most 240 MB
PADDED = 2_000_000  # so many values, padding included, are looked at together


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
        values[(rows == product.indices) | (values <= 0)] = -np.inf
        kept = _nearest(product.indptr, values, num_neighbors)
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


def _nearest(indptr: NDArray[np.int32], values: NDArray[np.float64], num_neighbors: int) -> NDArray[np.int64]:
    """Choose the places of the largest values of each row, the first ones where the last is tied; -inf is never chosen.

    Rows of like length lie side by side in one array, padded with -inf: that is ten times faster than sorting all values.
    """
    lengths = np.diff(indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    parts, start = [np.zeros(0, np.int64)], 0
    while start < len(order):
        widths = lengths[order[start:]]
        fits = np.arange(1, len(widths) + 1) * widths.astype(np.int64) <= PADDED
        stop = start + max(1, int(fits.argmin()) if not fits.all() else len(fits))
        rows, width = order[start:stop], int(lengths[order[stop - 1]])
        is_there = np.arange(width) < lengths[rows][:, None]
        places = np.where(is_there, indptr[rows][:, None] + np.arange(width), 0)
        chosen, _ = top_k(np.where(is_there, values[places], -np.inf), num_neighbors)
        row, column = np.nonzero(chosen >= 0)
        parts.append(places[row, chosen[row, column]])
        start = stop
    return np.concatenate(parts)
