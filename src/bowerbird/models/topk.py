"""The best k of each row, ties broken by the lower item code, whatever the number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]  # Any: float32 or float64


def top_k(scores_BN: Scores, k: int) -> tuple[NDArray[np.int64], Scores]:
    """Return item codes and scores of the best ``k`` items of each row, best first.

    B rows, N items. Entries of -inf are never chosen: such places hold code -1 and score -inf. Equal scores are ordered
    by item code.
    """
    num_rows, num_items = scores_BN.shape
    width = min(k, num_items)
    if width == 0:
        return np.full((num_rows, 0), -1, np.int64), scores_BN[:, :0]
    chosen_BK = _best_unordered(scores_BN, width)
    chosen_BK.sort(axis=1)
    values_BK = np.take_along_axis(scores_BN, chosen_BK, axis=1)
    order_BK = np.argsort(-values_BK, axis=1, kind="stable")
    values_BK = np.take_along_axis(values_BK, order_BK, axis=1)
    codes_BK = np.take_along_axis(chosen_BK, order_BK, axis=1)
    return np.where(np.isneginf(values_BK), -1, codes_BK), values_BK


def _best_unordered(scores_BN: Scores, width: int) -> NDArray[np.int64]:
    """Choose the best ``width`` columns of each row; where the last place is tied, the lowest codes."""
    num_items = scores_BN.shape[1]
    if width == num_items:
        return np.tile(np.arange(num_items), (len(scores_BN), 1))
    chosen_BK = np.argpartition(scores_BN, num_items - width, axis=1)[:, num_items - width :]
    last_B1 = np.take_along_axis(scores_BN, chosen_BK, axis=1).min(axis=1, keepdims=True)
    tied = np.flatnonzero((scores_BN >= last_B1).sum(axis=1) > width)
    for row in tied:
        candidates = np.flatnonzero(scores_BN[row] >= last_B1[row, 0])
        chosen_BK[row] = candidates[np.argsort(-scores_BN[row, candidates], kind="stable")[:width]]
    return chosen_BK
