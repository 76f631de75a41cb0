"""Popularity among users of a kind: those with the same value in a column of ``users``, such as their country.

    w[s, i]     = popularity of the item, as in ``popularity``, over the events of users in segment s
    score(u, i) = w[s, i] + smoothing * w[i] / sum over all items j of w[j]      for the segment s of u

where w[i] is that over all users: a segment of few events is drawn towards everybody's list. Users without a segment, or who
are not in ``users``, get everybody's list, as ``fallback``; one with a segment needs no events. Labels do not enter.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array

from bowerbird.columns import USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.errors import DataError, did_you_mean
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig
from bowerbird.models.fallback import recent_weights
from bowerbird.models.features import known_rows
from bowerbird.models.linear import pack, unpack
from bowerbird.models.popularity import PopularityConfig, counted
from bowerbird.models.topk import Scores

logger = logging.getLogger(__name__)


class PopularityBySegmentConfig(PopularityConfig):
    """Which column tells users apart."""

    segment: str = "segment"
    """The column of ``users``; users with the same value are a segment, those without one are in none."""
    smoothing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    """So much weight of events is added to each segment, spread as everybody's."""


class PopularityBySegment(Model):
    """The items with the most evidence among users of a kind. S segments, N items, B users of a block."""

    name: ClassVar[str] = "popularity_by_segment"
    is_personal: ClassVar[bool] = False
    Config: ClassVar[type[ModelConfig]] = PopularityBySegmentConfig
    config: PopularityBySegmentConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._popularity = counted(data, self.config)
        values = self._values(users)
        codes, names = pd.factorize(values.astype(str), sort=True)
        self._segments = pd.Series(codes, index=values.index)
        evidence = data.evidence()
        segments_E = self._codes(data.user_ids)[evidence.users]
        is_known_E = segments_E >= 0
        weights_E = self._weights(evidence)
        entries = weights_E[is_known_E], (segments_E[is_known_E], evidence.items[is_known_E])
        self._weights_SN = coo_array(entries, shape=(max(1, len(names)), data.num_items)).tocsr()

    def _weights(self, evidence: Interactions) -> NDArray[np.float64]:
        """Return what each event counts; [E]."""
        if len(evidence) == 0:
            return evidence.weights
        days, half_life_days = self.config.window_days, self.config.half_life_days
        return recent_weights(evidence, days=days, min_events=self.config.min_events, half_life_days=half_life_days)

    def _values(self, users: pd.DataFrame | None) -> pd.Series:
        """Return the segments by user id, of users who have one. Raises DataError where there is no such column."""
        column = self.config.segment
        if users is None:
            logger.warning("%s was given no users: everybody gets the same list", self.name)
            return pd.Series(dtype=object)
        if column not in users:
            known = sorted(map(str, set(users.columns) - {USER_ID}))
            raise DataError(
                f"users have no column {column!r}; they have {known}{did_you_mean(column, known)}",
                next_step=f"name one of these as segment of {self.name}",
            )
        return known_rows(users, USER_ID, until=self.data.last_timestamp)[column].dropna()

    def _codes(self, ids: Ids) -> NDArray[np.int64]:
        """Return the segments of users, -1 for those in none."""
        return self._segments.reindex(pd.Index(ids), fill_value=-1).to_numpy(np.int64)

    def _of(self, histories: Histories) -> NDArray[np.int64]:
        return np.full(len(histories.users), -1) if histories.ids is None else self._codes(histories.ids)

    def _score(self, histories: Histories, at: int) -> Scores:
        segments_B = self._of(histories)
        everybody_N = self.config.smoothing * self._popularity / max(self._popularity.sum(), np.finfo(float).tiny)
        scores_BN = self._weights_SN[np.maximum(segments_B, 0)].toarray() + everybody_N
        scores_BN[segments_B < 0] = 0
        return np.where(scores_BN > 0, scores_BN, -np.inf)

    def _best(self, histories: Histories, at: int, k: int, bar: Barrier) -> tuple[NDArray[np.int64], Scores]:
        return super()._best(histories, at, k, replace(bar, is_silent_B=self._of(histories) < 0))

    def _arrays(self) -> Arrays:
        ids = np.frombuffer(json.dumps(self._segments.index.tolist()).encode(), np.uint8)
        return pack(self._weights_SN, "weights") | {"segments": self._segments.to_numpy(np.int64), "ids": ids}

    def _restore(self, arrays: Arrays) -> None:
        self._weights_SN = unpack(arrays, "weights")
        ids = json.loads(arrays["ids"].tobytes())
        self._segments = pd.Series(arrays["segments"], index=pd.Index(ids, dtype=object))
