"""The best k of each row, ties broken by the lower item code, whatever the number of threads.

Most of a wide row is looked at once. Columns that are equal modulo C make a chunk: in that layout the processor's vector
instructions find the maxima of all chunks. As many chunks as there are places have a maximum of at least the K-th largest
maximum, so that is a lower bound (floor) of the last place, and only chunks that reach it can hold one of the best.
B rows, N items, C chunks, K places, M candidates of a row at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]  # Any: float32 or float64
CHUNK = 8  # columns in a chunk
FEWEST = 3  # chunks for each place, below which they save nothing
MANY = 4  # values for each place that reach the floor: so many are due to ties


def top_k(scores_BN: Scores, k: int) -> tuple[NDArray[np.int64], Scores]:
    """Return item codes and scores of the best ``k`` items of each row, best first.

    B rows, N items. Entries of -inf or NaN are never chosen: such places hold code -1 and score -inf. Equal scores are
    ordered by item code.
    """
    scores_BN = np.ascontiguousarray(scores_BN)
    width = min(k, scores_BN.shape[1])
    maxima_BC = chunk_maxima(scores_BN, width)
    if np.isnan(maxima_BC).any():
        return top_k(np.where(np.isnan(scores_BN), -np.inf, scores_BN), k)
    floors_B1 = floors(maxima_BC, width)
    if np.count_nonzero(maxima_BC >= floors_B1) <= MANY * width * len(scores_BN):
        places = np.sort(reaching(scores_BN, floors_B1, maxima_BC))
    else:
        places = _first_reaching(scores_BN, floors_B1, width)
    return ranked(places, scores_BN.ravel()[places], scores_BN.shape, width)


def chunk_maxima(scores_BN: Scores, width: int) -> Scores:
    """Return the largest value of each chunk, [B, C]; of a row too short for ``width`` places by chunks the values themselves."""
    num_rows, num_items = scores_BN.shape
    num_chunks = num_items // CHUNK
    if num_chunks < FEWEST * width or num_chunks == 0:
        return scores_BN
    maxima_BC: Scores = scores_BN[:, : CHUNK * num_chunks].reshape(num_rows, CHUNK, num_chunks).max(axis=1)
    return maxima_BC


def floors(maxima_BC: Scores, width: int) -> Scores:
    """Bound the ``width``-th largest value of each row from below, by a finite number, given its chunks' maxima; [B, 1]."""
    floors_B1 = np.full((len(maxima_BC), 1), np.finfo(maxima_BC.dtype).min)
    while (next_BC := chunk_maxima(maxima_BC, width)) is not maxima_BC:
        maxima_BC = next_BC
    if 0 < width <= maxima_BC.shape[1]:
        # Not np.partition, which is slow where many values are equal.
        np.maximum(floors_B1, np.sort(maxima_BC, axis=1)[:, [-width]], out=floors_B1)
    return floors_B1


def reaching(scores_BN: Scores, floors_B1: Scores, maxima_BC: Scores) -> NDArray[np.int64]:
    """Return the places of all values that reach their row's floor, in a block read row by row; not all ascending."""
    num_items, num_chunks = scores_BN.shape[1], maxima_BC.shape[1]
    found = np.flatnonzero(maxima_BC >= floors_B1)
    if num_chunks == num_items:
        return found
    rows, chunks = np.divmod(found, num_chunks)
    members = (rows * num_items + chunks)[:, None] + np.arange(CHUNK) * num_chunks
    members = members[scores_BN.ravel()[members] >= floors_B1[rows]]
    rows, columns = np.nonzero(scores_BN[:, CHUNK * num_chunks :] >= floors_B1)
    return np.concatenate([members, rows * num_items + CHUNK * num_chunks + columns])


def _first_reaching(scores_BN: Scores, floors_B1: Scores, width: int) -> NDArray[np.int64]:
    """Return the places of all values above the floors, and of the first ``width`` of each row that are equal to them."""
    is_tied_BN = scores_BN == floors_B1
    is_among_first_BN = is_tied_BN & (np.cumsum(is_tied_BN, axis=1, dtype=np.int32) <= width)
    return np.flatnonzero((scores_BN > floors_B1) | is_among_first_BN)


def ranked(places: NDArray[np.int64], values: Scores, shape: tuple[int, ...], width: int) -> tuple[NDArray[np.int64], Scores]:
    """Return codes and values of the best ``width`` of some ascending places of a block, as ``top_k`` does."""
    num_rows, num_items = shape
    lengths = np.diff(np.searchsorted(places, np.arange(num_rows + 1) * num_items))
    is_used_BM = np.arange(lengths.max(initial=width)) < lengths[:, None]
    values_BM = np.full(is_used_BM.shape, -np.inf, values.dtype)
    values_BM[is_used_BM] = values
    codes_BM = np.full(is_used_BM.shape, -1, np.int64)
    codes_BM[is_used_BM] = places % max(num_items, 1)
    order_BK = np.argsort(-values_BM, axis=1, kind="stable")[:, :width]
    return np.take_along_axis(codes_BM, order_BK, axis=1), np.take_along_axis(values_BM, order_BK, axis=1)


class Best:
    """The best k of each row, where candidates come bit by bit; at last the lists are what ``top_k`` would give for all.

    ``values_BK`` may lag behind: candidates are looked at together, once there are half as many as places, and in ``lists``.
    """

    def __init__(self, num_rows: int, num_items: int, k: int) -> None:
        self._shape, self._width = (num_rows, num_items), min(k, num_items)
        self._codes_BK = np.full((num_rows, self._width), -1)
        self.values_BK: Scores = np.full((num_rows, self._width), -np.inf, np.float32)
        self._waiting: list[tuple[NDArray[np.int64], Scores]] = []

    def add(self, rows: NDArray[np.int64], codes: NDArray[np.int64], values: Scores) -> None:
        """Take further values of rows and items, each pair at most once."""
        self._waiting.append((rows * self._shape[1] + codes, values))
        if 2 * sum(len(values) for _, values in self._waiting) >= self._codes_BK.size:
            self._look()

    def lists(self) -> tuple[NDArray[np.int64], Scores]:
        """Return codes and values of the best, as ``top_k`` does."""
        self._look()
        return self._codes_BK, self.values_BK

    def _look(self) -> None:
        rows, columns = np.nonzero(self._codes_BK >= 0)
        self._waiting.append((rows * self._shape[1] + self._codes_BK[rows, columns], self.values_BK[rows, columns]))
        places, values = map(np.concatenate, zip(*self._waiting, strict=True))
        order = np.argsort(places)
        self._codes_BK, self.values_BK = ranked(places[order], values[order], self._shape, self._width)
        self._waiting = []
