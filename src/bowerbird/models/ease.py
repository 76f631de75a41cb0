"""EASE: each item is foretold by all others, by ridge regression in closed form.

    x[u, i]     = log2(1 + sum of the weights of u's events on i), so 1 for one event of weight 1
    B           = argmin |X - X B|^2 + regularization * |B|^2 with a diagonal of 0
                = -P / diag(P) beside the diagonal, by columns, where P = (X' X + regularization * I)^-1
    score(u, i) = sum over past items j of x[u, j] * B[j, i]

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019. Past ``max_items`` items P would fill the memory: then
B is computed in blocks of an item and its neighbours by cosine, in each of which the same formula holds, and is 0 elsewhere
(Steck, "Markov random fields for collaborative filtering", NeurIPS 2019, 3.2). A block gives the columns of the item in its
middle, and of those of the nearer half of its neighbours that no earlier block has given; popular items come first.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import get_lapack_funcs
from scipy.sparse import coo_array, csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Histories, ModelConfig
from bowerbird.models.linear import LinearModel, log_matrix
from bowerbird.models.neighbours import cosine, nearest_items
from bowerbird.models.topk import Scores

STRIP = 512
LARGEST_CONDITION = 3e4  # up to here single precision gives B to three digits or more; beyond it, double is used


class EaseConfig(ModelConfig):
    """How strong the regularisation is, and how large a catalogue may be to be solved as a whole."""

    regularization: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 250.0
    """Lambda of the ridge, in units of x squared summed over users."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count, both to learn from and to recommend for."""
    max_items: Annotated[int, Field(ge=1)] = 20_000
    """A larger catalogue is solved in blocks; the whole takes 8 bytes times this number squared."""
    num_neighbors: Annotated[int, Field(ge=1, le=10_000)] = 200
    """In blocks: so many items are neighbours of the one in the middle."""


class Ease(LinearModel):
    """Ridge regression of items on items."""

    name: ClassVar[str] = "ease"
    Config: ClassVar[type[ModelConfig]] = EaseConfig
    config: EaseConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        x_UN = self._state(Histories.of_all(data))
        if data.num_items <= self.config.max_items:
            self._matrix = closed_form(x_UN, self.config.regularization)
        else:
            self._matrix = in_blocks(x_UN, self.config.regularization, num_neighbors=self.config.num_neighbors)

    def _state(self, histories: Histories) -> csr_array:
        past = histories.evidence().last(self.config.max_history)
        return log_matrix(past, self.data.num_items)


def closed_form(x_UN: csr_array, regularization: float) -> NDArray[np.float32]:
    """Return B, dense, by Cholesky's factors; in single precision the inverse takes the memory of X' X."""
    largest = (x_UN.T @ x_UN.sum(axis=1)).max()  # no eigenvalue of X' X is above its largest sum of a row
    is_tame = largest <= LARGEST_CONDITION * regularization
    gram_NN = upper_gram(x_UN if is_tame else x_UN.astype(np.float64))
    gram_NN[np.diag_indices_from(gram_NN)] += regularization
    factorize, invert = get_lapack_funcs(("potrf", "potri"), (gram_NN,))
    # Fortran reads the transpose: what is the upper triangle here is the lower one there.
    factor_NN, failed = factorize(gram_NN.T, lower=True, clean=False, overwrite_a=True)
    assert not failed, "X' X with something added to its diagonal is positive definite"
    inverse_NN, _ = invert(factor_NN, lower=True, overwrite_c=True)
    weights_NN = inverse_NN.T
    mirror(weights_NN)
    weights_NN /= -np.diag(weights_NN).copy()
    np.fill_diagonal(weights_NN, 0)
    single_NN: NDArray[np.float32] = weights_NN.astype(np.float32, copy=False)
    return single_NN


def upper_gram(x_UN: csr_array) -> Scores:
    """Return X' X, dense, the upper triangle alone: the rest is not computed."""
    num_items = x_UN.shape[1]
    by_item_UN = x_UN.tocsc()
    gram_NN = np.zeros((num_items, num_items), x_UN.dtype)
    for start in range(0, num_items, STRIP):
        strip = slice(start, start + STRIP)
        gram_NN[strip, start:] = (by_item_UN[:, strip].T.tocsr() @ by_item_UN[:, start:].tocsr()).toarray()
    return gram_NN


def mirror(symmetric_NN: Scores) -> None:
    """Copy the upper triangle into the lower one."""
    for start in range(0, len(symmetric_NN), STRIP):
        strip = slice(start, start + STRIP)
        symmetric_NN[start + STRIP :, strip] = symmetric_NN[strip, start + STRIP :].T
        corner = symmetric_NN[strip, strip]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T


def in_blocks(x_UN: csr_array, regularization: float, *, num_neighbors: int) -> csr_array:
    """Return B, sparse: the closed form in blocks of an item and its neighbours; see the top of the file."""
    x_UN = x_UN.astype(np.float64)
    nearest_NN = nearest_items(x_UN, cosine(x_UN), num_neighbors=num_neighbors)
    by_item_UN = x_UN.tocsc()
    popularity_N = x_UN.sum(axis=0)
    is_left_N = popularity_N > 0
    rows, columns, weights = [], [], []
    for middle in np.argsort(-popularity_N, kind="stable"):
        if not is_left_N[middle]:
            continue
        own = slice(nearest_NN.indptr[middle], nearest_NN.indptr[middle + 1])
        near = nearest_NN.indices[own][np.lexsort((nearest_NN.indices[own], -nearest_NN.data[own]))]
        block = np.concatenate([[middle], near])
        weights_CC = closed_form(by_item_UN[:, block].tocsr(), regularization)
        given = np.flatnonzero(is_left_N[block[: 1 + len(near) // 2]])
        is_left_N[block[given]] = False
        rows.append(np.repeat(block, len(given)))
        columns.append(np.tile(block[given], len(block)))
        weights.append(weights_CC[:, given].ravel())
    if not weights:
        return csr_array(nearest_NN.shape, dtype=np.float32)
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    matrix = coo_array(entries, shape=nearest_NN.shape).tocsr()
    matrix.eliminate_zeros()
    return matrix
