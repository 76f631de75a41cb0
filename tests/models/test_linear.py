import numpy as np
from scipy.sparse import csr_array

from bowerbird.models.linear import pack, unpack


def test_a_matrix_comes_back_with_its_empty_columns() -> None:
    matrix = csr_array(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))
    assert unpack(pack(matrix, "m"), "m").toarray().tolist() == matrix.toarray().tolist()


def test_a_square_matrix_saved_without_its_width_still_reads() -> None:
    matrix = csr_array(np.array([[0.0, 2.0], [0.0, 0.0]]))
    arrays = {name: values for name, values in pack(matrix, "m").items() if name != "m.width"}
    assert unpack(arrays, "m").toarray().tolist() == matrix.toarray().tolist()
