"""User-kNN: what users had who had the same things.

    c[u, i]     = log(1 + sum of the weights of u's events on i)
    score(u, i) = sum over the num_neighbors users v most similar to u of sim(u, v) * c[v, i]

With n the number of items that both had, and s the shrinkage:

    cosine   sim(u, v) = c_u . c_v / (|c_u| |c_v| + s)      * min(n, significance) / significance
    jaccard  sim(u, v) = n / (items that either had + s)    * min(n, significance) / significance

So weights count in c, and labels not at all. Resnick et al., "GroupLens", CSCW 1994; the significance weighting is from Herlocker
et al., "An algorithmic framework for performing collaborative filtering", SIGIR 1999 (there with 50). Ratings have no mean
here that would be taken off, since events only speak for an item.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from bowerbird.models.base import Histories
from bowerbird.models.linear import spread_product, state_matrix
from bowerbird.models.neighbours import Similarity, cosine, jaccard
from bowerbird.models.topk import Scores
from bowerbird.models.user_neighbours import UserNeighbourConfig, UserNeighbourModel


class UserKnnConfig(UserNeighbourConfig):
    """How alike is measured, how many neighbours, and how careful with users of few common items."""

    similarity: Literal["cosine", "jaccard"] = "cosine"
    """See the formulas of the module."""
    shrinkage: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Added to the denominator, in units of c squared, or of items: pulls similarities that rest on little towards 0."""
    significance: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Similarities that rest on fewer common items are scaled down; 1 leaves them alone."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""


class UserKnn(UserNeighbourModel):
    """What the nearest users had."""

    name: ClassVar[str] = "user_knn"
    Config: ClassVar[type[UserNeighbourConfig]] = UserKnnConfig
    config: UserKnnConfig

    def _score(self, histories: Histories, at: int) -> Scores:
        return spread_product(self._neighbours(histories), self._vectors_UN)

    def _vectors(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        vectors_BN = state_matrix(past, past.weights, self.data.num_items)
        vectors_BN.data = np.maximum(np.log1p(vectors_BN.data), 1e-100)
        return vectors_BN

    def _compared(self, vectors_BN: csr_array) -> tuple[csr_array, Similarity]:
        x_NB = vectors_BN.T.tocsr()
        shrinkage, significance = self.config.shrinkage, self.config.significance
        if self.config.similarity == "jaccard":
            x_NB.data = np.ones(x_NB.nnz)
            return x_NB, jaccard(x_NB, shrinkage=shrinkage, significance=significance)
        return x_NB, cosine(x_NB, shrinkage=shrinkage, significance=significance)
