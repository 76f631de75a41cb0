"""Item-kNN: items that the same users had are alike.

    x[u, i]     = log(1 + sum of the weights of u's events on i)
    cos[j, i]   = x_j . x_i / (|x_j| |x_i| + shrinkage), for the num_neighbors items i most similar to j
    score(u, i) = sum over past items j of x[u, j] * cos[j, i]

Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001, for implicit feedback.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.sparse import csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Histories, ModelConfig
from bowerbird.models.linear import LinearModel, state_matrix
from bowerbird.models.neighbours import cosine_neighbours


class ItemKnnConfig(ModelConfig):
    """How many neighbours, and how careful with rare items."""

    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 100
    """So many items most similar to each item are kept."""
    shrinkage: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Added to the denominator, in units of x squared: pulls similarities that rest on few users towards 0."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""


class ItemKnn(LinearModel):
    """Cosine neighbours of what a user had."""

    name: ClassVar[str] = "item_knn"
    Config: ClassVar[type[ModelConfig]] = ItemKnnConfig
    config: ItemKnnConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        everybody = self._confidence(Histories.of_all(data))
        self._matrix = cosine_neighbours(everybody, num_neighbors=self.config.num_neighbors, shrinkage=self.config.shrinkage)

    def _state(self, histories: Histories) -> csr_array:
        return self._confidence(histories)

    def _confidence(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        confidence = state_matrix(past, past.weights, self.data.num_items)
        confidence.data = np.log1p(confidence.data)
        return confidence
