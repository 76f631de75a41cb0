"""SLIM: each item is foretold by few others, by regression with the elastic net, coefficients not below 0.

    x[u, i]     = log2(1 + sum of the weights of u's events on i), so 1 for one event of weight 1
    W[:, i]     = argmin |x_i - X w|^2 / 2 + regularization / 2 * |w|^2 + l1_regularization * |w|_1
                  over w >= 0 that are 0 but for the num_neighbors items nearest to i by cosine (i is none of them)
    score(u, i) = sum over past items j of x[u, j] * W[j, i]

Labels do not enter. Ning and Karypis, "SLIM: sparse linear methods for top-n recommender systems", ICDM 2011; the choice among
neighbours is their fsSLIM, and where num_neighbors leaves out no item that shares a user with i, it is SLIM itself. Solved by
coordinate descent on X' X (Friedman, Hastie and Tibshirani, 2010, 2.2), many items i at once: the j-th neighbour of each in turn.

U users, N items, T items that are foretold at once, K neighbours; a neighbour that is missing is item 0 with a product of 0.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array, csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Histories, ModelConfig
from bowerbird.models.ease import mirror, upper_gram
from bowerbird.models.linear import LinearModel, log_matrix
from bowerbird.models.neighbours import cosine, nearest_items
from bowerbird.models.topk import Scores

BLOCK_PRODUCTS = 2**22  # so many products of pairs of neighbours are held at once, but for a single item
TOLERANCE = 1e-5  # no coefficient moves by more in the last round


class SlimConfig(ModelConfig):
    """How strong the two penalties are, and among how many items coefficients are sought."""

    regularization: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    """Of squared coefficients, in units of x squared summed over users."""
    l1_regularization: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Of coefficients themselves: the larger, the more of them are 0."""
    is_non_negative: bool = True
    """False lets an item speak against another, too."""
    num_neighbors: Annotated[int, Field(ge=1, le=2_000)] = 100
    """So many items may foretell an item."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""
    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Rounds of coordinate descent at most; it ends earlier where nothing moves any more."""
    max_items: Annotated[int, Field(ge=1)] = 20_000
    """Up to here all products of items are counted once, in 4 bytes times this number squared; beyond, for each item anew."""


class Slim(LinearModel):
    """Regression of items on few items."""

    name: ClassVar[str] = "slim"
    Config: ClassVar[type[ModelConfig]] = SlimConfig
    config: SlimConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        x_UN = self._state(Histories.of_all(data))
        doubles_UN = x_UN.astype(np.float64)
        nearest_NN = nearest_items(doubles_UN, cosine(doubles_UN), num_neighbors=self.config.num_neighbors)
        has_near = np.flatnonzero(np.diff(nearest_NN.indptr))
        products = Products(x_UN, max_items=self.config.max_items)
        step = max(1, BLOCK_PRODUCTS // self.config.num_neighbors**2)
        parts = [csr_array(nearest_NN.shape, dtype=np.float32).tocoo()]
        for start in range(0, len(has_near), step):
            parts.append(self._foretold(has_near[start : start + step], nearest_NN, products))
        rows, columns, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "col", "data"))
        self._matrix = coo_array((values, (rows, columns)), shape=nearest_NN.shape).tocsr()

    def _foretold(self, items_T: NDArray[np.int64], nearest_NN: csr_array, products: Products) -> coo_array:
        """Return the columns of W of some items."""
        near_TK, is_near_TK = padded(nearest_NN, items_T)
        gram_KTK, target_TK = products.among(items_T, near_TK, is_near_TK)
        weights_TK = descend(gram_KTK, target_TK, self.config)
        places = np.nonzero(weights_TK)
        entries = weights_TK[places].astype(np.float32), (near_TK[places], items_T[places[0]])
        return coo_array(entries, shape=nearest_NN.shape)

    def _state(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        return log_matrix(past, self.data.num_items)


class Products:
    """Products of items over users, X' X: counted once, or for each item anew where there are more than ``max_items``."""

    def __init__(self, x_UN: csr_array, *, max_items: int) -> None:
        self._by_item_UN = x_UN.tocsc()
        self._gram_NN = None
        if x_UN.shape[1] <= max_items:
            self._gram_NN = upper_gram(x_UN)
            mirror(self._gram_NN)

    def among(
        self, items_T: NDArray[np.int64], near_TK: NDArray[np.int64], is_near_TK: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the products of each item's neighbours, [K, T, K], and theirs with the item, [T, K]."""
        both_TL = np.concatenate([near_TK, items_T[:, None]], axis=1)
        gram_TLL = np.stack([self._of(items_L) for items_L in both_TL])
        is_near_KTK = is_near_TK.T[:, :, None] & is_near_TK
        gram_KTK = np.where(is_near_KTK, gram_TLL[:, :-1, :-1].swapaxes(0, 1), 0.0)
        return gram_KTK, np.where(is_near_TK, gram_TLL[:, -1, :-1], 0.0)

    def _of(self, items_L: NDArray[np.int64]) -> Scores:
        if self._gram_NN is not None:
            return self._gram_NN[items_L[:, None], items_L]
        x_UL = self._by_item_UN[:, items_L]
        products_LL: Scores = (x_UL.T @ x_UL).toarray()
        return products_LL


def padded(nearest_NN: csr_array, items_T: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the neighbours of some items, and which of them there are; [T, K]."""
    starts_T = nearest_NN.indptr[items_T].astype(np.int64)
    lengths_T = np.diff(nearest_NN.indptr)[items_T]
    steps_K = np.arange(lengths_T.max())
    is_near_TK = steps_K < lengths_T[:, None]
    return np.where(is_near_TK, nearest_NN.indices[np.where(is_near_TK, starts_T[:, None] + steps_K, 0)], 0), is_near_TK


def descend(gram_KTK: NDArray[np.float64], target_TK: NDArray[np.float64], config: SlimConfig) -> NDArray[np.float64]:
    """Return coefficients, [T, K]: each in turn takes the value that is best while the others stand still."""
    weights_TK = np.zeros_like(target_TK)
    left_TK = target_TK.copy()  # what the neighbours' products with the item are, less what the coefficients make of them
    for _ in range(config.max_iterations):
        largest_move = 0.0
        for place, gram_TK in enumerate(gram_KTK):
            squares_T = gram_TK[:, place]
            wanted_T = left_TK[:, place] + squares_T * weights_TK[:, place]
            shrunk_T = np.maximum(wanted_T - config.l1_regularization, 0)
            if not config.is_non_negative:
                shrunk_T += np.minimum(wanted_T + config.l1_regularization, 0)
            move_T = shrunk_T / (squares_T + config.regularization) - weights_TK[:, place]
            weights_TK[:, place] += move_T
            left_TK -= move_T[:, None] * gram_TK
            largest_move = max(largest_move, float(np.abs(move_T).max()))
        if largest_move <= TOLERANCE:
            break
    return weights_TK
