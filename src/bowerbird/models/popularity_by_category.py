"""Popularity within categories: each of a user's categories gives its popular items, as much as the user's past lies in it.

    w[i]        = popularity of the item, as in ``popularity``
    a[i, c]     = 1 / number of i's categories, for each category c of i; items without any share one of their own
    taste(u, c) = sum over u's events of weight * a[item, c] / sum of their weights
    score(u, i) = sum over c of taste(u, c) * w[i] * a[i, c] / sum over all items j of w[j] * a[j, c]

So a category counts by the user's past alone, however large it is. Weights count in both sums, labels do not enter. Without a
catalogue everything is in one category, and the order is that of ``popularity``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array, hstack

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.linear import AdditiveModel, Contributions, pack, state_matrix, unpack
from bowerbird.models.pair_tables import category_matrix, described
from bowerbird.models.popularity import PopularityConfig, counted
from bowerbird.models.topk import Scores


class PopularityByCategory(AdditiveModel):
    """Popular items of the categories that a user had. N items, C categories, B users of a block."""

    name: ClassVar[str] = "popularity_by_category"
    Config: ClassVar[type[ModelConfig]] = PopularityConfig
    config: PopularityConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._popularity = counted(data, self.config)
        named_NC = category_matrix(described(items, ITEM_ID, data.item_index), data.num_items)
        is_without_N = np.diff(named_NC.indptr) == 0
        self._has_NC = hstack([named_NC, csr_array(is_without_N[:, None].astype(np.float64))], format="csr")
        self._share_categories()

    def _share_categories(self) -> None:
        """Set each item's part of its categories' popularity, N x C."""
        weighed_NC = (diags_array(self._popularity) @ self._has_NC).tocsr()
        sums_C = weighed_NC.sum(axis=0)
        self._shares_NC = (weighed_NC @ diags_array(1 / np.where(sums_C > 0, sums_C, 1.0))).tocsr()

    def _state(self, histories: Histories) -> csr_array:
        """Return the part of each item in a user's past, B x N; rows sum to 1."""
        past = histories.evidence()
        sums_B = np.bincount(past.rows, past.weights, minlength=len(past.users))
        return state_matrix(past, past.weights / sums_B[past.rows], self.data.num_items)

    def _score(self, histories: Histories, at: int) -> Scores:
        tastes_BC = self._state(histories) @ self._has_NC
        scores_BN: Scores = (tastes_BC @ self._shares_NC.T).toarray()
        return np.where(scores_BN > 0, scores_BN, -np.inf)

    def _explainer(self) -> Contributions:
        return self._contributions

    def _contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        parts = self._state(histories)[places].tocoo()
        shared = self._has_NC[parts.col].multiply(self._shares_NC[items[parts.row]]).sum(axis=1)
        return coo_array((parts.data * np.asarray(shared).ravel(), (parts.row, parts.col)), shape=parts.shape).tocsr()

    def _arrays(self) -> Arrays:
        return pack(self._has_NC, "has")  # base keeps ``_popularity``

    def _restore(self, arrays: Arrays) -> None:
        self._has_NC = unpack(arrays, "has")
        self._share_categories()
