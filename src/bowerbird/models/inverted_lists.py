"""Inverted lists: items near each other share a list, and a user's best items are sought in a few lists only.

k-means cuts the items into L lists. A user u searches the lists that may hold something better than the middle of the best one:

    c_l . u + reach |u| s_l  >=  max over m of c_m . u,        s_l^2 = mean over the list of |q - c_l|^2 / D

c_l is a list's centroid, and |u| s_l how far the product with a user strays from the centroid's where a list spreads alike in
all directions; s_l is no less than the mean over all items, for a list of one item spreads only by chance. A user whose best
items lie together searches few lists, another many. k-means goes by distance, which for vectors of one length is by product: so
each item gets a coordinate more, sqrt(longest^2 - |q|^2), which users have as 0 (Bachrach et al., RecSys 2014). It starts from
items drawn by seed, runs ``NUM_ROUNDS`` rounds on at most ``ITEMS_A_LIST`` items a list, and a list left without items keeps
its centroid.

Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011, section 4, without the compression.
Shapes: B users of a block, A of them with a list, L lists, F first lists, M items, D width, C places for candidates, P found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.barrier import Barrier
from bowerbird.models.topk import chunk_maxima, floors, ranked, top_k

NUM_ROUNDS = 10
ITEMS_A_LIST = 64
LISTS_A_ROOT = 2  # so many times the root of the number of items
BLOCK = 4096
FIRST = 3  # lists that tell what score a user's other items must reach


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Centroids, spreads, members: ``codes_M`` holds the items' codes, list by list, ``indptr`` [L + 1] where each begins."""

    centroids_LD: NDArray[np.float32]
    spreads_L: NDArray[np.float64]
    codes_M: NDArray[np.int64]
    indptr: NDArray[np.int64]
    longest: float

    @classmethod
    def of(cls, items_ND: NDArray[np.float32], num_lists: int | None, *, seed: int) -> InvertedLists:
        """Cut the items whose vector is not 0; into twice the root of their number of lists where none is given."""
        codes_M = np.flatnonzero(items_ND.any(axis=1))
        squares_M = (items_ND[codes_M].astype(np.float64) ** 2).sum(axis=1)
        rest_M = np.sqrt(squares_M.max(initial=0) - squares_M).astype(np.float32)
        items_MD = np.column_stack([items_ND[codes_M], rest_M])
        num_lists = min(num_lists or round(LISTS_A_ROOT * len(codes_M) ** 0.5), len(codes_M))
        centroids_LD = k_means(items_MD, num_lists, generator=np.random.default_rng(seed))
        lists_M = nearest(items_MD, centroids_LD)
        order = np.argsort(lists_M, kind="stable")
        indptr = np.searchsorted(lists_M[order], np.arange(num_lists + 1)).astype(np.int64)
        centroids_LD = np.ascontiguousarray(centroids_LD[:, :-1])
        away_M = ((items_ND[codes_M] - centroids_LD[lists_M]).astype(np.float64) ** 2).mean(axis=1)
        if not away_M.any() and len(codes_M):  # nothing but lists of one item, or of equal ones
            away_M[:] = items_ND[codes_M].var(axis=0, dtype=np.float64).mean()
        least = away_M.sum() / max(len(codes_M), 1)
        spreads_L = np.sqrt(np.maximum(np.bincount(lists_M, away_M, num_lists) / np.maximum(np.diff(indptr), 1), least))
        return cls(centroids_LD, spreads_L, codes_M[order], indptr, float(squares_M.max(initial=0)) ** 0.5)

    def probed(self, vectors_AD: NDArray[np.float64], products_AL: NDArray[np.float64], *, reach: float) -> NDArray[np.bool_]:
        """Tell which lists each user searches; [A, L]."""
        if reach == np.inf:
            return np.ones(products_AL.shape, bool)
        lengths_A1 = np.linalg.norm(vectors_AD, axis=1, keepdims=True)
        best_A1 = products_AL.max(axis=1, keepdims=True, initial=-np.inf)
        is_probed_AL: NDArray[np.bool_] = products_AL + reach * lengths_A1 * self.spreads_L >= best_A1
        return is_probed_AL

    def search(
        self, vectors_BD: NDArray[np.float64], items_DM: NDArray[np.float32], k: int, *, reach: float, bar: Barrier
    ) -> NDArray[np.int64]:
        """Return the codes of each user's best ``k`` items in the lists searched, -1 where there are fewer; [B, k].

        ``items_DM`` are the items' vectors as columns, in the order of ``codes_M``; ``bar`` speaks of places in that order.
        """
        found_BK = np.full((len(vectors_BD), k), -1)
        asked = np.flatnonzero(~bar.is_silent_B)
        rough_AD, num_items = vectors_BD[asked].astype(np.float32), len(self.codes_M)
        products_AL = vectors_BD[asked] @ self.centroids_LD.T.astype(np.float64)
        floors_A1 = self._floors(rough_AD, items_DM, top_k(products_AL, FIRST)[0], k, asked, bar)
        found, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        is_probed_AL = self.probed(vectors_BD[asked], products_AL, reach=reach)
        for _, rows, members, scores in self._products(rough_AD, items_DM, is_probed_AL, bar):
            reached = np.flatnonzero(scores >= floors_A1[rows])
            of_row, column = np.divmod(reached, scores.shape[1])
            found.append(rows[of_row] * num_items + members.start + column)
            values.append(scores.ravel()[reached])
        places, scores_P = np.concatenate(found), np.concatenate(values)
        row_B = np.full(len(bar.is_silent_B), -1)
        row_B[asked] = np.arange(len(asked))
        is_free_P = ~np.isin(places, row_B[bar.rows] * num_items + bar.items)
        places, scores_P = places[is_free_P], scores_P[is_free_P]
        order = np.argsort(places)
        best_AK, _ = ranked(places[order], scores_P[order], (len(asked), num_items), k)
        found_BK[asked] = np.append(self.codes_M, -1)[best_AK]
        return found_BK

    def _products(
        self, rough_AD: NDArray[np.float32], items_DM: NDArray[np.float32], is_probed_AL: NDArray[np.bool_], bar: Barrier
    ) -> Iterator[tuple[int, NDArray[np.int64], slice, NDArray[np.float32]]]:
        """Go through the lists: number, users that search it, its members, and the scores."""
        lists, rows = np.nonzero(is_probed_AL.T)
        begins = np.searchsorted(lists, np.arange(is_probed_AL.shape[1] + 1))
        for number in np.flatnonzero(np.diff(begins)).tolist():
            members = slice(self.indptr[number], self.indptr[number + 1])
            if members.start < members.stop:
                asking = rows[begins[number] : begins[number + 1]]
                scores = rough_AD[asking] @ items_DM[:, members]
                if bar.allowed_M is not None:
                    scores[:, ~bar.allowed_M[members]] = -np.inf
                yield number, asking, members, scores

    def _floors(
        self,
        rough_AD: NDArray[np.float32],
        items_DM: NDArray[np.float32],
        firsts_AF: NDArray[np.int64],
        k: int,
        asked: NDArray[np.int64],
        bar: Barrier,
    ) -> NDArray[np.float32]:
        """Bound each user's ``k``-th best score from below by what the first lists hold; [A, 1]."""
        lengths_AF = np.diff(self.indptr)[firsts_AF]
        starts_AF = np.cumsum(lengths_AF, axis=1) - lengths_AF
        is_first_AL = np.zeros((len(rough_AD), len(self.centroids_LD)), bool)
        np.put_along_axis(is_first_AL, firsts_AF, True, axis=1)
        scores_AC = np.full((len(rough_AD), lengths_AF.sum(axis=1).max(initial=0)), -np.inf, np.float32)
        for number, rows, _, scores in self._products(rough_AD, items_DM, is_first_AL, bar):
            starts = starts_AF[rows, (firsts_AF[rows] == number).argmax(axis=1)]
            scores_AC[rows[:, None], starts[:, None] + np.arange(scores.shape[1])] = scores
        scores_AC[self._taken(firsts_AF, starts_AF, asked, bar)] = -np.inf
        errors_A1 = (rough_AD.shape[1] + 4) * 2.0**-22 * np.linalg.norm(rough_AD, axis=1, keepdims=True) * self.longest
        floors_A1: NDArray[np.float32] = floors(chunk_maxima(scores_AC, k), k)
        return np.where(floors_A1 > np.finfo(np.float32).min, floors_A1 - errors_A1, floors_A1).astype(np.float32)

    def _taken(
        self, firsts_AF: NDArray[np.int64], starts_AF: NDArray[np.int64], asked: NDArray[np.int64], bar: Barrier
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows and columns of the candidates that are taken."""
        row_B = np.full(len(bar.is_silent_B), -1)
        row_B[asked] = np.arange(len(asked))
        rows, lists = row_B[bar.rows], np.searchsorted(self.indptr, bar.items, side="right") - 1
        rows, lists, items = rows[rows >= 0], lists[rows >= 0], bar.items[rows >= 0]
        pair, rank = np.nonzero(firsts_AF[rows] == lists[:, None])
        return rows[pair], starts_AF[rows[pair], rank] + items[pair] - self.indptr[lists[pair]]


def k_means(items_MD: NDArray[np.float32], num_lists: int, *, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the centroids; [L, D]."""
    chosen = np.sort(generator.permutation(len(items_MD))[: ITEMS_A_LIST * num_lists])
    sample_MD = items_MD[chosen]
    centroids_LD = sample_MD[np.sort(generator.permutation(len(sample_MD))[:num_lists])]
    for _ in range(NUM_ROUNDS):
        lists_M = nearest(sample_MD, centroids_LD)
        order = np.argsort(lists_M, kind="stable")
        found, begins = np.unique(lists_M[order], return_index=True)
        sums = np.add.reduceat(sample_MD[order].astype(np.float64), begins, axis=0)
        centroids_LD = centroids_LD.copy()
        centroids_LD[found] = sums / np.diff(np.append(begins, len(order)))[:, None]
    return centroids_LD


def nearest(items_MD: NDArray[np.float32], centroids_LD: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the place of the centroid nearest to each item, the first of equals; [M]."""
    halves_L = (centroids_LD.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    lists_M = np.empty(len(items_MD), np.int64)
    for start in range(0, len(items_MD), BLOCK):
        block = slice(start, start + BLOCK)
        lists_M[block] = np.argmax(items_MD[block] @ centroids_LD.T - halves_L, axis=1)
    return lists_M
