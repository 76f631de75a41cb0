"""ALS: a vector for each user and item whose product tells, weighted by confidence, who had what.

    loss = sum over all u, i of c[u, i] (x[u, i] - p_u . q_i)^2 + sum of r_u |p_u - F_u V|^2 + sum of r_i |q_i - F_i W|^2
    c[u, i] = 1 + alpha * w[u, i],   x[u, i] = 1 where w[u, i] > 0, else 0,   w[u, i] = sum of the weights of u's events on i
    r_u     = regularization * (C_u / mean of C)^frequency_scaling,   C_u = sum over i of c[u, i], and r_i alike

Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008: frequency_scaling 0, no features.
Rendle et al., "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022: their unobserved weight is
1 / alpha, their nu is frequency_scaling, and divided by the mean of C the same regularization fits every nu. Labels do not
enter; a weight of 0 is no evidence.

With the other side fixed, each vector solves (G + r I + sum over its entries of (c - 1) y y') x = sum of c y + r F W, where
G = Y' Y. ``cholesky`` solves it in full. ``conjugate_gradient`` begins at the vector of the last epoch and takes ``num_steps``
steps (Takács, Pilászy and Tikk, RecSys 2011), in the basis in which G is diagonal, and preconditioned by the diagonal that
is expected from the sum of c alone: one such step is nearly as good as solving in full. Users are solved in full at last.

Features (see ``features``), where ``feature_regularization`` is given, draw each vector to a linear function of what
describes it, found by ridge regression after each epoch. Items without evidence do not enter the loss; their vector is F_i W.

Shapes: U users, N items, D width, F features; R rows that are solved, C columns; B rows of a batch, L entries of its longest.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array, hstack

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.factors import FactorModel
from bowerbird.models.features import FeatureWeights, feature_matrix, known_rows
from bowerbird.models.least_squares import Rows, Vectors, cholesky, conjugate_gradient, gram, ridge
from bowerbird.models.linear import state_matrix

INITIAL_NORM = 0.1
NUM_LAST_STEPS = 10
NUM_RIDGE_STEPS = 3
NUM_UPDATE_EPOCHS = 3


class AlsConfig(FeatureWeights):
    """Width, weights and how each vector is solved for; weights of features count only with ``feature_regularization``."""

    embedding_size: Annotated[int, Field(ge=1, le=2048)] = 128
    """Width of the vectors."""
    num_epochs: Annotated[int, Field(ge=1, le=1000)] = 15
    """Times that all users and then all items are solved for."""
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    """Confidence that a weight of 1 adds to the 1 of what was not observed."""
    regularization: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    """Of a vector whose confidences have the mean sum."""
    frequency_scaling: Annotated[float, Field(ge=0, le=1)] = 1.0
    """0 regularises all vectors alike, 1 in proportion to their confidence."""
    solver: Literal["conjugate_gradient", "cholesky"] = "conjugate_gradient"
    """How a vector is solved for: step by step from the last epoch's, or in full."""
    num_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Steps of ``conjugate_gradient`` in each epoch."""
    feature_regularization: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Of the weights of features; without it features are not looked at."""


class Side:
    """Users or items: their rows, their vectors [R, D], and what describes them and draws their vectors."""

    def __init__(self, rows: Rows, vectors_RD: Vectors, features_RF: csr_array | None) -> None:
        self.rows = rows
        self.is_known_R1 = rows.sums[:, None] > 0
        self.vectors_RD = np.where(self.is_known_R1, vectors_RD, 0)
        self.means_RD: Vectors | None = None
        self._features_RF = features_RF
        self._weights_FD = np.zeros((0 if features_RF is None else features_RF.shape[1], vectors_RD.shape[1]), np.float32)

    def describe(self, config: AlsConfig, *, num_steps: int) -> None:
        """Find what the features say about the vectors: their means."""
        if self._features_RF is None or config.feature_regularization is None:
            return
        importance_R = np.where(self.is_known_R1[:, 0], self.rows.penalties / self.rows.penalties.mean(), 0)
        self._weights_FD = ridge(
            self._features_RF,
            self.vectors_RD,
            importance_R,
            self._weights_FD,
            strength=config.feature_regularization,
            num_steps=num_steps,
        )
        self.means_RD = self._features_RF @ self._weights_FD

    def solve(self, other: Side, config: AlsConfig, *, num_steps: int) -> None:
        """Solve for the vectors, those of the other side being fixed."""
        y_CD = other.vectors_RD
        if config.solver == "cholesky":
            self.vectors_RD = cholesky(self.rows, y_CD, gram(y_CD), self.means_RD).astype(np.float32)
        else:
            self.vectors_RD = conjugate_gradient(
                self.rows, self.vectors_RD, y_CD, self.means_RD, column_sums=other.rows.sums, num_steps=num_steps
            )


