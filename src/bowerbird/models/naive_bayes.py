"""Naive Bayes over binned features: each feature speaks for itself, given whether the pair comes true.

    log odds = log P(y = 1) / P(y = 0) + sum over features f of log P(bin of x_f | y = 1) / P(bin of x_f | y = 0)
    P(bin | y) = (rows of class y in the bin + smoothing) / (rows of class y + smoothing * number of bins)

Bins are cut at quantiles of the sample; a missing value has a bin of its own. Features that say the same count twice, so the odds
are too bold; the line fitted on the held-out horizon takes that back (``pointwise`` says how rows, labels and weights enter).
Hand and Yu, "Idiot's Bayes - not so stupid after all?", International Statistical Review 2001. P pairs, F features, K bins.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.extras import import_extra
from bowerbird.models.base import Arrays, ModelConfig
from bowerbird.models.pointwise import Pointwise, PointwiseConfig


class NaiveBayesConfig(PointwiseConfig):
    """How finely features are cut, and how careful with rare bins."""

    num_bins: Annotated[int, Field(ge=2, le=1000)] = 16
    """So many bins of like size for each feature, and one for missing values."""
    smoothing: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Added to the count of each bin in each class."""


class NaiveBayes(Pointwise):
    """Bins and their log odds."""

    name: ClassVar[str] = "naive_bayes"
    Config: ClassVar[type[ModelConfig]] = NaiveBayesConfig
    config: NaiveBayesConfig

    def _train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_]) -> Arrays:
        kind = import_extra("sklearn.naive_bayes", "scikit-learn", extra="boosting").CategoricalNB
        edges_FK = quantile_edges(x_PF, self.config.num_bins)
        bins_FP = binned(x_PF, edges_FK)
        fitted = kind(alpha=self.config.smoothing, min_categories=self.config.num_bins + 1).fit(bins_FP.T, labels_P)
        log_odds_FK = np.stack([table[1] - table[0] for table in fitted.feature_log_prob_])
        prior = fitted.class_log_prior_
        return {"edges": edges_FK, "log_odds": log_odds_FK, "prior": np.array([prior[1] - prior[0]])}

    def _log_odds(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self._learned
        log_odds_P = np.full(len(x_PF), learned["prior"][0])
        for bins_P, table_K in zip(binned(x_PF, learned["edges"]), learned["log_odds"], strict=True):
            log_odds_P += table_K[bins_P]
        return log_odds_P


def quantile_edges(x_PF: NDArray[np.float32], num_bins: int) -> NDArray[np.float32]:
    """Cut each feature into bins of like size; float32 [F, K - 1]. Edges may coincide, then bins between them stay empty."""
    inner = np.linspace(0, 1, num_bins + 1)[1:-1]
    edges_FK = [np.quantile(x_P[~np.isnan(x_P)], inner) if not np.isnan(x_P).all() else np.zeros(len(inner)) for x_P in x_PF.T]
    return np.asarray(edges_FK, np.float32)


def binned(x_PF: NDArray[np.float32], edges_FK: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the bin of each value, the last for missing ones; int64 [F, P]."""
    found = [np.searchsorted(edges_K, x_P, side="left") for edges_K, x_P in zip(edges_FK, x_PF.T, strict=True)]
    return np.where(np.isnan(x_PF.T), edges_FK.shape[1] + 1, np.asarray(found))
