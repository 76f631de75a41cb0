import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array, random_array

from bowerbird.models import least_squares
from bowerbird.models.least_squares import Rows, cholesky, conjugate_gradient, gram, ridge

WIDTH = 5


def problem(*, seed: int = 1) -> tuple[csr_array, Rows, NDArray[np.float32], NDArray[np.float32]]:
    """Draw 40 rows over 30 columns, some empty; vectors of the columns, and what the rows are drawn to."""
    rng = np.random.default_rng(seed)
    dense_RC = 10 * random_array((40, 30), density=0.2, rng=rng).toarray()
    dense_RC[[3, 7]] = 0
    extra_RC = csr_array(dense_RC.astype(np.float32))
    rows = Rows.of(extra_RC, rng.uniform(0.5, 2, 40), width=WIDTH)
    return extra_RC, rows, rng.normal(size=(30, WIDTH)).astype(np.float32), rng.normal(size=(40, WIDTH)).astype(np.float32)


def solved_row_by_row(
    extra_RC: csr_array, rows: Rows, y_CD: NDArray[np.float32], means_RD: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Solve the formula as it stands, with all confidences written out."""
    x_RD, wide_CD = np.zeros((40, WIDTH)), y_CD.astype(np.float64)
    for row, extra_C in enumerate(extra_RC.toarray().astype(np.float64)):
        if extra_C.any():
            matrix = wide_CD.T @ np.diag(1 + extra_C) @ wide_CD + rows.penalties[row] * np.eye(WIDTH)
            target = ((1 + extra_C) * (extra_C > 0)) @ wide_CD
            if means_RD is not None:
                target += rows.penalties[row] * means_RD[row].astype(np.float64)
            x_RD[row] = np.linalg.solve(matrix, target)
    return x_RD


@pytest.mark.parametrize("is_drawn", [False, True])
@pytest.mark.parametrize("batch_numbers", [16, 2**18])
def test_both_solvers_solve_the_formula(is_drawn: bool, batch_numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_squares, "BATCH_NUMBERS", batch_numbers)
    extra_RC, rows, y_CD, drawn_to_RD = problem()
    means_RD = drawn_to_RD if is_drawn else None
    expected = solved_row_by_row(extra_RC, rows, y_CD, means_RD)
    np.testing.assert_allclose(cholesky(rows, y_CD, gram(y_CD), means_RD), expected, rtol=1e-6, atol=1e-9)
    start_RD, sums_C = np.zeros((40, WIDTH), np.float32), np.asarray(extra_RC.sum(axis=0), np.float32)
    stepped = conjugate_gradient(rows, start_RD, y_CD, means_RD, column_sums=sums_C, num_steps=20)
    np.testing.assert_allclose(stepped, expected, rtol=1e-3, atol=1e-4)


def test_each_step_comes_nearer_and_steps_past_the_solution_do_no_harm() -> None:
    extra_RC, rows, y_CD, _ = problem()
    exact = cholesky(rows, y_CD, gram(y_CD), None)
    start_RD, sums_C = np.zeros((40, WIDTH), np.float32), np.asarray(extra_RC.sum(axis=0), np.float32)
    far = [
        np.abs(conjugate_gradient(rows, start_RD, y_CD, None, column_sums=sums_C, num_steps=steps) - exact).max()
        for steps in (1, 3, 6, 200)
    ]
    assert far[0] > far[1] > far[2]
    assert far[3] < 1e-5


def test_rows_are_batched_longest_first_and_padded_with_the_column_after_the_last() -> None:
    extra_RC = csr_array(np.array([[0, 2, 0], [0, 0, 0], [1, 3, 4]], np.float32))
    (places, columns_BL, extra_BL), (others, *_) = Rows.of(extra_RC, np.ones(3), width=2**16).batches
    assert (places.tolist(), columns_BL.tolist(), extra_BL.tolist()) == ([2], [[0, 1, 2]], [[1, 3, 4]])
    assert others.tolist() == [0], "a row without entries is in no batch"
    ((_, columns_BL, extra_BL),) = Rows.of(extra_RC, np.ones(3), width=1).batches
    assert (columns_BL.tolist(), extra_BL.tolist()) == ([[0, 1, 2], [1, 3, 3]], [[1, 3, 4], [2, 0, 0]])


def test_steps_of_ridge_come_to_the_closed_form() -> None:
    rng = np.random.default_rng(4)
    features_RF = random_array((30, 6), density=0.5, rng=rng).tocsr().astype(np.float32)
    x_RD, importance_R = rng.normal(size=(30, 3)).astype(np.float32), rng.uniform(0, 2, 30).astype(np.float32)
    dense = features_RF.toarray().astype(np.float64)
    expected = np.linalg.solve(
        dense.T @ (importance_R[:, None] * dense) + 0.5 * np.eye(6), dense.T @ (importance_R[:, None] * x_RD)
    )
    start_FD = np.zeros((6, 3), np.float32)
    np.testing.assert_allclose(
        ridge(features_RF, x_RD, importance_R, start_FD, strength=0.5, num_steps=20), expected, rtol=1e-3, atol=1e-5
    )
