"""The most similar items of each item over users, exactly: popular items in dense panels, the long tail by sparse products.

    sim(j, i) = p / (left_j * right_i + shrinkage)                p = x_j . x_i, a product of two columns of users x items
    sim(j, i) = p / (left_j + right_i - p + shrinkage)            for Jaccard

times min(n, significance) / significance, where n is in how many rows both have an entry (Herlocker et al., "An algorithmic
framework for performing collaborative filtering", SIGIR 1999). Users over items are compared in the same way, as columns of
items x users.

Items are ranked by their number of users. A panel of items is multiplied with all items that rank no higher, once for both
directions, and a lower bound of each item's last place leaves few candidates. Where a thin tail is left, a sparse product is
cheaper. Sums run over users in one order everywhere, so equal columns have equal similarities to the last bit.

U users, N items, R items that rank no higher than the W items of a panel, B columns compared with items that they are not among.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from bowerbird.models.topk import Scores

PANEL_WIDTH, PANEL_VALUES = 1024, 2**24  # a panel has at most so many items and, but for a single item, so many values
CHUNK = 128  # so many columns are multiplied at once, which stay in the cache
NUM_GROUPS = 256
DENSE_IS_CHEAPER = 16.0  # a multiplication in a sparse product costs as much as so many values of a panel
BLOCK_PRODUCTS = 5_000_000  # a block of a sparse product needs at most so many multiplications, but for a single item
PADDED = 2_000_000  # so many values, padding included, are looked at together
MAX_CANDIDATES = 8_000_000  # beyond so many, and twice those that stay, candidates are thinned out
SORTED = 4_000_000  # about so many candidates are sorted at once
EXACT = 2**24  # whole numbers up to here are exact in float32


@dataclass(frozen=True)
class Similarity:
    """How the product of two items becomes their similarity; ``left`` [N] belongs to j, ``right`` [N] to its neighbour i."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    shrinkage: float = 0.0
    is_jaccard: bool = False
    significance: int = 1

    def __call__(self, products: Scores, left: NDArray[np.float64], right: NDArray[np.float64], common: Scores) -> Scores:
        """Turn products, and counts of common rows, into similarities; ``left`` and ``right`` broadcast to their shape."""
        left, right = left.astype(products.dtype), right.astype(products.dtype)
        divisor: Scores = left + right - products if self.is_jaccard else left * right
        if self.shrinkage > 0:
            divisor += products.dtype.type(self.shrinkage)
        values: Scores = np.divide(products, divisor, out=divisor)
        if self.significance > 1:
            values *= np.minimum(common / values.dtype.type(self.significance), 1)
        return values

    def counts_apart(self, x: csr_array) -> bool:
        """Tell whether the products of columns of ``x`` do not count their common rows already; see ``_small_numbers``."""
        return self.significance > 1 and x.dtype != np.float32

    def ranked(self, order: NDArray[np.int64]) -> Similarity:
        """Return the same for items in another order."""
        return replace(self, left=self.left[order], right=self.right[order])


def cosine(x: csr_array, *, shrinkage: float = 0.0, alpha: float = 0.5, significance: int = 1) -> Similarity:
    """Divide by the columns' norms: |x_j|^(2 alpha) |x_i|^(2 (1 - alpha)) + shrinkage."""
    squares: NDArray[np.float64] = np.bincount(x.indices, x.data**2, minlength=x.shape[1]).astype(np.float64)
    squares[squares == 0] = 1.0
    return Similarity(np.power(squares, alpha), np.power(squares, 1 - alpha), shrinkage, significance=significance)


def jaccard(x: csr_array, *, shrinkage: float = 0.0, significance: int = 1) -> Similarity:
    """Divide by how many users have one of the two; ``x`` holds ones."""
    users = np.bincount(x.indices, minlength=x.shape[1]).astype(np.float64)
    return Similarity(np.maximum(users, 1), np.maximum(users, 1), shrinkage, is_jaccard=True, significance=significance)


