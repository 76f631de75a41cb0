from __future__ import annotations

from math import log, sqrt

import numpy as np
import pandas as pd
import pytest

from bowerbird.models.features import FeatureWeights, feature_matrix, known_rows

EQUAL = FeatureWeights(text_weight=1, category_weight=1, number_weight=1, num_bins=2)


def rows(weights: FeatureWeights = EQUAL, **columns: list[object]) -> list[list[float]]:
    return feature_matrix(pd.DataFrame(columns), weights)[0].toarray().tolist()


def test_a_text_is_weighed_by_tf_idf_and_has_length_1() -> None:
    assert rows(title=["tea tea pot", "cup pot"]) == [[0, 0, 1], [1, 0, 0]], "cup, pot, tea: both have a pot, it counts nothing"
    three = rows(title=["tea tea pot", "cup pot", "cup"])[0]
    tea, pot = (1 + log(2)) * log(4 / 2), log(4 / 3)
    assert three == pytest.approx([0.0, pot / sqrt(tea**2 + pot**2), tea / sqrt(tea**2 + pot**2)])


def test_each_kind_of_column_weighs_what_it_is_told() -> None:
    weights = FeatureWeights(text_weight=3, category_weight=4, number_weight=0, num_bins=2)
    (first, _) = rows(weights, title=["tea", "cup"], categories=[["x"], ["y"]], price=[1.0, 2.0])
    assert first == pytest.approx([0.0, 0.6, 0.8, 0.0, 0.0, 0.0])


def test_lists_and_texts_with_borders_are_sets_of_categories() -> None:
    lists = rows(categories=[["a", "b", "a"], ["a"], None])
    assert rows(genres=["a|b", " a ; a", None]) == lists
    assert rows(tags=[np.asarray(["b", "a"], object), ("a",), None]) == lists
    assert lists[2] == [0.0, 0.0]


def test_numbers_fall_into_bins_that_hold_equally_many() -> None:
    assert rows(price=[1, 2, 30, 4000]) == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert rows(price=[1.0, np.nan, np.inf, 7.0])[1:3] == [[0, 0], [0, 0]]


def test_features_are_named_after_their_columns_and_what_they_stand_for() -> None:
    table = pd.DataFrame({"title": ["tea pot", "pot"], "genres": ["a|b", None], "price": [1.0, 30.0], "is_new": [True, False]})
    _, names = feature_matrix(table, EQUAL)
    words = ["title: pot", "title: tea", "genres: a", "genres: b"]
    assert names == [*words, "price: below 15.5", "price: 15.5 and above", "is_new: False", "is_new: True"]
    _, names = feature_matrix(pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0]}), FeatureWeights(num_bins=4))
    assert names == ["price: below 1.75", "price: 1.75 to 2.5", "price: 2.5 to 3.25", "price: 3.25 and above"]


def test_what_all_rows_share_says_nothing() -> None:
    matrix = rows(title=["tea"] * 3, categories=[["x"]] * 3, price=[5] * 3, is_new=[True] * 3)
    assert not np.any(matrix)


def test_times_and_empty_columns_are_left_out() -> None:
    when = pd.to_datetime(["2026-01-01", "2026-01-02"])
    assert rows(created_at=["2026-01-01", "2026-01-02"], seen=list(when), brand=[None, None]) == [[], []]


def test_vectors_of_texts_are_left_out_and_semantic_ids_are_categories() -> None:
    vectors = [np.asarray([0.1, 0.2], np.float32), [0.3, 0.4]]
    table = pd.DataFrame({"text_vector": vectors, "semantic_id": [["0:1", "1:7"], ["0:2", "1:7"]]})
    assert feature_matrix(table, EQUAL)[1] == ["semantic_id: 0:1", "semantic_id: 0:2", "semantic_id: 1:7"]


def test_repeated_ids_give_their_last_row_and_later_items_are_not_known() -> None:
    times = ["2026-01-01", None, None, "2026-01-09T00:00:00Z"]
    table = pd.DataFrame({"item_id": ["a", "b", "b", "c"], "price": [1, 2, 3, 4], "created_at": times})
    known = known_rows(table, "item_id", until=int(pd.Timestamp("2026-01-05").timestamp() * 1e6))
    assert known["price"].to_dict() == {"a": 1, "b": 3}


def test_as_one_text_words_pairs_and_categories_weigh_by_rarity_alone() -> None:
    weights = FeatureWeights(text_weight=2, category_weight=None, number_weight=0)
    table = pd.DataFrame({"title": ["a b", "a"], "tags": [["k"], ["l"]]})
    matrix, names = feature_matrix(table, weights)
    assert names == ["title: a", "title: a b", "title: b", "tags: k", "tags: l"]
    third = 1 / np.sqrt(3)  # a is in all titles and counts nothing; the pair, b and k are in one row each
    np.testing.assert_allclose(matrix.toarray(), [[0, third, third, third, 0], [0, 0, 0, 0, 1]])


def test_as_one_text_rarity_is_taken_to_the_power_of_three_halves() -> None:
    weights = FeatureWeights(category_weight=None)
    row = feature_matrix(pd.DataFrame({"tags": [["k", "l"], ["k"], ["m"]]}), weights)[0].toarray()[0]
    assert row[0] / row[1] == pytest.approx((np.log(4 / 3) / np.log(4 / 2)) ** 1.5)
