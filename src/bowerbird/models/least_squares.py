"""Solves for the vectors of all rows of a sparse matrix at once, those of the columns being fixed: the half of an ALS epoch.

    (G + r I + sum over the row's entries of e y y') x = sum over them of (1 + e) y + r m

where y is an entry's column's vector, e what it adds to the confidence of 1, G = Y' Y, r the row's penalty and m what its
vector is drawn to. Rows of like length lie in one batch whose gathered vectors fit into a processor's cache.

Shapes: R rows, C columns, D width, F features; B rows of a batch, L entries of its longest row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.sparse import csr_array

BATCH_NUMBERS = 2**18  # so many numbers are gathered for a batch, about: 1 MB
TINY = np.float32(1e-30)  # in place of 0 in a denominator
Vectors = NDArray[np.float32]
Batch = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a sparse matrix, those with entries in batches.

    Attributes
    ----------
    batches
        Rows [B]; their columns [B, L], padded with C; e [B, L], padded with 0.
    sums : float32 [R]
        Sum of e.
    penalties : float32 [R]
        r.
    """

    batches: list[Batch]
    sums: NDArray[np.float32]
    penalties: NDArray[np.float32]

    @classmethod
    def of(cls, extra_RC: csr_array, penalties_R: NDArray[np.float64], *, width: int) -> Rows:
        """Cut a matrix of e into batches for vectors of ``width``."""
        sums_R = np.asarray(extra_RC.sum(axis=1), np.float32)
        return cls(list(_batches(extra_RC, BATCH_NUMBERS // width)), sums_R, penalties_R.astype(np.float32))


def _batches(extra_RC: csr_array, num_entries: int) -> Iterator[Batch]:
    """Yield batches, longest rows first, of about ``num_entries`` entries with padding."""
    lengths_R = np.diff(extra_RC.indptr)
    order = np.argsort(-lengths_R, kind="stable")[: np.count_nonzero(lengths_R)]
    start = 0
    while start < len(order):
        longest = int(lengths_R[order[start]])
        rows = order[start : start + max(1, num_entries // longest)]
        start += len(rows)
        is_real_BL = np.arange(longest) < lengths_R[rows][:, None]
        places_BL = np.where(is_real_BL, extra_RC.indptr[rows][:, None] + np.arange(longest), 0)
        columns_BL = np.where(is_real_BL, extra_RC.indices[places_BL], extra_RC.shape[1])
        yield rows, columns_BL.astype(np.int64), np.where(is_real_BL, extra_RC.data[places_BL], 0).astype(np.float32)


def gram(y_CD: Vectors) -> NDArray[np.float64]:
    """Return Y' Y in double precision."""
    wide_CD = y_CD.astype(np.float64)
    return np.asarray(wide_CD.T @ wide_CD)


def cholesky(
    rows: Rows, y_CD: NDArray[np.floating[Any]], gram_DD: NDArray[np.float64], means_RD: Vectors | None
) -> NDArray[np.float64]:
    """Solve each row in full, in double precision; [R, D], zeros for rows without entries."""
    width = y_CD.shape[1]
    padded_CD = np.concatenate([y_CD, np.zeros((1, width))], dtype=np.float64)
    x_RD = np.zeros((len(rows.sums), width))
    for places, columns_BL, extra_BL in rows.batches:
        y_BLD = padded_CD.take(columns_BL, axis=0)
        penalties_B1 = rows.penalties[places, None].astype(np.float64)
        matrices_BDD = gram_DD + (y_BLD * extra_BL[:, :, None]).transpose(0, 2, 1) @ y_BLD
        matrices_BDD[:, np.arange(width), np.arange(width)] += penalties_B1
        targets_BD = np.vecmat(1 + extra_BL.astype(np.float64), y_BLD)
        if means_RD is not None:
            targets_BD += penalties_B1 * means_RD[places]
        x_RD[places] = solve(matrices_BDD, targets_BD[:, :, None], assume_a="pos")[:, :, 0]
    return x_RD


def conjugate_gradient(
    rows: Rows,
    x_RD: Vectors,
    y_CD: Vectors,
    means_RD: Vectors | None,
    *,
    column_sums: Vectors,
    num_steps: int,
) -> Vectors:
    """Take some steps from ``x_RD`` towards the solution; ``column_sums`` [C] are the sums of e of the columns.

    In the basis in which G is diagonal, G + r I costs next to nothing, and so does the preconditioner: the diagonal to be
    expected of a row with this sum of e, were its entries drawn in proportion to ``column_sums``. Residual and length of
    a step are computed anew instead of carried on, so that rounding cannot make the steps grow.
    """
    eigenvalues_D, basis_DD = np.linalg.eigh((y_CD.T @ y_CD).astype(np.float64))
    gram_D, basis_DD = np.maximum(eigenvalues_D, 0).astype(np.float32), basis_DD.astype(np.float32)
    turned_CD = np.concatenate([y_CD @ basis_DD, np.zeros((1, y_CD.shape[1]), np.float32)])
    expected_D = column_sums @ turned_CD[:-1] ** 2 / np.maximum(column_sums.sum(), TINY)
    turned_RD = x_RD @ basis_DD
    pull_RD = None if means_RD is None else rows.penalties[:, None] * (means_RD @ basis_DD)
    numbers = np.empty(max((columns_BL.size for _, columns_BL, _ in rows.batches), default=0) * y_CD.shape[1], np.float32)
    for places, columns_BL, extra_BL in rows.batches:
        y_BLD = numbers[: columns_BL.size * y_CD.shape[1]].reshape(*columns_BL.shape, -1)
        turned_CD.take(columns_BL, axis=0, out=y_BLD, mode="clip")  # into the same memory: new memory costs more than the copy
        diagonal_BD = gram_D + rows.penalties[places, None]
        scale_BD = 1 / (diagonal_BD + rows.sums[places, None] * expected_D)
        x_BD, pull_BD = turned_RD[places], 0 if pull_RD is None else pull_RD[places]
        products_BL = np.matvec(y_BLD, x_BD)
        direction_BD, previous_B = np.zeros_like(x_BD), np.full(len(places), np.inf, np.float32)
        for _ in range(num_steps):
            residual_BD = np.vecmat(1 + extra_BL * (1 - products_BL), y_BLD) + (pull_BD - diagonal_BD * x_BD)
            scaled_BD = scale_BD * residual_BD
            decline_B = np.vecdot(residual_BD, scaled_BD)
            direction_BD = scaled_BD + (decline_B / previous_B)[:, None] * direction_BD
            along_BL = np.matvec(y_BLD, direction_BD)
            curvature_B = np.vecdot(along_BL, extra_BL * along_BL) + np.vecdot(direction_BD, diagonal_BD * direction_BD)
            length_B1 = (np.vecdot(residual_BD, direction_BD) / np.maximum(curvature_B, TINY))[:, None]
            x_BD += length_B1 * direction_BD
            products_BL += length_B1 * along_BL
            previous_B = np.maximum(decline_B, TINY)
        turned_RD[places] = x_BD
    return np.asarray(turned_RD @ basis_DD.T, np.float32)


def ridge(
    features_RF: csr_array, x_RD: Vectors, importance_R: Vectors, v_FD: Vectors, *, strength: float, num_steps: int
) -> Vectors:
    """Take steps of conjugate gradients from ``v_FD`` to the least sum of importance |x - F v|^2, plus strength |v|^2."""
    direction_FD, previous_D = np.zeros_like(v_FD), np.full(v_FD.shape[1], np.inf, np.float32)
    importance_R1 = importance_R[:, None]
    for _ in range(num_steps):
        residual_FD = features_RF.T @ (importance_R1 * (x_RD - features_RF @ v_FD)) - strength * v_FD
        decline_D = (residual_FD**2).sum(axis=0)
        direction_FD = residual_FD + decline_D / previous_D * direction_FD
        along_RD = features_RF @ direction_FD
        curvature_D = (importance_R1 * along_RD**2).sum(axis=0) + strength * (direction_FD**2).sum(axis=0)
        v_FD = v_FD + (residual_FD * direction_FD).sum(axis=0) / np.maximum(curvature_D, TINY) * direction_FD
        previous_D = np.maximum(decline_D, TINY)
    return v_FD