class Als(FactorModel):
    """Alternating least squares on implicit feedback."""

    name: ClassVar[str] = "als"
    Config: ClassVar[type[ModelConfig]] = AlsConfig
    config: AlsConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        features = self._features(items, users)
        width = self.config.embedding_size
        users_UD = np.zeros((self.data.num_users, width), np.float32)
        self._learn(users_UD, initial_vectors(self.data.num_items, width, seed=self.seed), features, self.config.num_epochs)

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Go on from the vectors there are, for a few epochs on all events, which costs a part of a full fit."""
        old, users_UD, items_ND = self.data, self._users_UD, self._items_ND
        self._accept(old.concat(new))
        features = self._features(items, users)
        users_UD = _moved(users_UD, old.user_index, self.data.user_index)
        items_ND = _moved(items_ND, old.item_index, self.data.item_index)
        self._learn(users_UD, items_ND, features, NUM_UPDATE_EPOCHS)
        return self

    def _features(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> tuple[csr_array | None, csr_array | None]:
        """Describe users and items, and take in items without events; None of those of which nothing is known."""
        if self.config.feature_regularization is None:
            return None, None
        if items is not None:
            items = known_rows(items, ITEM_ID, until=self.data.last_timestamp)
            self._accept(self.data.with_items(items.index.to_numpy()) if len(items) else self.data)
        if users is not None:
            users = known_rows(users, USER_ID, until=self.data.last_timestamp)
        return self._describe(users, self.data.user_ids), self._describe(items, self.data.item_ids)

    def _describe(self, table: pd.DataFrame | None, ids: Ids) -> csr_array | None:
        """Return features with a column of ones, which is 0 where nothing is known."""
        if table is None or len(table) == 0:
            return None
        features = feature_matrix(table.reindex(ids), self.config)[0]
        is_described = (np.diff(features.indptr) > 0).astype(np.float32)
        described: csr_array = hstack([features, is_described[:, None]], format="csr", dtype=np.float32)
        return described

    def _learn(
        self, users_UD: Vectors, items_ND: Vectors, features: tuple[csr_array | None, csr_array | None], num_epochs: int
    ) -> None:
        self._count()
        extra_UN = self._extra(Histories.of_all(self.data))
        users = Side(self._rows(extra_UN, self._num_users, self._num_items), users_UD, features[0])
        items = Side(self._rows(extra_UN.T.tocsr(), self._num_items, self._num_users), items_ND, features[1])
        for _ in range(num_epochs):
            for side, other in ((users, items), (items, users)):
                side.describe(self.config, num_steps=NUM_RIDGE_STEPS)
                side.solve(other, self.config, num_steps=self.config.num_steps)
        users.solve(items, self.config, num_steps=NUM_LAST_STEPS)
        items.describe(self.config, num_steps=NUM_LAST_STEPS)
        if items.means_RD is not None:
            items.vectors_RD = np.where(items.is_known_R1, items.vectors_RD, items.means_RD)
        self._keep(users.vectors_RD, items.vectors_RD)

    def _count(self) -> None:
        """Count the users and items with evidence, and sum alpha * w."""
        evidence = self.data.evidence()
        self._num_users, self._num_items = len(np.unique(evidence.users)), len(np.unique(evidence.items))
        self._total = self.config.alpha * float(evidence.weights.sum())

    def _keep(self, users_UD: Vectors, items_ND: Vectors) -> None:
        super()._keep(users_UD, items_ND)
        self._gram_DD = gram(items_ND[self.data.item_weights() > 0])

    def _restore(self, arrays: Arrays) -> None:
        self._count()
        super()._restore(arrays)

    def _extra(self, histories: Histories) -> csr_array:
        """Return alpha * w, B x N."""
        past = histories.evidence()
        extra_BN = state_matrix(past, self.config.alpha * past.weights, self.data.num_items)
        return extra_BN.astype(np.float32)

    def _rows(self, extra_RC: csr_array, num_rows: int, num_columns: int) -> Rows:
        """Cut rows into batches; ``num_rows`` and ``num_columns`` have evidence in the training events."""
        mean = max(num_columns + self._total / max(num_rows, 1), 1.0)
        sums_R = num_columns + extra_RC.sum(axis=1, dtype=np.float64)
        penalties_R = self.config.regularization * (sums_R / mean) ** self.config.frequency_scaling
        return Rows.of(extra_RC, penalties_R, width=self.config.embedding_size)

    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        rows = self._rows(self._extra(histories), self._num_users, self._num_items)
        return cholesky(rows, self._items_ND, self._gram_DD, None)


def initial_vectors(num: int, width: int, *, seed: int) -> Vectors:
    """Draw the vectors from which ``fit`` begins; [num, width]."""
    scale = INITIAL_NORM / np.sqrt(width)
    return np.random.default_rng(seed).normal(0, scale, (num, width)).astype(np.float32)


def _moved(vectors_RD: Vectors, old: pd.Index[Any], new: pd.Index[Any]) -> Vectors:  # Any: see Ids
    """Give vectors the places of a larger set of ids; 0 for new ones."""
    moved_RD = np.zeros((len(new), vectors_RD.shape[1]), np.float32)
    moved_RD[new.get_indexer(old)] = vectors_RD
    return moved_RD
