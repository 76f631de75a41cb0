"""Lists what is most like each of some items or users: compared anew, a block at a time, or from neighbours that are kept.

B of a block, N of all, K places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
    codes = _known(ids, among)
    parts = [np.zeros((4, 0))]
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK]
        scores_BN = np.array(similarity(block))
        scores_BN[np.arange(len(block)), block] = 0
        similar_BK, values_BK = top_k(np.where(scores_BN > 0, scores_BN, -np.inf), k)
        rows, places = np.nonzero(similar_BK >= 0)
        parts.append(np.stack([block[rows], similar_BK[rows, places], values_BK[rows, places], places + 1]))
    return _frame(among, *np.concatenate(parts, axis=1), column=column)


def nearest_frame(
    ids: Iterable[Any],  # Any: see Ids
    among: pd.Index[Any],  # Any: see Ids
    nearest: Callable[[NDArray[np.int64]], csr_array],
    *,
    k: int,
    column: str,
) -> pd.DataFrame:
    """Return what ``alike`` returns, from what ``nearest`` keeps for some codes; similarities, B x N."""
    codes = _known(ids, among)
    near = nearest(codes).tocoo()
    order = np.lexsort((near.col, -near.data, near.row))
    rows, others, values = near.row[order], near.col[order], near.data[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
    is_listed = ranks <= k
    return _frame(among, codes[rows[is_listed]], others[is_listed], values[is_listed], ranks[is_listed], column=column)


def _known(ids: Iterable[Any], among: pd.Index[Any]) -> NDArray[np.int64]:  # Any: see Ids
    """Return the codes of known ids, each once."""
    codes = among.get_indexer(pd.Index(pd.Series(list(ids)).unique()))
    return codes[codes >= 0].astype(np.int64)


def _frame(
    among: pd.Index[Any], ones: NDArray[Any], others: NDArray[Any], scores: Scores, ranks: NDArray[Any], *, column: str
) -> pd.DataFrame:  # Any: see Ids, and whole numbers of any type
    names = among.to_numpy()
    return pd.DataFrame(
        {
            column: names[ones.astype(np.int64)],
            f"similar_{column}": names[others.astype(np.int64)],
            SCORE: scores.astype(np.float64),
            RANK: ranks.astype(np.int32),
        }
    )
