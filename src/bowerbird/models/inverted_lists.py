"""Inverted lists: items near each other share a list, and a user's best items are sought in a few lists only.

k-means cuts the items into L lists; a user's are the ``num_probes`` ones whose centroid has the largest product with the user's
vector. k-means goes by distance, which for vectors of one length is by product: so each item gets a coordinate more,
sqrt(longest^2 - |q|^2), which users have as 0 (Bachrach et al., RecSys 2014). It starts from items drawn by seed, runs
``NUM_ROUNDS`` rounds on at most ``ITEMS_A_LIST`` items a list, and a list left without items keeps its centroid.

Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011, section 4, without the compression.
Shapes: B users of a block, A of them with a list, L lists, P probes, M items, D width, C places for candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.barrier import Barrier
from bowerbird.models.topk import chunk_maxima, floors, top_k

NUM_ROUNDS = 10
ITEMS_A_LIST = 64
BLOCK = 4096
FIRST = 2  # lists that tell what score a user's other items must reach


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Centroids and members: ``codes_M`` holds the items' codes, list by list, ``indptr`` [L + 1] where each list begins."""

    centroids_LD: NDArray[np.float32]
    codes_M: NDArray[np.int64]
    indptr: NDArray[np.int64]
    longest: float

    @classmethod
    def of(cls, items_ND: NDArray[np.float32], num_lists: int | None, *, seed: int) -> InvertedLists:
        """Cut the items whose vector is not 0; into the root of their number of lists where none is given."""
        codes_M = np.flatnonzero(items_ND.any(axis=1))
        squares_M = (items_ND[codes_M].astype(np.float64) ** 2).sum(axis=1)
        rest_M = np.sqrt(squares_M.max(initial=0) - squares_M).astype(np.float32)
        items_MD = np.column_stack([items_ND[codes_M], rest_M])
        num_lists = min(num_lists or round(len(codes_M) ** 0.5), len(codes_M))
        centroids_LD = k_means(items_MD, num_lists, generator=np.random.default_rng(seed))
        lists_M = nearest(items_MD, centroids_LD)
        order = np.argsort(lists_M, kind="stable")
        indptr = np.searchsorted(lists_M[order], np.arange(num_lists + 1)).astype(np.int64)
        return cls(centroids_LD[:, :-1], codes_M[order], indptr, float(squares_M.max(initial=0)) ** 0.5)

    def search(
        self, vectors_BD: NDArray[np.float64], items_DM: NDArray[np.float32], k: int, *, num_probes: int, bar: Barrier
    ) -> NDArray[np.int64]:
        """Return the codes of each user's best ``k`` items in the lists probed, -1 where there are fewer; [B, k].

        ``items_DM`` are the items' vectors as columns, in the order of ``codes_M``; ``bar`` speaks of places in that order.
        """
        found_BK = np.full((len(vectors_BD), k), -1)
        asked = np.flatnonzero(~bar.is_silent_B)
        rough_AD, num_items = vectors_BD[asked].astype(np.float32), len(self.codes_M)
        products_AL = vectors_BD[asked] @ self.centroids_LD.T.astype(np.float64)
        probes_AP, _ = top_k(products_AL, num_probes)
        floors_A1 = self._floors(rough_AD, items_DM, probes_AP[:, :FIRST], k, asked, bar)
        found, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for rows, _, members, scores in self._products(rough_AD, items_DM, probes_AP, bar):
            reached = np.flatnonzero(scores >= floors_A1[rows])
            of_row, column = np.divmod(reached, scores.shape[1])
            found.append(rows[of_row] * num_items + members.start + column)
            values.append(scores.ravel()[reached])
        places, scores_P = np.concatenate(found), np.concatenate(values)
        row_B = np.full(len(bar.is_silent_B), -1)
        row_B[asked] = np.arange(len(asked))
        scores_P[np.isin(places, row_B[bar.rows] * num_items + bar.items)] = -np.inf
        rows_P = places // max(num_items, 1)
        order = np.lexsort((places, -scores_P, rows_P))
        rows_P = rows_P[order]
        ranks_P = np.arange(len(order)) - np.searchsorted(rows_P, np.arange(len(asked)))[rows_P]
        is_kept_P = (ranks_P < k) & (scores_P[order] > -np.inf)
        found_BK[asked[rows_P[is_kept_P]], ranks_P[is_kept_P]] = self.codes_M[places[order[is_kept_P]] % max(num_items, 1)]
        return found_BK

    def _products(
        self, rough_AD: NDArray[np.float32], items_DM: NDArray[np.float32], probes_AP: NDArray[np.int64], bar: Barrier
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], slice, NDArray[np.float32]]]:
        """Go through the lists: users that probe it, as which of theirs, its members, and the scores."""
        order = np.argsort(probes_AP, axis=None, kind="stable")
        lists, begins = np.unique(probes_AP.ravel()[order], return_index=True)
        for number, asking in zip(lists, np.split(order, begins[1:]), strict=False):
            members = slice(self.indptr[number], self.indptr[number + 1])
            rows, ranks = np.divmod(asking, probes_AP.shape[1])
            if members.start < members.stop:
                scores = rough_AD[rows] @ items_DM[:, members]
                if bar.allowed_M is not None:
                    scores[:, ~bar.allowed_M[members]] = -np.inf
                yield rows, ranks, members, scores

    def _floors(
        self,
        rough_AD: NDArray[np.float32],
        items_DM: NDArray[np.float32],
        probes_AP: NDArray[np.int64],
        k: int,
        asked: NDArray[np.int64],
        bar: Barrier,
    ) -> NDArray[np.float32]:
        """Bound each user's ``k``-th best score from below by what a few lists hold; [A, 1]."""
        lengths_AP = np.diff(self.indptr)[probes_AP]
        starts_AP = np.cumsum(lengths_AP, axis=1) - lengths_AP
        starts_AL = np.full((len(rough_AD), len(self.centroids_LD)), -1)
        np.put_along_axis(starts_AL, probes_AP, starts_AP, axis=1)
        scores_AC = np.full((len(rough_AD), lengths_AP.sum(axis=1).max(initial=0)), -np.inf, np.float32)
        for rows, ranks, _, scores in self._products(rough_AD, items_DM, probes_AP, bar):
            scores_AC[rows[:, None], starts_AP[rows, ranks][:, None] + np.arange(scores.shape[1])] = scores
        scores_AC[self._taken(starts_AL, asked, bar)] = -np.inf
        errors_A1 = (rough_AD.shape[1] + 4) * 2.0**-22 * np.linalg.norm(rough_AD, axis=1, keepdims=True) * self.longest
        floors_A1: NDArray[np.float32] = floors(chunk_maxima(scores_AC, k), k)
        return np.where(floors_A1 > np.finfo(np.float32).min, floors_A1 - errors_A1, floors_A1).astype(np.float32)

    def _taken(
        self, starts_AL: NDArray[np.int64], asked: NDArray[np.int64], bar: Barrier
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return rows and columns of the candidates that are taken."""
        row_B = np.full(len(bar.is_silent_B), -1)
        row_B[asked] = np.arange(len(asked))
        rows, lists = row_B[bar.rows], np.searchsorted(self.indptr, bar.items, side="right") - 1
        starts = starts_AL[rows, lists] if len(asked) else rows
        is_there = (rows >= 0) & (starts >= 0)
        return rows[is_there], (starts + bar.items - self.indptr[lists])[is_there]


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