def nearest_items(x: csr_array, similarity: Similarity, *, num_neighbors: int) -> csr_array:
    """Return similarities, N x N; row j holds the ``num_neighbors`` items most similar to j, without j itself.

    ``x`` is users x items, float64, above 0. At the last place the item of more users wins, then the lower code.
    """
    order = np.argsort(-np.bincount(x.indices, minlength=x.shape[1]), kind="stable")
    ranked, similarity = _small_numbers(x[:, order], similarity.ranked(order))
    ranked.sort_indices()
    found = Candidates(x.shape[1], num_neighbors, ranked.dtype)
    start = 0
    while not _is_thin(ranked):
        width = min(PANEL_WIDTH, max(PANEL_VALUES // ranked.shape[1], 1), ranked.shape[1])
        _add_panel(found, ranked, width, similarity, start)
        ranked, start = ranked[:, width:], start + width
    _add_tail(found, ranked, similarity, start)
    nearest = found.nearest()
    nearest.indices = order.astype(np.int32)[nearest.indices]  # a product with wider indices would narrow them anew
    unranked = nearest[np.argsort(order)]
    unranked.sort_indices()
    unranked.data = unranked.data.astype(np.float64, copy=False)
    return unranked


def nearest_to(
    others: csr_array, x: csr_array, similarity: Similarity, *, num_neighbors: int, own: NDArray[np.integer[Any]]
) -> csr_array:
    """Return similarities, B x N; row b holds the items most similar to column b of ``others``, without item ``own[b]``.

    ``similarity.left`` [B] belongs to ``others``. At the last place the item that comes first in ``x`` wins: where items are
    ordered by their number of users, that is what ``nearest_items`` does. Entries are above 1e-100, so that none gets lost.
    """
    by_other = others.T.tocsr()
    parts = [csr_array((0, x.shape[1]))]
    for begin, stop in _blocks(x, by_other):
        similar = _similar(by_other[begin:stop], x, similarity, similarity.left[begin:stop])
        similar.data[similar.indices == np.repeat(own[begin:stop], np.diff(similar.indptr))] = 0
        similar.sort_indices()
        parts.append(_kept(similar, num_neighbors))
    return vstack(parts, format="csr")


def _small_numbers(x: csr_array, similarity: Similarity) -> tuple[csr_array, Similarity]:
    """Count in float32 where all entries are equal: exact, and twice as fast."""
    value = x.data[0] if x.nnz else 1.0
    if (x.data != value).any() or x.shape[0] > EXACT:
        return x, similarity
    left, right = similarity.left / value, similarity.right / value
    return _ones(x), replace(similarity, left=left, right=right, shrinkage=similarity.shrinkage / value**2)


def _ones(x: csr_array) -> csr_array:
    return csr_array((np.ones(x.nnz, np.float32), x.indices, x.indptr), shape=x.shape)


def _is_thin(ranked: csr_array) -> bool:
    """Tell whether a sparse product of all columns is cheaper than dense panels."""
    per_user = np.diff(ranked.indptr).astype(np.float64)
    return bool(per_user @ per_user * DENSE_IS_CHEAPER <= ranked.shape[1] ** 2.0)


class Candidates:
    """Pairs of items that may be among the nearest, by rank; ``floors`` [N] is what the last place of an item has at least."""

    def __init__(self, num_items: int, num_neighbors: int, dtype: np.dtype[Any]) -> None:
        self.num_neighbors = num_neighbors
        self.floors = np.zeros(num_items, dtype)
        self._limit = MAX_CANDIDATES
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int32], Scores]] = []

    def add(self, items: NDArray[Any], neighbours: NDArray[Any], values: Scores) -> None:
        """Add pairs; the neighbours of one item come in ascending order, or in any order within one call."""
        self._parts.append((items.astype(np.int32), neighbours.astype(np.int32), values))
        if sum(len(part[2]) for part in self._parts) > self._limit:
            kept = self.nearest()
            lengths = np.diff(kept.indptr)
            last = np.minimum.reduceat(kept.data, kept.indptr[:-1][lengths > 0])
            is_full = lengths == self.num_neighbors
            self.floors[is_full] = last[is_full[lengths > 0]]
            self._parts = [(kept.tocoo().row, kept.indices, kept.data)]
            self._limit = max(MAX_CANDIDATES, 2 * kept.nnz)  # so that thinning out takes no more time than adding

    def nearest(self) -> csr_array:
        """Return the nearest so far; the first ones where the last place is tied."""
        num_items = len(self.floors)
        num_blocks = min(num_items, 1 + sum(len(part[2]) for part in self._parts) // SORTED)
        cuts = np.linspace(0, num_items, num_blocks + 1).astype(int).tolist()
        return vstack([self._of(begin, stop) for begin, stop in pairwise(cuts)], format="csr")

    def _of(self, begin: int, stop: int) -> csr_array:
        """Return the nearest of some items."""
        nothing = np.zeros(0, np.int32)
        parts: list[tuple[NDArray[Any], NDArray[Any], Scores]] = [(nothing, nothing, np.zeros(0, self.floors.dtype))]
        for items, neighbours, values in self._parts:
            is_open = (items >= begin) & (items < stop) & (values >= self.floors[items])
            parts.append((items[is_open] - np.int32(begin), neighbours[is_open], values[is_open]))
        items, neighbours, values = map(np.concatenate, zip(*parts, strict=True))
        return _kept(coo_array((values, (items, neighbours)), shape=(stop - begin, len(self.floors))).tocsr(), self.num_neighbors)


def _add_panel(found: Candidates, ranked: csr_array, width: int, similarity: Similarity, start: int) -> None:
    """Compare the first ``width`` columns with all: as their neighbours (own), and they as neighbours of the rest."""
    stop, end = start + width, start + ranked.shape[1]
    products_RW = _products(ranked, width)
    common_RW = _products(_ones(ranked), width) if similarity.counts_apart(ranked) else products_RW
    np.fill_diagonal(products_RW, 0)
    left, right = similarity.left, similarity.right
    own_RW = similarity(products_RW, left[start:stop], right[start:end, None], common_RW)
    is_symmetric = np.array_equal(left, right)
    rest_RW = own_RW[width:]
    if not is_symmetric:
        rest_RW = similarity(products_RW[width:], left[stop:end, None], right[start:stop], common_RW[width:])
    for values, items, axis in ((own_RW, slice(start, stop), 0), (rest_RW, slice(stop, end), 1)):
        floors = np.maximum(found.floors[items], _floors(values, found.num_neighbors, axis))
        found.floors[items] = floors
        is_open = (values >= (floors if axis == 0 else floors[:, None])) & (values > 0)
        rows, columns = np.divmod(np.flatnonzero(is_open).astype(np.int32), np.int32(width))
        pair = (columns, rows) if axis == 0 else (rows + width, columns)
        found.add(pair[0] + start, pair[1] + start, values[is_open])


def _products(ranked: csr_array, width: int) -> Scores:
    """Multiply the first ``width`` columns with all columns; [R, W]. Users with none of the columns are left out."""
    products_RW = np.empty((ranked.shape[1], width), ranked.dtype)
    for begin in range(0, width, CHUNK):
        columns = ranked[:, begin : min(begin + CHUNK, width)]
        users = np.flatnonzero(np.diff(columns.indptr))
        products_RW[:, begin : begin + CHUNK] = ranked[users].T @ columns[users].toarray()
    return products_RW


def _floors(values: Scores, num_neighbors: int, axis: int) -> Scores:
    """Bound the last place along an axis from below: groups whose maxima reach it hold so many values that do."""
    length = values.shape[axis]
    size = max(1, length // max(NUM_GROUPS, 2 * num_neighbors))
    groups = length // size
    if groups < num_neighbors:
        return np.zeros(values.shape[1 - axis], values.dtype)
    if axis == 0:
        maxima = np.ascontiguousarray(values[: groups * size].reshape(size, groups, -1).max(axis=0).T)
    else:
        maxima = values[:, : groups * size].reshape(-1, size, groups).max(axis=1)
    floors: Scores = np.sort(maxima, axis=1)[:, -num_neighbors]
    return floors


def _add_tail(found: Candidates, ranked: csr_array, similarity: Similarity, start: int) -> None:
    """Compare columns among each other by sparse products."""
    by_item = ranked.T.tocsr()
    rest = replace(similarity, right=similarity.right[start:])
    for begin, stop in _blocks(ranked, by_item):
        similar = _similar(by_item[begin:stop], ranked, rest, similarity.left[start + begin : start + stop])
        rows, columns, values = np.repeat(np.arange(begin, stop), np.diff(similar.indptr)), similar.indices, similar.data
        values[rows == columns] = 0
        floors = _last_places(similar.indptr, values, found.num_neighbors)
        found.floors[start + begin : start + stop] = np.maximum(found.floors[start + begin : start + stop], floors)
        is_open = (values >= found.floors[start + rows]) & (values > 0)
        found.add(rows[is_open] + start, columns[is_open] + start, values[is_open])


def _similar(by_item: csr_array, x: csr_array, similarity: Similarity, left: NDArray[np.float64]) -> csr_array:
    """Compare rows of ``by_item`` with all columns of ``x`` that share a row; ``left`` belongs to the former."""
    product = by_item @ x
    common = (_ones(by_item) @ _ones(x)).data if similarity.counts_apart(x) else product.data
    lefts = np.repeat(left, np.diff(product.indptr))
    values = similarity(product.data, lefts, similarity.right[product.indices], common)
    return csr_array((values, product.indices, product.indptr), shape=product.shape)


def _blocks(ranked: csr_array, by_item: csr_array) -> list[tuple[int, int]]:
    """Cut the items so that no block, but for a single item, needs more than BLOCK_PRODUCTS multiplications."""
    per_user = np.diff(ranked.indptr)
    per_entry = np.concatenate([[0], np.cumsum(per_user[by_item.indices], dtype=np.int64)])
    ends = per_entry[by_item.indptr[1:]]
    cuts, begin = [0], 0
    while cuts[-1] < len(ends):
        stop = max(int(np.searchsorted(ends, begin + BLOCK_PRODUCTS, side="right")), cuts[-1] + 1)
        begin = int(ends[stop - 1])
        cuts.append(stop)
    return list(pairwise(cuts))


def _kept(similar: csr_array, num_neighbors: int) -> csr_array:
    """Keep the places that ``nearest_places`` chooses."""
    kept = nearest_places(similar.indptr, similar.data, num_neighbors)
    indptr = np.concatenate([[0], np.cumsum(kept)])[similar.indptr].astype(similar.indices.dtype)
    return csr_array((similar.data[kept], similar.indices[kept], indptr), shape=similar.shape)


def nearest_places(indptr: NDArray[Any], values: Scores, num_neighbors: int) -> NDArray[np.bool_]:
    """Choose the largest values above 0 of each row, the first ones where the last place is tied; bool, one a value."""
    rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
    last = np.maximum(_last_places(indptr, values, num_neighbors), np.finfo(values.dtype).tiny)[rows]
    is_chosen, is_tied = values > last, values == last
    places_left = num_neighbors - np.diff(np.concatenate([[0], np.cumsum(is_chosen)])[indptr])
    tied = np.flatnonzero(is_tied)
    first = np.concatenate([[0], np.cumsum(is_tied)])[indptr]
    is_chosen[tied[np.arange(len(tied)) - first[rows[tied]] < places_left[rows[tied]]]] = True
    return is_chosen


def _last_places(indptr: NDArray[Any], values: Scores, num_neighbors: int) -> Scores:
    """Return the ``num_neighbors``-th largest value of each row, 0 where a row has no more than so many.

    Rows of like length lie side by side in one array, padded with 0: that is ten times faster than sorting all values.
    """
    lengths = np.diff(indptr)
    floors = np.zeros(len(lengths), values.dtype)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > num_neighbors]
    start = 0
    while start < len(order):
        widths = lengths[order[start:]].astype(np.int64)
        stop = start + max(1, int(np.searchsorted(widths * np.arange(1, len(widths) + 1), PADDED, side="right")))
        rows, width = order[start:stop], int(lengths[order[stop - 1]])
        places = indptr[rows][:, None] + np.arange(width)
        padded = np.where(np.arange(width) < lengths[rows][:, None], values[np.minimum(places, len(values) - 1)], 0)
        floors[rows] = np.sort(padded, axis=1)[:, -num_neighbors]
        start = stop
    return floors
