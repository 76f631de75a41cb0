"""Costs against the formula written out, and what they cost on sets too large to check by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bowerbird.ranking.diversity import SMOOTHING, Calibration, ValueDiversity, VectorDiversity, unit_vectors

VALUES_NW = np.asarray([[0, -1], [1, 2], [0, 1], [-1, -1], [2, -1]], np.int32)
KINDS = [{0}, {1, 2}, {0, 1}, set(), {2}]


def divergence(past: list[float], listed: list[int]) -> float:
    """KL(p, q) of Steck, equation 3 and 5, with each value of an item counted for its part."""
    counted = [item for item in listed if KINDS[item]]
    total = 0.0
    for value, p in enumerate(past):
        q = sum(1 / len(KINDS[item]) for item in counted if value in KINDS[item]) / max(len(counted), 1)
        if p > 0:
            total += p * math.log(p / ((1 - SMOOTHING) * q + SMOOTHING * p))
    return total


@given(
    past=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    listed=st.lists(st.integers(0, 4), max_size=4),
)
def test_calibration_costs_the_divergence_of_the_list_with_the_candidate(past: list[int], listed: list[int]) -> None:
    shares = [value / (sum(past) or 1) for value in past]
    codes_UC = np.arange(5)[None, :]
    cost = Calibration(codes_UC, VALUES_NW, np.asarray([shares]), strength=0.5)
    for item in listed:
        cost.add(np.asarray([item]))
    expected = [divergence(shares, [*listed, candidate]) for candidate in range(5)]
    np.testing.assert_allclose(cost.costs()[0], expected, atol=1e-12)


def test_diversity_costs_the_likeness_to_the_most_alike_of_the_list() -> None:
    cost = ValueDiversity(np.arange(5)[None, :], VALUES_NW, strength=0.5)
    assert cost.costs().tolist() == [[0] * 5]
    cost.add(np.asarray([2]))
    np.testing.assert_allclose(cost.costs()[0], [1 / math.sqrt(2), 0.5, 1, 0, 0])
    cost.add(np.asarray([-1]))
    cost.add(np.asarray([4]))
    np.testing.assert_allclose(cost.costs()[0], [1 / math.sqrt(2), 1 / math.sqrt(2), 1, 0, 1])


def test_vectors_cost_their_cosine_and_opposite_ones_nothing() -> None:
    vectors = unit_vectors(np.asarray([[3.0, 0], [0, 2], [1, 1], [-5, 0], [0, 0]]))
    cost = VectorDiversity(np.arange(5)[None, :], vectors, strength=0.5)
    cost.add(np.asarray([0]))
    np.testing.assert_allclose(cost.costs()[0], [1, 0, 1 / math.sqrt(2), 0, 0], atol=1e-6)


@pytest.mark.parametrize(("strength", "weight"), [(0.0, 0.0), (0.5, 1.0), (0.75, 3.0)])
def test_strength_is_lambda_over_its_rest(strength: float, weight: float) -> None:
    cost = ValueDiversity(np.arange(5)[None, :], VALUES_NW, strength=strength)
    cost.add(np.asarray([0]))
    assert cost.costs()[0, 0] == weight
