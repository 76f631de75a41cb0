"""BPR: vectors of users and items, learned so that what a user had scores above what the user did not have.

    score(u, i) = p_u . q_i + b_i
    gain        = sum over draws (u, i, j) of log sigmoid(score(u, i) - score(u, j))
                  - regularization / 2 * (|p_u|^2 + |q_i|^2 + |q_j|^2 + b_i^2 + b_j^2)

Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009. An event (u, i) is drawn with a
probability in proportion to its weight, so a weight of 0 never; j is drawn evenly from the items with evidence, or by
popularity, and a draw in which u had j does not count. Labels do not enter. An epoch has as many draws as there are events
with evidence; steps are Adagrad's (Duchi, Hazan and Singer, JMLR 2011) on the sum over a batch. The number of epochs is found
on a hold-out, then all is learned anew.

Users whom ``fit`` never saw, or whose history the caller gives, take the vector that least squares foretell, on the users in
``fit``, from what they had: p_u = A z_u + c, z_u = sum over past items of q_i / sqrt(their number), with RIDGE on A.

Shapes: U users, B users of a block or draws of a batch, N items, E events, D width with the column of biases, R distinct rows.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array
from scipy.special import expit

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Arrays, Curve, Histories, ModelConfig
from bowerbird.models.factors import FactorModel
from bowerbird.models.linear import had_matrix

if TYPE_CHECKING:
    from bowerbird.training.validation import HoldOut

BLOCK = 256
INITIAL_NORM = 0.1
INITIAL_SQUARES = 0.1  # Adagrad's first steps would else have the size of the learning rate, whatever the gradient
RIDGE = 1.0

logger = logging.getLogger(__name__)


class BprConfig(ModelConfig):
    """Width, draws and steps."""

    embedding_size: Annotated[int, Field(ge=1, le=2048)] = 64
    """Width of the vectors."""
    num_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Passes over the data. None: found on a hold-out, then all data is learned from anew for as long."""
    max_epochs: Annotated[int, Field(ge=1, le=10_000)] = 100
    """The most passes that are tried when their number is to be found."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Epochs without a better one before the search for their number ends."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Of Adagrad."""
    batch_size: Annotated[int, Field(ge=1)] = 1024
    """Draws of a step."""
    regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Of the vectors and biases that a draw touches."""
    negatives: Literal["uniform", "popularity"] = "uniform"
    """How the item that a user did not have is drawn."""


class Bpr(FactorModel):
    """Matrix factorisation that learns from pairs of a past and another item."""

    name: ClassVar[str] = "bpr"
    Config: ClassVar[type[ModelConfig]] = BprConfig
    config: BprConfig
    _num_epochs = 0

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the settings with the number of epochs that was found: it learns without a hold-out."""
        return self.config.model_dump(mode="json") | ({"num_epochs": self._num_epochs} if self._num_epochs else {})

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        evidence = data.evidence()
        self.curve = []
        self._num_epochs = self.config.num_epochs or self._search(evidence)
        learner = Learner(evidence, self.config, seed=self.seed)
        losses = [learner.epoch() for _ in range(self._num_epochs)]
        self.curve = self.curve or [Curve(epoch=place + 1, loss=loss) for place, loss in enumerate(losses)]
        self._keep(*learner.vectors())
        self._learn_to_fold_in()

    def _search(self, evidence: Interactions) -> int:
        """Learn without the last events of some users, and return the epoch after which those were foretold best."""
        import torch

        from bowerbird.data.sequences import Sequences
        from bowerbird.training.validation import hold_out

        generator = torch.Generator().manual_seed(self.seed)
        _, held_out = hold_out(Sequences.from_interactions(evidence), generator=generator)
        if len(held_out.targets) == 0:
            logger.info("no user has three events with evidence: nothing to hold out, %d epochs it is", self.config.max_epochs)
            return self.config.max_epochs
        is_rest_E = np.ones(len(evidence), bool)
        is_rest_E[evidence.indptr[held_out.chosen + 1] - 1] = False
        learner = Learner(evidence.select(is_rest_E), self.config, seed=self.seed)
        best = 0
        for epoch in range(1, self.config.max_epochs + 1):
            loss = learner.epoch()
            self.curve.append(Curve(epoch=epoch, loss=loss, validation=_ndcg(*learner.vectors(), held_out)))
            if (self.curve[-1].validation or 0) > (self.curve[best].validation or 0):
                best = epoch - 1
            if epoch - 1 - best >= self.config.patience:
                break
        return best + 1

    def _learn_to_fold_in(self) -> None:
        """Find A and c."""
        z_UD, targets_UD = self._summed(Histories.of_all(self.data)), self._users_UD[:, :-1].astype(np.float64)
        is_known_U = np.asarray(z_UD.any(axis=1))
        z_UD, targets_UD = np.column_stack([z_UD[is_known_U], np.ones(is_known_U.sum())]), targets_UD[is_known_U]
        penalty = np.diag(np.append(np.full(z_UD.shape[1] - 1, RIDGE), 1e-9))
        self._from_items_DD = np.linalg.solve(z_UD.T @ z_UD + penalty, z_UD.T @ targets_UD)

    def _summed(self, histories: Histories) -> NDArray[np.float64]:
        """Return z; [B, D - 1]."""
        had = had_matrix(histories.evidence(), self.data.num_items)
        lengths = np.diff(had.indptr)
        had.data /= np.sqrt(np.repeat(lengths, lengths))
        return np.asarray(had @ self._items_ND[:, :-1].astype(np.float64))

    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        z_BD = self._summed(histories)
        vectors_BD = np.column_stack([z_BD @ self._from_items_DD[:-1] + self._from_items_DD[-1], np.ones(len(z_BD))])
        return np.where(z_BD.any(axis=1, keepdims=True), vectors_BD, 0)

    def _arrays(self) -> Arrays:
        kept = {"from_items": self._from_items_DD, "num_epochs": np.asarray([self._num_epochs])}
        return super()._arrays() | kept

    def _restore(self, arrays: Arrays) -> None:
        super()._restore(arrays)
        self._from_items_DD, self._num_epochs = arrays["from_items"], int(arrays["num_epochs"][0])


