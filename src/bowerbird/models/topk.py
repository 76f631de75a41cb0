"""The best k of each row, ties broken by the lower item code, whatever the number of threads.

Wide rows are cut into chunks first: the best k elements lie in the k chunks with the highest maxima (ties by the lower
chunk), so one pass for the maxima leaves few candidates. B rows, N items, C candidates of a row, K places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]  # Any: float32 or float64
LARGEST_CHUNK, SMALLEST_CHUNK = 32, 4


def top_k(scores_BN: Scores, k: int) -> tuple[NDArray[np.int64], Scores]:
    """Return item codes and scores of the best ``k`` items of each row, best first.

    B rows, N items. Entries of -inf are never chosen: such places hold code -1 and score -inf. Equal scores are ordered
    by item code. NaN is not allowed.
    """
    width = min(k, scores_BN.shape[1])
    if width == 0:
        return np.full((len(scores_BN), 0), -1, np.int64), scores_BN[:, :0]
    codes_BK = _best(scores_BN, width)
    values_BK = np.take_along_axis(scores_BN, codes_BK, axis=1)
    order_BK = np.argsort(-values_BK, axis=1, kind="stable")
    values_BK = np.take_along_axis(values_BK, order_BK, axis=1)
    codes_BK = np.take_along_axis(codes_BK, order_BK, axis=1)
    return np.where(np.isneginf(values_BK), -1, codes_BK), values_BK


def _best(scores_BN: Scores, width: int) -> NDArray[np.int64]:
    """Choose the best ``width`` columns of each row, ascending by column; where the last place is tied, the lowest."""
    num_rows, num_columns = scores_BN.shape
    chunk = min(LARGEST_CHUNK, num_columns // (4 * width))
    if chunk < SMALLEST_CHUNK:  # too narrow for chunks to save anything
        return _best_of_few(scores_BN, width)
    num_chunks = num_columns // chunk
    even = num_chunks * chunk
    maxima_BC = scores_BN[:, :even].reshape(num_rows, num_chunks, chunk).max(axis=2)
    chunks_BK = _best(maxima_BC, width)
    candidates_BC = (chunks_BK[:, :, None] * chunk + np.arange(chunk)).reshape(num_rows, -1)
    rest_BC = np.broadcast_to(np.arange(even, num_columns), (num_rows, num_columns - even))
    candidates_BC = np.concatenate([candidates_BC, rest_BC], axis=1)
    chosen_BK = _best_of_few(np.take_along_axis(scores_BN, candidates_BC, axis=1), width)
    return np.take_along_axis(candidates_BC, chosen_BK, axis=1)


def _best_of_few(scores_BC: Scores, width: int) -> NDArray[np.int64]:
    num_rows, num_columns = scores_BC.shape
    last_B1 = np.partition(scores_BC, num_columns - width, axis=1)[:, [num_columns - width]]
    above_BC = scores_BC > last_B1
    tied_BC = scores_BC == last_B1
    places_left_B1 = width - above_BC.sum(axis=1, keepdims=True)
    chosen_BC = above_BC | (tied_BC & (np.cumsum(tied_BC, axis=1) <= places_left_B1))
    return np.nonzero(chosen_BC)[1].reshape(num_rows, width)
