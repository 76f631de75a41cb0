import numpy as np
import pytest

from bowerbird.models.topk import top_k


def test_best_come_first_and_equal_scores_by_item_code() -> None:
    codes, values = top_k(np.asarray([[1.0, 3.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]]), 3)
    assert codes.tolist() == [[1, 3, 2], [0, 1, 2]]
    assert values.tolist() == [[3, 3, 2], [5, 5, 5]]


def test_what_is_minus_infinite_is_never_chosen() -> None:
    codes, values = top_k(np.asarray([[-np.inf, 0.0, -np.inf], [-np.inf] * 3]), 2)
    assert codes.tolist() == [[1, -1], [-1, -1]]
    assert values.tolist() == [[0, -np.inf], [-np.inf, -np.inf]]


@pytest.mark.parametrize("num_items", [1, 6, 500])
def test_what_is_no_number_is_never_chosen(num_items: int) -> None:
    scores_BN = np.random.default_rng(0).random((30, num_items))
    hidden_BN = np.random.default_rng(1).random(scores_BN.shape) < 0.3
    codes, values = top_k(np.where(hidden_BN, np.nan, scores_BN), 4)
    expected_codes, expected_values = top_k(np.where(hidden_BN, -np.inf, scores_BN), 4)
    assert (codes == expected_codes).all()
    assert (values == expected_values).all()


def test_k_beyond_the_items_gives_all_items() -> None:
    assert top_k(np.asarray([[1.0, 2.0]]), 5)[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_to_choose_from_gives_nothing(rows: int) -> None:
    assert top_k(np.zeros((rows, 0)), 5)[0].shape == (rows, 0)
    assert top_k(np.zeros((0, 3)), 2)[0].shape == (0, 2)


@pytest.mark.parametrize("num_items", [1, 31, 32, 33, 703, 5000])
@pytest.mark.parametrize("k", [1, 10, 50])
@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_give_what_a_full_stable_sort_gives(num_items: int, k: int, levels: int, dtype: type) -> None:
    rng = np.random.default_rng(num_items + k + levels)
    scores_BN = rng.integers(-levels, levels, (40, num_items)).astype(dtype)
    scores_BN[rng.random(scores_BN.shape) < rng.random((40, 1))] = -np.inf
    order_BK = np.argsort(-scores_BN, axis=1, kind="stable")[:, :k]
    values_BK = np.take_along_axis(scores_BN, order_BK, axis=1)
    codes, values = top_k(scores_BN, k)
    assert (codes == np.where(np.isneginf(values_BK), -1, order_BK)).all()
    assert (values == values_BK).all()
