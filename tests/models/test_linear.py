import numpy as np
import pytest
from scipy.sparse import csr_array

from bowerbird.models.linear import pack, spread_product, unpack


def test_a_matrix_comes_back_with_its_empty_columns() -> None:
    matrix = csr_array(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))
    assert unpack(pack(matrix, "m"), "m").toarray().tolist() == matrix.toarray().tolist()


def test_a_square_matrix_saved_without_its_width_still_reads() -> None:
    matrix = csr_array(np.array([[0.0, 2.0], [0.0, 0.0]]))
    arrays = {name: values for name, values in pack(matrix, "m").items() if name != "m.width"}
    assert unpack(arrays, "m").toarray().tolist() == matrix.toarray().tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_spread_product_is_the_product_with_nothing_where_it_is_not_above_0(dtype: type) -> None:
    rng = np.random.default_rng(0)
    left, right = (csr_array(rng.normal(size=shape) * (rng.random(shape) < 0.2)).astype(dtype) for shape in ((9, 30), (30, 40)))
    product = (left @ right).toarray()
    spread = spread_product(left, right)
    assert spread.dtype == dtype
    assert (spread == np.where(product > 0, product, -np.inf)).all()
    assert np.isneginf(spread_product(csr_array((2, 30)), right)).all()
