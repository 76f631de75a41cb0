"""Inverted lists: where items lie, what is searched, and how much of the exact best is found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bowerbird.models.barrier import Barrier
from bowerbird.models.inverted_lists import InvertedLists, k_means, nearest
from bowerbird.models.topk import top_k


def clustered(num: int, *, seed: int, width: int = 16, num_points: int = 40) -> NDArray[np.float32]:
    points = np.random.default_rng(0).normal(size=(num_points, width))
    rng = np.random.default_rng(seed)
    return (points[rng.integers(num_points, size=num)] + 0.5 * rng.normal(size=(num, width))).astype(np.float32)


def search(
    lists: InvertedLists, users_BD: NDArray[np.float32], items_ND: NDArray[np.float32], k: int, reach: float, bar: Barrier
) -> NDArray[np.int64]:
    items_DM = np.ascontiguousarray(items_ND[lists.codes_M].T)
    among = bar.among(lists.codes_M, len(items_ND))
    return lists.search(users_BD.astype(np.float64), items_DM, k, reach=reach, bar=among)


def test_two_heaps_get_a_centroid_each() -> None:
    items_MD = np.asarray([[0, 0], [0, 2], [10, 10], [10, 12], [10, 14]], np.float32)
    centroids_LD = k_means(items_MD, 2, generator=np.random.default_rng(1))
    assert sorted(centroids_LD.tolist()) == [[0, 1], [10, 12]]
    assert len(set(nearest(items_MD, centroids_LD)[:2])) == 1


def test_each_item_with_a_vector_is_in_one_list() -> None:
    items_ND = clustered(1000, seed=1)
    items_ND[[3, 500]] = 0
    lists = InvertedLists.of(items_ND, None, seed=1)
    assert sorted(lists.codes_M.tolist()) == sorted(set(range(1000)) - {3, 500})
    assert len(lists.centroids_LD) == 63 and lists.indptr[0] == 0 and lists.indptr[-1] == 998
    for begin, stop in zip(lists.indptr, lists.indptr[1:], strict=False):
        assert (np.diff(lists.codes_M[begin:stop]) > 0).all(), "within a list by code"


def test_the_same_seed_gives_the_same_lists() -> None:
    items_ND = clustered(500, seed=1)
    first, second, other = (InvertedLists.of(items_ND, 10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.centroids_LD, second.centroids_LD)
    np.testing.assert_array_equal(first.codes_M, second.codes_M)
    assert not np.array_equal(first.centroids_LD, other.centroids_LD)


def test_all_lists_together_give_the_exact_best_and_few_most_of_it() -> None:
    items_ND, users_BD = clustered(5000, seed=1), clustered(200, seed=2)
    lists = InvertedLists.of(items_ND, None, seed=1)
    exact_BK, _ = top_k(users_BD @ items_ND.T, 10)
    recalls = []
    for reach in (0.0, 2.0, np.inf):
        found_BK = search(lists, users_BD, items_ND, 10, reach, Barrier.none(200))
        recalls.append(np.mean([len(set(own) & set(true)) / 10 for own, true in zip(found_BK, exact_BK, strict=True)]))
    assert recalls[0] < recalls[1] < recalls[2] == 1
    assert recalls[1] > 0.9


def test_a_long_vector_is_found_though_it_is_far_from_all() -> None:
    items_ND = clustered(2000, seed=1)
    items_ND[7] = 5 * items_ND[8]
    lists = InvertedLists.of(items_ND, None, seed=1)
    found_BK = search(lists, items_ND[[8]], items_ND, 1, 3.0, Barrier.none(1))
    assert found_BK.tolist() == [[7]]


def test_what_is_barred_is_not_found() -> None:
    items_ND, users_BD = clustered(300, seed=1), clustered(3, seed=2)
    lists = InvertedLists.of(items_ND, 5, seed=1)
    exact_BK, _ = top_k(users_BD @ items_ND.T, 4)
    allowed_N = np.ones(300, bool)
    allowed_N[exact_BK[0, 1]] = False
    bar = Barrier(np.asarray([False, True, False]), np.asarray([0, 1, 2]), exact_BK[[0, 1, 2], [0, 0, 3]], allowed_N)
    found_BK = search(lists, users_BD, items_ND, 2, np.inf, bar)
    assert found_BK[0].tolist() == exact_BK[0, 2:].tolist()
    assert found_BK[1].tolist() == [-1, -1], "who is silenced is not searched for"
    assert exact_BK[2, 3] not in found_BK[2]


def test_a_list_is_searched_where_its_spread_reaches_the_best_centroid() -> None:
    items_ND = np.asarray([[10, 1], [10, -1], [4, 3], [4, -3]], np.float32)
    lists = InvertedLists.of(items_ND, 2, seed=1)
    order = np.argsort(-lists.centroids_LD[:, 0])
    assert lists.centroids_LD[order].tolist() == [[10, 0], [4, 0]]
    np.testing.assert_allclose(lists.spreads_L[order], [2.5**0.5, 4.5**0.5])  # (1 + 1 + 9 + 9) / 4 / 2 of all, 9 / 2 of one
    vectors_AD = np.asarray([[2.0, 0.0]])
    for reach, is_second in ((2.8, False), (2.9, True)):  # 8 + reach * 2 * 2.12 against 20
        is_probed_AL = lists.probed(vectors_AD, vectors_AD @ lists.centroids_LD.T.astype(float), reach=reach)
        assert is_probed_AL[0, order].tolist() == [True, is_second]


@pytest.mark.parametrize("num_items", [0, 1, 3])
def test_a_tiny_catalogue_has_tiny_lists(num_items: int) -> None:
    items_ND = clustered(3, seed=1)
    items_ND[num_items:] = 0
    lists = InvertedLists.of(items_ND, 10, seed=1)
    found_BK = search(lists, clustered(2, seed=2), items_ND, 5, np.inf, Barrier.none(2))
    assert (found_BK >= 0).sum(axis=1).tolist() == [num_items] * 2