class Learner:
    """Draws triples, and climbs."""

    def __init__(self, evidence: Interactions, config: BprConfig, *, seed: int) -> None:
        self._events, self._config = evidence, config
        self._rng = np.random.default_rng(seed)
        self._sums_E = np.cumsum(evidence.weights)
        self._had = np.unique(evidence.users * np.int64(evidence.num_items) + evidence.items)
        self._known_items, width = np.unique(evidence.items), config.embedding_size
        scale = INITIAL_NORM / np.sqrt(width)
        self._users = Table(self._rng.normal(0, scale, (evidence.num_users, width)), config)
        self._items = Table(self._rng.normal(0, scale, (evidence.num_items, width + 1)), config)
        self._items.vectors_ND[:, -1] = 0  # the biases

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vectors of users, with a column of ones, and of items, with the biases; 0 where nothing is known."""
        users_UD = np.column_stack([self._users.vectors_ND, np.ones(self._events.num_users, np.float32)])
        is_known_U = np.isin(np.arange(self._events.num_users), self._events.users)
        is_known_N = np.isin(np.arange(self._events.num_items), self._known_items)
        return np.where(is_known_U[:, None], users_UD, 0), np.where(is_known_N[:, None], self._items.vectors_ND, 0)

    def epoch(self) -> float:
        """Draw as often as there are events, take a step a batch, and return the mean of -log sigmoid."""
        events = self._draw()
        users_E, items_E = self._events.users[events].astype(np.int64), self._events.items[events].astype(np.int64)
        if self._config.negatives == "uniform":
            others_E = self._known_items[self._rng.integers(len(self._known_items), size=len(events))].astype(np.int64)
        else:
            others_E = self._events.items[self._draw()].astype(np.int64)
        is_new_E = ~self._have(users_E, others_E)
        triples = np.stack([users_E, items_E, others_E])[:, is_new_E]
        size = self._config.batch_size
        losses = [self._step(*triples[:, start : start + size]) for start in range(0, triples.shape[1], size)]
        return float(sum(losses) / max(triples.shape[1], 1))

    def _draw(self) -> NDArray[np.int64]:
        """Draw as many events as there are, in proportion to their weights."""
        places = self._rng.random(len(self._events)) * self._sums_E[-1:]
        return np.minimum(np.searchsorted(self._sums_E, places, side="right"), len(self._sums_E) - 1)

    def _have(self, users_E: NDArray[np.int64], items_E: NDArray[np.int64]) -> NDArray[np.bool_]:
        keys = users_E * self._events.num_items + items_E
        places = np.minimum(np.searchsorted(self._had, keys), len(self._had) - 1)
        return np.asarray(self._had[places] == keys)

    def _step(self, users_B: NDArray[np.int64], items_B: NDArray[np.int64], others_B: NDArray[np.int64]) -> float:
        """Climb on one batch; return its sum of -log sigmoid."""
        users_BD = np.column_stack([self._users.vectors_ND[users_B], np.ones(len(users_B), np.float32)])
        apart_BD = self._items.vectors_ND[items_B] - self._items.vectors_ND[others_B]
        margins_B = np.vecdot(users_BD, apart_BD)
        pull_B = expit(-margins_B)
        self._users.climb(users_B, pull_B, apart_BD[:, :-1])
        self._items.climb(np.concatenate([items_B, others_B]), np.concatenate([pull_B, -pull_B]), users_BD)
        return float(np.logaddexp(0, -margins_B.astype(np.float64)).sum())


class Table:
    """Vectors with Adagrad's sums of squares."""

    def __init__(self, vectors_ND: NDArray[np.float64], config: BprConfig) -> None:
        self.vectors_ND = vectors_ND.astype(np.float32)
        self._squares_ND = np.full_like(self.vectors_ND, INITIAL_SQUARES)
        self._learning_rate, self._regularization = np.float32(config.learning_rate), np.float32(config.regularization)

    def climb(self, rows: NDArray[np.int64], pull: NDArray[np.float32], directions_BD: NDArray[np.float32]) -> None:
        """Move rows, which may repeat, by the sum of pull times direction; ``rows`` may go through the batch several times."""
        order = np.argsort(rows, kind="stable")
        rows_R, starts = np.unique(rows[order], return_index=True)
        indptr = np.append(starts, len(rows))
        sums = csr_array((pull[order], order % len(directions_BD), indptr), shape=(len(rows_R), len(directions_BD)))
        vectors_RD = self.vectors_ND[rows_R]
        counts_R1 = np.diff(indptr).astype(np.float32)[:, None]
        gradient_RD = sums @ directions_BD - self._regularization * counts_R1 * vectors_RD
        squares_RD = self._squares_ND[rows_R] + gradient_RD**2
        self._squares_ND[rows_R] = squares_RD
        self.vectors_ND[rows_R] = vectors_RD + self._learning_rate * gradient_RD / np.sqrt(squares_RD)


def _ndcg(users_UD: NDArray[np.float32], items_ND: NDArray[np.float32], held_out: HoldOut) -> float:
    """Return the mean gain of the held-out events among all items that were learned from."""
    import torch

    from bowerbird.training.validation import gains

    is_silent_N, found = ~items_ND.any(axis=1), []
    for start in range(0, len(held_out.chosen), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(held_out.chosen)))
        scores_BN = users_UD[held_out.chosen[rows]] @ items_ND.T
        scores_BN[:, is_silent_N] = -np.inf
        found.append(gains(torch.from_numpy(scores_BN), held_out, rows))
    return float(torch.cat(found).mean())
