"""What models share whose score is the product of a user's vector and an item's.

    score(u, i) = p_u . q_i

A subclass calls ``_keep(user_vectors, item_vectors)`` at the end of ``_fit`` and writes ``_fold_in``, which makes vectors from
histories, for users that ``fit`` never saw or whose history the caller gives. The rest, saving included, is here. A bias is a
column more: 1 for users, b_i for items. A vector of zeros has nothing to say: a user's list is left to popularity, an item is
never listed.

Lists are found by a product in single precision, whose error is bounded, and what may be among the best is scored again in
double precision: the same lists as from double precision alone. Items go through in strips, those with the longest vectors
first: since p . q <= |p| |q|, the rest is left out once no user of the block can find a better item there.
Shapes: U users, B users of a block, N items, M items with a vector that is not 0, S items of a strip, D width, P pairs.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Histories, Model
from bowerbird.models.topk import Best, Scores, chunk_maxima, floors, reaching

STRIP_SCORES = 2**20  # a strip has so many scores, which stay in the cache
PIECE = 2**16  # so many pairs are scored at once
UNIT_ROUNDOFF = 2.0**-24


class FactorModel(Model):
    """A model that keeps a vector for each user and item."""

    block_scores = 2**24  # a strip at a time is what lists need

    @abstractmethod
    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        """Make vectors from histories alone; [B, D], zeros where there is no evidence.

        One user's vector must not depend on who else is in the block by more than double precision's rounding.
        """

    def _keep(self, users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> None:
        """Take the vectors of all users and items that ``self.data`` has, in the order of their codes."""
        self._users_UD, self._items_ND = users_UD, items_ND
        norms_N = np.linalg.norm(items_ND.astype(np.float64), axis=1)
        self._longest_M = np.argsort(-norms_N, kind="stable")[: np.count_nonzero(norms_N)]
        self._norms_M = norms_N[self._longest_M]
        self._items_DM = np.ascontiguousarray(items_ND[self._longest_M].T)

    def item_vectors(self) -> NDArray[np.float32]:
        return self._items_ND

    def _vectors(self, histories: Histories) -> NDArray[np.float64]:
        """Return the vectors from ``fit`` of users with their own history, and fold in the others; [B, D]."""
        is_folded_B = histories.users < 0
        if histories.stands_in is not None:
            is_folded_B = is_folded_B | histories.stands_in
        vectors_BD = self._users_UD[histories.users].astype(np.float64)
        if is_folded_B.any():
            folded_BD = self._fold_in(histories.select(is_folded_B[histories.rows]))
            vectors_BD[is_folded_B] = folded_BD[is_folded_B]
        return vectors_BD

    def _score(self, histories: Histories, at: int) -> Scores:
        vectors_BD = self._vectors(histories)
        scores_BN = (vectors_BD @ self._items_ND.T.astype(np.float64)).astype(np.float32)
        scores_BN[:, ~self._items_ND.any(axis=1)] = -np.inf
        scores_BN[~vectors_BD.any(axis=1)] = -np.inf
        return scores_BN

    def _best(self, histories: Histories, at: int, k: int, bar: Barrier) -> tuple[NDArray[np.int64], Scores]:
        vectors_BD = self._vectors(histories)
        rough_BD, norms_B1 = vectors_BD.astype(np.float32), np.linalg.norm(vectors_BD, axis=1, keepdims=True)
        errors_B1 = 1.1 * (vectors_BD.shape[1] + 4) * UNIT_ROUNDOFF * norms_B1 * self._norms_M.max(initial=0)
        bar = bar.among(self._longest_M, len(self._items_ND)).silencing(norms_B1[:, 0] == 0)
        best = Best(len(vectors_BD), len(self._items_ND), k)
        size = max(STRIP_SCORES // max(len(vectors_BD), 1), k)
        for start in range(0, len(self._longest_M), size):
            last_B1 = best.values_BK[:, [-1]] - errors_B1
            if (bar.is_silent_B | (norms_B1 * self._norms_M[start] < last_B1)[:, 0]).all():
                break
            rough_BS = rough_BD @ self._items_DM[:, start : start + size]
            bar(rough_BS, start)
            maxima_BC = chunk_maxima(rough_BS, k)
            if np.isneginf(last_B1).any():
                last_B1 = np.maximum(last_B1, floors(maxima_BC, k) - 2 * errors_B1)
            floors_B1 = last_B1.astype(np.float32)
            rows, places = np.divmod(reaching(rough_BS, floors_B1, maxima_BC), rough_BS.shape[1])
            codes = self._longest_M[start + places]
            best.add(rows, codes, self._exact(vectors_BD, rows, codes))
        return best.lists()

    def _exact(self, vectors_BD: NDArray[np.float64], rows: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score pairs of users of the block and items; a score depends on its pair alone."""
        scores_P = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), PIECE):
            part = slice(start, start + PIECE)
            items_PD = self._items_ND[codes[part]].astype(np.float64)
            scores_P[part] = np.einsum("pd,pd->p", vectors_BD[rows[part]], items_PD)
        return scores_P

    def _arrays(self) -> Arrays:
        return {"users": self._users_UD, "items": self._items_ND}

    def _restore(self, arrays: Arrays) -> None:
        self._keep(arrays["users"], arrays["items"])
