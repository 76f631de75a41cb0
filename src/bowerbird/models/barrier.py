"""What must not be listed: nothing to users without history, to nobody what is not allowed, to no user what is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bowerbird.models.histories import Histories
from bowerbird.models.topk import Scores


@dataclass(frozen=True, eq=False)
class Barrier:
    """Bars scores of a block of B users on M items; E pairs are taken.

    ``is_silent_B`` tells who is listed nothing, ``allowed_M`` (None: all) what may be listed. User ``rows`` [E] has taken
    ``items`` [E], by place.
    """

    is_silent_B: NDArray[np.bool_]
    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    allowed_M: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, histories: Histories, excluded: NDArray[np.bool_], allowed_N: NDArray[np.bool_] | None) -> Barrier:
        """Bar users without history, the items of the events that are ``excluded`` (bool [E]), and what is not allowed."""
        rows, items = histories.rows, histories.items.astype(np.int64)
        if not excluded.all():
            rows, items = rows[excluded], items[excluded]
        return cls(np.diff(histories.indptr) == 0, rows, items, allowed_N)

    @classmethod
    def none(cls, num_users: int) -> Barrier:
        """Bar nothing."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(num_users, bool), nothing, nothing)

    def silencing(self, is_silent_B: NDArray[np.bool_]) -> Barrier:
        """Bar everything to some users more."""
        return replace(self, is_silent_B=self.is_silent_B | is_silent_B)

    def among(self, codes_M: NDArray[np.int64], num_items: int) -> Barrier:
        """Return the same barrier for a choice from ``num_items`` items in another order: ``codes_M`` [M], each at most once."""
        place_N = np.full(num_items, -1)
        place_N[codes_M] = np.arange(len(codes_M))
        rows, items = self.rows, place_N[self.items]
        if len(codes_M) < num_items:
            rows, items = rows[items >= 0], items[items >= 0]
        allowed_M = None if self.allowed_M is None else self.allowed_M[codes_M]
        return Barrier(self.is_silent_B, rows, items, allowed_M)

    def __call__(self, scores_BS: Scores, start: int = 0) -> None:
        """Set the barred scores to -inf, in place; the columns are the items from place ``start`` on."""
        width = scores_BS.shape[1]
        scores_BS[self.is_silent_B] = -np.inf
        if self.allowed_M is not None:
            scores_BS[:, ~self.allowed_M[start : start + width]] = -np.inf
        rows, columns = self.rows, self.items - start
        is_inside = (columns >= 0) & (columns < width)
        if not is_inside.all():
            rows, columns = rows[is_inside], columns[is_inside]
        if scores_BS.flags.c_contiguous:  # twice as fast as by rows and columns
            scores_BS.reshape(-1)[rows * width + columns] = -np.inf
        else:
            scores_BS[rows, columns] = -np.inf
