"""Popularity: the weights of an item's events, summed over a window; the same list for everybody.

    score(i) = sum over events e on i in the window of weight(e) * 2^(-age(e) / half_life_days)

where age is counted from the newest event, and there is no decay without ``half_life_days``. Events of weight 0 count for
nothing. All-time weights break ties.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig, recent_popularity
from bowerbird.models.topk import Scores


class PopularityConfig(ModelConfig):
    """Over which time popularity is counted."""

    window_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Only events so many days before the newest one count; all where absent."""
    min_events: Annotated[int, Field(ge=1)] = 1000
    """The window is widened until it holds so many events with a weight above 0."""
    half_life_days: Annotated[float, Field(ge=0.01, le=36_500)] | None = None
    """An event's weight is halved for each such time; no decay where absent."""


def counted(data: Interactions, config: PopularityConfig) -> NDArray[np.float64]:
    """Return the popularity of all items that the formula gives; [N]."""
    return recent_popularity(data, days=config.window_days, min_events=config.min_events, half_life_days=config.half_life_days)


class Popularity(Model):
    """The items with the most evidence; users without history get the same list, as ``fallback``."""

    name: ClassVar[str] = "popularity"
    is_personal: ClassVar[bool] = False
    Config: ClassVar[type[ModelConfig]] = PopularityConfig
    config: PopularityConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._popularity = counted(data, self.config)

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_N = np.where(self._popularity > 0, self._popularity, -np.inf)
        return np.broadcast_to(scores_N, (len(histories.users), len(scores_N)))

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events and count anew: a window moves with the newest event, so old sums do not stand."""
        return self.fit(self.data.concat(new), items=items, users=users)

    def _arrays(self) -> Arrays:
        return {}  # base keeps ``_popularity``

    def _restore(self, arrays: Arrays) -> None:
        """There is nothing of its own."""
