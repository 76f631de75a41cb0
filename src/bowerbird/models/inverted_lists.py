"""Inverted lists: items near each other share a list, and a user's best items are sought in a few lists only.

k-means cuts the items into L lists; a user's are the ``num_probes`` ones whose centroid has the largest product with the user's
vector. k-means goes by distance, which for vectors of one length is by product: so each item gets a coordinate more,
sqrt(longest^2 - |q|^2), which users have as 0 (Bachrach et al., RecSys 2014). It starts from items drawn by seed, runs
``NUM_ROUNDS`` rounds on at most ``ITEMS_A_LIST`` items a list, and a list left without items keeps its centroid.

Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011, section 4, without the compression.
Shapes: B users of a block, A of them with a list, L lists, P probes, M items, D width, C places for candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.barrier import Barrier
from bowerbird.models.topk import top_k

NUM_ROUNDS = 10
ITEMS_A_LIST = 64
BLOCK = 4096


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Centroids and members: ``codes_M`` holds the items' codes, list by list, ``indptr`` [L + 1] where each list begins."""

    centroids_LD: NDArray[np.float32]
    codes_M: NDArray[np.int64]
    indptr: NDArray[np.int64]

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
        return cls(centroids_LD[:, :-1], codes_M[order], indptr)

    def search(
        self, vectors_BD: NDArray[np.float64], items_DM: NDArray[np.float32], k: int, *, num_probes: int, bar: Barrier
    ) -> NDArray[np.int64]:
        """Return the codes of each user's best ``k`` items in the lists probed, -1 where there are fewer; [B, k].

        ``items_DM`` are the items' vectors as columns, in the order of ``codes_M``; ``bar`` speaks of places in that order.
        """
        found_BK = np.full((len(vectors_BD), k), -1)
        asked = np.flatnonzero(~bar.is_silent_B)
        starts_AL, num_places = self._starts(vectors_BD[asked], num_probes)
        rough_AD = vectors_BD[asked].astype(np.float32)
        scores_AC = np.full((len(asked), num_places), -np.inf, np.float32)
        places_AC = np.full((len(asked), num_places), -1, np.int32)
        for number in np.flatnonzero((starts_AL >= 0).any(axis=0)):
            members = slice(self.indptr[number], self.indptr[number + 1])
            rows = np.flatnonzero(starts_AL[:, number] >= 0)[:, None]
            columns = starts_AL[rows, number] + np.arange(members.stop - members.start)
            scores = rough_AD[rows[:, 0]] @ items_DM[:, members]
            if bar.allowed_M is not None:
                scores[:, ~bar.allowed_M[members]] = -np.inf
            scores_AC[rows, columns] = scores
            places_AC[rows, columns] = np.arange(members.start, members.stop)
        scores_AC[self._taken(starts_AL, asked, bar)] = -np.inf
        columns_AK, _ = top_k(scores_AC, k)
        codes_AK = self.codes_M[np.take_along_axis(places_AC, np.maximum(columns_AK, 0), axis=1)]
        found_BK[asked, : columns_AK.shape[1]] = np.where(columns_AK >= 0, codes_AK, -1)
        return found_BK

    def _starts(self, vectors_AD: NDArray[np.float64], num_probes: int) -> tuple[NDArray[np.int64], int]:
        """Say where a user's candidates from each list begin, -1 where it is not probed, [A, L], and how many a user has."""
        products_AL = vectors_AD @ self.centroids_LD.T.astype(np.float64)
        probes_AP, _ = top_k(products_AL, num_probes)
        lengths_AP = np.diff(self.indptr)[probes_AP]
        starts_AL = np.full(products_AL.shape, -1)
        np.put_along_axis(starts_AL, probes_AP, np.cumsum(lengths_AP, axis=1) - lengths_AP, axis=1)
        return starts_AL, int(lengths_AP.sum(axis=1).max(initial=0))

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
