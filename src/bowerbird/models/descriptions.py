"""What is known of items besides their ids, for models with an items' tower: features and text vectors.

Text vectors (column ``text_vector``, see ``bowerbird.text``) are centred on the mean of all and brought to length 1: what all
texts share tells no item from another. Shapes: N items, F features, T numbers of a text vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from bowerbird.columns import ITEM_ID, TEXT_VECTOR
from bowerbird.data.interactions import Ids
from bowerbird.errors import DataError
from bowerbird.models.features import FeatureWeights, feature_matrix, known_rows

SMALLEST = 1e-6
"""What is left of a text vector of length 1 by rounding, when the mean of equal ones is taken off."""


class TowerConfig(FeatureWeights):
    """How an items' tower puts ids and descriptions together; descriptions are weighed as in ``content``."""

    id_dropout: float = Field(default=0.1, ge=0, le=0.9)
    """Share of the described items, drawn anew for each batch, that go by their description alone, so that new items can."""
    max_delta: float = Field(default=1.0, ge=0, le=100)
    """The longest that the id's part of a vector may be where there is a text, as a share of what the description says."""


@dataclass(frozen=True, eq=False)
class Descriptions:
    """Features [N, F] and text vectors float32 [N, T]; rows of length 1, or 0 where nothing is known."""

    features: csr_array
    texts: NDArray[np.float32]

    @classmethod
    def of(cls, items: pd.DataFrame | None, ids: Ids, weights: FeatureWeights, *, until: int) -> Descriptions:
        """Describe the items ``ids`` by their rows, which may lack, of a table; rows created after ``until`` do not count.

        Raises DataError for text vectors of several lengths or with numbers that are not finite.
        """
        if items is None:
            return cls(csr_array((len(ids), 0), dtype=np.float32), np.zeros((len(ids), 0), np.float32))
        table = known_rows(items, ITEM_ID, until=until).reindex(ids)
        texts = text_vectors(table[TEXT_VECTOR]) if TEXT_VECTOR in table else np.zeros((len(ids), 0), np.float32)
        return cls(feature_matrix(table, weights)[0].astype(np.float32), texts)

    @property
    def both(self) -> tuple[csr_array, NDArray[np.float32]]:
        """Features and text vectors, as a tower takes them."""
        return self.features, self.texts

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Tell which items are described at all; bool [N]."""
        is_known_N: NDArray[np.bool_] = (np.diff(self.features.indptr) > 0) | self.texts.any(axis=1)
        return is_known_N

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:  # Any: of several types
        """All there is, as arrays."""
        return self.features.data, self.features.indices, self.features.indptr, self.texts

    def select(self, codes: NDArray[np.int64]) -> Descriptions:
        """Take some items, in that order."""
        return Descriptions(self.features[codes], self.texts[codes])


def text_vectors(column: pd.Series[Any]) -> NDArray[np.float32]:  # Any: a list or an array of numbers, or missing
    """Turn a column of vectors into rows of length 1, or 0 where there is none or all are equal; [N, T]. Raises DataError."""
    given = {row: cell for row, cell in enumerate(column) if isinstance(cell, list | tuple | np.ndarray) and len(cell)}
    sizes = sorted({len(cell) for cell in given.values()})
    if len(sizes) > 1:
        raise DataError(
            f"the column {TEXT_VECTOR!r} has vectors of {sizes[0]} and of {sizes[-1]} numbers",
            next_step="encode all texts with one model",
        )
    vectors_NT = np.zeros((len(column), sizes[0] if sizes else 0))
    for row, cell in given.items():
        vectors_NT[row] = cell
    rows = np.asarray(list(given), np.int64)
    if not np.isfinite(vectors_NT).all():
        bad = column.index[np.flatnonzero(~np.isfinite(vectors_NT).all(axis=1))[0]]
        raise DataError(f"the text vector of item {bad!r} holds numbers that are not finite", next_step="encode its text anew")
    vectors_NT[rows] = _unit(vectors_NT[rows])
    vectors_NT[rows] = _unit(vectors_NT[rows] - vectors_NT[rows].sum(axis=0) / max(len(rows), 1))
    return vectors_NT.astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > SMALLEST, vectors / np.maximum(norms, SMALLEST), 0.0)
