"""Blend: the lists of several models put together, without anything learned.

    reciprocal_rank     score(u, i) = sum over generators g that name i of weight[g] / (rank_constant + rank[g, i])
    score               score(u, i) = sum over generators g that name i of weight[g] * s[g, i]
      min_max           s = (score - lowest) / (highest - lowest) among the generator's candidates for the user, 1 where equal
      rank              s = 1 - (rank - 1) / num_candidates

Ranks count from 1 among the items that may be listed. Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods", SIGIR 2009 (rank_constant 60); Fox and Shaw, "Combination of multiple
searches", TREC-2 1994, for the sum of scores. Weights of events and labels enter as the generators say. See ``composite`` for
the letters of shapes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bowerbird.data.interactions import Interactions
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.composite import Composite, CompositeConfig, Drawn
from bowerbird.models.topk import Scores


class BlendConfig(CompositeConfig):
    """Whose lists are put together, and how."""

    method: Literal["reciprocal_rank", "score"] = "reciprocal_rank"
    """What of a generator counts: its ranks, or its scores after normalisation."""
    normalization: Literal["min_max", "rank"] = "min_max"
    """How scores of different models are made comparable; for the method ``score``."""
    weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    """A weight for each generator, in their order; all 1 where absent."""
    rank_constant: Annotated[float, Field(ge=0, le=1e6)] = 60.0
    """The higher, the less the first ranks stand out; for the method ``reciprocal_rank``."""

    @model_validator(mode="after")
    def _has_a_weight_each(self) -> Self:
        if self.weights and len(self.weights) != len(self.generators):
            raise ValueError(f"there are {len(self.weights)} weights for {len(self.generators)} generators")
        return self


class Blend(Composite):
    """Fusion by rank or by score."""

    name: ClassVar[str] = "blend"
    Config: ClassVar[type[ModelConfig]] = BlendConfig
    config: BlendConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._take(self._build(data, items, users), data)

    def _points(self, drawn: Drawn, generator: int) -> NDArray[np.float64]:
        codes_BC, values_BC = drawn
        weight = self.config.weights[generator] if self.config.weights else 1.0
        ranks_C = np.arange(1, codes_BC.shape[1] + 1)
        if self.config.method == "reciprocal_rank":
            return np.broadcast_to(weight / (self.config.rank_constant + ranks_C), codes_BC.shape)
        if self.config.normalization == "rank":
            return np.broadcast_to(weight * (1 - (ranks_C - 1) / self.config.num_candidates), codes_BC.shape)
        return weight * min_max(codes_BC, values_BC)

    def _score_among(self, histories: Histories, at: int, bar: Barrier) -> Scores:
        fused_BN = np.full((len(histories.users), self.data.num_items), -np.inf)
        for points_BN in self._all_points(self._draw(histories, at=at, bar=bar)):
            fused_BN = np.where(np.isinf(fused_BN), points_BN, fused_BN + np.maximum(points_BN, 0))
        return fused_BN

    def _arrays(self) -> Arrays:
        return {}  # base keeps the generators


def min_max(codes_BC: NDArray[np.int64], values_BC: Scores) -> NDArray[np.float64]:
    """Bring each user's scores of one generator to [0, 1]; what is no item gets 0."""
    is_there_BC = codes_BC >= 0
    values_BC = np.where(is_there_BC, values_BC, np.nan).astype(np.float64)
    high_B1 = np.where(is_there_BC, values_BC, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    low_B1 = np.where(is_there_BC, values_BC, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    span_B1 = high_B1 - low_B1
    normal_BC = np.where(span_B1 > 0, (values_BC - low_B1) / np.where(span_B1 > 0, span_B1, 1.0), 1.0)
    return np.where(is_there_BC, normal_BC, 0.0)
