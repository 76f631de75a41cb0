"""What is known of items: features and text vectors, whole, in part, not at all, and broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.models.descriptions import Descriptions, TowerConfig

IDS = np.asarray([1, 2, 3])


def describe(vectors: list[Any], **columns: list[Any]) -> Descriptions:  # Any: a vector or None
    table = pd.DataFrame({"item_id": IDS[: len(vectors)], "text_vector": pd.Series(vectors, dtype=object), **columns})
    return Descriptions.of(table, IDS, TowerConfig(), until=0)


def test_text_vectors_are_centred_and_have_length_1_and_missing_ones_are_0() -> None:
    texts = describe([[2.0, 0.0], None, np.asarray([0.0, 3.0], np.float32)]).texts
    half = 0.5**0.5
    np.testing.assert_allclose(texts, [[half, -half], [0, 0], [-half, half]], atol=1e-6)
    assert texts.dtype == np.float32


def test_texts_that_are_all_equal_say_nothing() -> None:
    assert not describe([[0.3, 0.4, 0.1]] * 3).texts.any()


@pytest.mark.parametrize("vectors", [[None, None, None], [[], [], []], [float("nan")] * 3])
def test_a_column_without_vectors_is_none(vectors: list[Any]) -> None:
    assert not describe(vectors).texts.any()


def test_items_beyond_the_table_have_no_description_and_no_items_have_none() -> None:
    known = describe([[1.0, 0.0], [0.0, 1.0]], title=["red lip", "blue nail"])
    assert known.texts[:2].any(axis=1).all() and not known.texts[2].any()
    assert np.diff(known.features.indptr).tolist() == [2, 2, 0]
    nothing = Descriptions.of(None, IDS, TowerConfig(), until=0)
    assert nothing.features.shape == (3, 0) and nothing.texts.shape == (3, 0)
    assert known.select(np.asarray([1])).texts.tolist() == known.texts[[1]].tolist()


def test_vectors_of_several_lengths_are_named() -> None:
    with pytest.raises(DataError, match="vectors of 2 and of 3 numbers"):
        describe([[1.0, 0.0], [1.0, 0.0, 0.0], None])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_is_named_by_its_item(bad: float) -> None:
    with pytest.raises(DataError, match="item 2"):
        describe([[1.0, 0.0], [bad, 0.0], None])
