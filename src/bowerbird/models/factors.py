"""What models share whose score is the product of a user's vector and an item's.

    score(u, i) = p_u . q_i

A subclass calls ``_keep(user_vectors, item_vectors)`` at the end of ``_fit`` and writes ``_fold_in``, which makes vectors from
histories, for users that ``fit`` never saw or whose history the caller gives. The rest, saving included, is here. A bias is a
column more: 1 for users, b_i for items. A vector of zeros has nothing to say: a user's list is left to popularity, an item is
never listed.

Lists are found by a product in single precision, whose error is bounded, and ranked by one in double precision: the same
lists as from double precision alone, in half the time. Shapes: U users, B users of a block, N items, C candidates, D width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.base import Arrays, Histories, Model
from bowerbird.models.topk import Scores, top_k

NUM_SPARE = 6  # so many candidates more than places
UNIT_ROUNDOFF = 2.0**-24


class FactorModel(Model):
    """A model that keeps a vector for each user and item."""

    @abstractmethod
    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        """Make vectors from histories alone; [B, D], zeros where there is no evidence.

        One user's vector must not depend on who else is in the block by more than double precision's rounding.
        """

    def _keep(self, users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> None:
        """Take the vectors of all users and items that ``self.data`` has, in the order of their codes."""
        self._users_UD, self._items_ND = users_UD, items_ND
        norms_N = np.linalg.norm(items_ND, axis=1)
        self._largest_norm = float(norms_N.max())
        self._silent_items = np.flatnonzero(norms_N == 0)

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
        self._silence(scores_BN, vectors_BD)
        return scores_BN

    def _best(self, histories: Histories, at: int, k: int, bar: Callable[[Scores], None]) -> tuple[NDArray[np.int64], Scores]:
        vectors_BD = self._vectors(histories)
        rough_BN = vectors_BD.astype(np.float32) @ self._items_ND.T
        self._silence(rough_BN, vectors_BD)
        bar(rough_BN)
        codes_BC, rough_BC = top_k(rough_BN, k + NUM_SPARE)
        codes_BC = np.sort(codes_BC, axis=1)
        exact_BC = np.einsum("bd,bcd->bc", vectors_BD, self._items_ND[codes_BC]).astype(np.float32)
        exact_BC[codes_BC < 0] = -np.inf
        order_BK = np.argsort(-exact_BC, axis=1, kind="stable")[:, :k]
        codes_BK, exact_BK = np.take_along_axis(codes_BC, order_BK, axis=1), np.take_along_axis(exact_BC, order_BK, axis=1)
        if rough_BC.shape[1] < rough_BN.shape[1]:  # not all items are candidates
            width = vectors_BD.shape[1]
            error_B = 1.1 * (width + 4) * UNIT_ROUNDOFF * self._largest_norm * np.linalg.norm(vectors_BD, axis=1)
            if not ((exact_BK[:, -1] > rough_BC[:, -1] + error_B) | np.isneginf(rough_BC[:, -1])).all():
                return super()._best(histories, at, k, bar)
        return codes_BK, exact_BK

    def _silence(self, scores_BN: Scores, vectors_BD: NDArray[np.float64]) -> None:
        scores_BN[:, self._silent_items] = -np.inf
        scores_BN[~vectors_BD.any(axis=1)] = -np.inf

    def _arrays(self) -> Arrays:
        return {"users": self._users_UD, "items": self._items_ND}

    def _restore(self, arrays: Arrays) -> None:
        self._keep(arrays["users"], arrays["items"])
