"""LambdaMART, a ranker for the second stage: boosted trees whose gradients are what a swap of two items would change in NDCG.

    lambda(i, j) = sigmoid(s_j - s_i) * |change of NDCG if i and j changed places|, for y_i > y_j among one user's candidates

Each tree fits the sums of these; the score is the sum of all trees, shrunk by learning_rate. The labels are relevance (0 or 1
here), the groups are users. Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010; computed by LightGBM (Ke et
al., NIPS 2017), from a fixed seed and in its deterministic mode; kept as LightGBM's own text. P pairs, F features, Q users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.extras import import_extra
from bowerbird.models.base import Arrays, ModelConfig

if TYPE_CHECKING:
    from lightgbm import Booster


class LambdaMartConfig(ModelConfig):
    """How many trees, and how careful each."""

    num_trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    """So many trees are added, one after the other."""
    num_leaves: Annotated[int, Field(ge=2, le=1024)] = 15
    """So many leaves of a tree at most."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """So much of each tree counts."""
    min_samples_leaf: Annotated[int, Field(ge=1)] = 50
    """So many pairs in each leaf at least."""
    regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Penalty on the squares of what leaves say."""


class LambdaMart:
    """A ranker over features of pairs; ``_learned`` is what it keeps."""

    def __init__(self, config: LambdaMartConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._learned: Arrays = {}
        self._booster: Booster | None = None

    def train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_], sizes_Q: NDArray[np.int64]) -> Arrays:
        """Learn from the candidates of users, which lie together, ``sizes_Q`` pairs a user; return what it keeps."""
        import torch

        lightgbm = _lightgbm()
        config = self.config
        asked = {
            "objective": "lambdarank",
            "num_leaves": config.num_leaves,
            "learning_rate": config.learning_rate,
            "min_data_in_leaf": config.min_samples_leaf,
            "lambda_l2": config.regularization,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": torch.get_num_threads(),
            "verbosity": -1,
        }
        rows = lightgbm.Dataset(x_PF, labels_P.astype(np.float32), group=sizes_Q, free_raw_data=True)
        booster = lightgbm.train(asked, rows, num_boost_round=config.num_trees)
        return {"text": np.frombuffer(booster.model_to_string().encode(), np.uint8)}

    def score(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score pairs by what was learned; float64 [P]."""
        if self._booster is None:
            self._booster = _lightgbm().Booster(model_str=self._learned["text"].tobytes().decode())
        return np.asarray(self._booster.predict(x_PF, num_threads=1), np.float64)


def _lightgbm() -> Any:  # Any: a module without types
    return import_extra("lightgbm", "lightgbm", extra="boosting")
