"""Lists what is most like each of some items or users, a block at a time. B of a block, N of all, K places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import RANK, SCORE
from bowerbird.models.topk import Scores, top_k

BLOCK = 256


def alike(
    ids: Iterable[Any],  # Any: see Ids
    among: pd.Index[Any],  # Any: see Ids
    similarity: Callable[[NDArray[np.int64]], Scores],
    *,
    k: int,
    column: str,
) -> pd.DataFrame:
    """Return ``column, similar_<column>, score, rank``; unknown ids are left out, repeated ones answered once.

    Parameters
    ----------
    among
        All ids, in the order of their codes.
    similarity
        Compares some codes with all; [B, N]. What is not above 0 is not listed, nor is anything listed as like itself.
    """
    codes = among.get_indexer(pd.Index(pd.Series(list(ids)).unique()))
    codes = codes[codes >= 0].astype(np.int64)
    parts = [np.zeros((4, 0))]
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK]
        scores_BN = np.array(similarity(block))
        scores_BN[np.arange(len(block)), block] = 0
        similar_BK, values_BK = top_k(np.where(scores_BN > 0, scores_BN, -np.inf), k)
        rows, places = np.nonzero(similar_BK >= 0)
        parts.append(np.stack([block[rows], similar_BK[rows, places], values_BK[rows, places], places + 1]))
    one, other, scores, ranks = np.concatenate(parts, axis=1)
    names = among.to_numpy()
    return pd.DataFrame(
        {
            column: names[one.astype(np.int64)],
            f"similar_{column}": names[other.astype(np.int64)],
            SCORE: scores.astype(np.float64),
            RANK: ranks.astype(np.int32),
        }
    )
