"""Names the past item without which an item would score lower, for models that have no exact contributions.

    drop(u, i, j) = score(u, i) - score(u, i | u's history without j), for the num_past items j that u had last

The j with the largest drop is named, if that is above a millionth of the score; no j, where no removal lowers the score. Both
scores are computed from the history alone (a model that keeps a vector for each user folds it in). The cost is 1 + num_past
scorings of each user, however many of the user's items are asked about. B users of a block, E events, P pairs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import BECAUSE, ITEM_ID, SHARE, USER_ID
from bowerbird.models.base import Histories, Model

TOLERANCE = 1e-6


def explain_by_deletion(model: Model, pairs: pd.DataFrame, *, num_past: int = 3) -> pd.DataFrame:
    """Return ``user_id, item_id, because, share`` as ``explain`` does; ``share`` is missing, for nothing exact is known."""
    because: NDArray[Any] = np.full(len(pairs), None, object)  # Any: item ids
    moment = model._moment(None)
    for rows, places, items, histories in model._pair_blocks(pairs, None):
        alone = replace(histories, stands_in=np.ones(len(histories.users), bool))
        whole_P = model._score(alone, moment)[places, items].astype(np.float64)
        largest_P = TOLERANCE * np.abs(whole_P)
        recency_E = _recency(alone, model.data.num_items)
        for back in range(num_past):
            is_removed_E = recency_E == back
            past_B = np.full(len(alone.users), -1)
            past_B[alone.rows[is_removed_E]] = alone.items[is_removed_E]
            rest_P = model._score(alone.select(~is_removed_E), moment)[places, items]
            drop_P = _finite(whole_P) - _finite(rest_P)
            is_larger_P = (past_B[places] >= 0) & (drop_P > largest_P)
            because[rows[is_larger_P]] = model.data.item_ids[past_B[places[is_larger_P]]]
            largest_P = np.where(is_larger_P, drop_P, largest_P)
    named = {USER_ID: pairs[USER_ID].to_numpy(), ITEM_ID: pairs[ITEM_ID].to_numpy()}
    return pd.DataFrame(named | {BECAUSE: because, SHARE: np.nan})


def _finite(scores_P: NDArray[Any]) -> NDArray[np.float64]:  # Any: float32 or float64
    """Let nothing to say be less than any score."""
    return np.where(np.isfinite(scores_P), scores_P.astype(np.float64), -1e300)


def _recency(histories: Histories, num_items: int) -> NDArray[np.int64]:
    """Tell how many distinct items the user has had since each event's item; 0 for the last item, -1 without evidence; [E]."""
    recency_E = np.full(len(histories.items), -1)
    is_evidence_E = histories.weights > 0
    keys = histories.rows[is_evidence_E] * num_items + histories.items[is_evidence_E]
    distinct, from_the_end, pair_of = np.unique(keys[::-1], return_index=True, return_inverse=True)
    order = np.lexsort((from_the_end, distinct // num_items))
    users = (distinct // num_items)[order]
    ranks = np.empty(len(distinct), np.int64)
    ranks[order] = np.arange(len(order)) - np.searchsorted(users, users)
    recency_E[is_evidence_E] = ranks[pair_of][::-1]
    return recency_E
