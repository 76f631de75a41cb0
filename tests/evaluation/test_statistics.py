"""Intervals, sign-flip tests and corrections, against exact values and simulated truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowerbird.errors import DataError
from bowerbird.evaluation import statistics
from bowerbird.evaluation.statistics import (
    Difference,
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    holm,
    minimum_detectable,
    paired_difference,
    paired_differences,
    sign_flip_p_value,
    users_needed,
)


def test_interval_is_the_normal_one_for_many_users():
    values = np.random.default_rng(1).normal(0.3, 0.2, 5000)
    found = bootstrap_interval(values, seed=1)
    half = 1.96 * values.std() / math.sqrt(5000)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_of_grouped_users_has_the_width_of_ungrouped_ones():
    values = np.random.default_rng(2).exponential(1, 90_001)
    found = bootstrap_interval(values, seed=2)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found.low < values.mean() < found.high


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).random(300)
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)


def test_blocks_of_random_numbers_do_not_change_the_figures(monkeypatch):
    values = np.random.default_rng(1).random(300)
    whole = bootstrap_interval(values, seed=5, num_samples=100), sign_flip_p_value(values - 0.5, seed=5)
    monkeypatch.setattr(statistics, "CELLS", 2400)
    assert (bootstrap_interval(values, seed=5, num_samples=100), sign_flip_p_value(values - 0.5, seed=5)) == whole


def test_several_figures_get_the_intervals_that_each_gets_alone():
    values = np.random.default_rng(1).random((200, 3))
    together = bootstrap_intervals(values, seed=4)
    alone = [bootstrap_interval(values[:, place], seed=4) for place in range(3)]
    assert together == alone


def test_one_user_and_equal_users_have_no_width():
    assert bootstrap_interval(np.asarray([0.3]), seed=1) == Interval(0.3, 0.3, 0.3)
    assert bootstrap_interval(np.full(40, 0.1), seed=1) == Interval(0.1, 0.1, 0.1)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(1).random(100)
    narrow, wide = bootstrap_interval(values, seed=1, level=0.8), bootstrap_interval(values, seed=1, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_no_user_and_a_missing_value_are_refused():
    with pytest.raises(DataError, match="no user"):
        bootstrap_interval(np.zeros(0), seed=1)
    with pytest.raises(DataError, match="1 values are not finite"):
        bootstrap_interval(np.asarray([0.1, np.nan]), seed=1)
    with pytest.raises(DataError, match="not finite: low"):
        Interval(0.1, float("nan"), 0.2)


def test_few_users_get_the_exact_p_value():
    # 0.1 + 0.2 + 0.3 = 0.6; of the 8 flips only +++ and --- reach it.
    assert sign_flip_p_value(np.asarray([0.1, 0.2, 0.3]), seed=1) == 2 / 8
    # 0.1 + 0.2 - 0.3 = 0: all flips reach it.
    assert sign_flip_p_value(np.asarray([0.1, 0.2, -0.3]), seed=1) == 1


def test_exact_p_value_agrees_with_enumeration_by_hand():
    differences = np.random.default_rng(7).normal(0.4, 1, 9)
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([-1, 1], repeat=9)]
    expected = np.mean(np.asarray(sums) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p_value(differences, seed=1) == expected


def test_sign_flips_are_the_permutation_test_of_paired_values():
    rng = np.random.default_rng(9)
    values = rng.random((8, 2))
    seen = abs((values[:, 0] - values[:, 1]).mean())
    permuted = [
        np.mean([row[place] - row[1 - place] for row, place in zip(values, places, strict=True)])
        for places in itertools.product([0, 1], repeat=8)
    ]
    expected = np.mean(np.abs(permuted) >= seen - 1e-12)
    assert sign_flip_p_value(values[:, 0] - values[:, 1], seed=1) == expected


def test_one_sided_p_value_counts_only_flips_as_low():
    # -0.1 - 0.2 + 0.3 = 0: of the 8 flips, those that give -0.6, -0.4, -0.2 and twice 0 are as low.
    assert sign_flip_p_value(np.asarray([-0.1, -0.2, 0.3]), side="below", seed=1) == 5 / 8
    assert sign_flip_p_value(np.asarray([-0.1, -0.2, -0.3]), side="below", seed=1) == 1 / 8
    assert sign_flip_p_value(np.asarray([0.1, 0.2, 0.3]), side="below", seed=1) == 1


def test_one_sided_p_value_is_half_the_other_where_the_sum_lies_below():
    differences = np.random.default_rng(8).normal(-0.3, 1, 60)
    both = sign_flip_p_value(differences, seed=1)
    assert sign_flip_p_value(differences, side="below", seed=1) == pytest.approx(both / 2, abs=0.003)
    assert sign_flip_p_value(-differences, side="below", seed=1) == pytest.approx(1 - both / 2, abs=0.003)


def test_random_flips_come_near_the_exact_p_value():
    differences = np.random.default_rng(8).normal(0.4, 1, 12)
    exact = sign_flip_p_value(differences, seed=1)
    assert sign_flip_p_value(differences, seed=1, num_flips=4000) == pytest.approx(exact, abs=0.03)


def test_p_value_is_never_zero_and_users_without_difference_change_nothing():
    differences = np.full(200, 0.1)
    assert sign_flip_p_value(differences, seed=1) == 1 / 10_001
    padded = np.concatenate([np.zeros(1000), np.random.default_rng(1).normal(0.1, 1, 300)])
    assert sign_flip_p_value(padded, seed=1) == sign_flip_p_value(padded[1000:], seed=1)


def test_models_that_do_not_differ_have_p_value_one():
    found = paired_difference(np.full(60, 0.2), np.full(60, 0.2), seed=1)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    assert (found.num_users, found.num_differing, found.users_needed) == (60, 0, None)


def test_a_clear_difference_is_told_from_chance_even_among_many_users():
    rng = np.random.default_rng(3)
    rival = rng.random(50_000)
    found = paired_difference(rival + rng.normal(0.01, 0.2, 50_000), rival, seed=1)
    assert 0 < found.low < 0.01 < found.high
    assert found.p_value == 1 / 10_001
    assert found.num_differing == 50_000


def test_a_model_compared_with_several_gets_what_it_gets_with_each_alone():
    rng = np.random.default_rng(4)
    candidate, rivals = rng.random(90), {"als": rng.random(90), "ease": rng.random(90)}
    together = paired_differences(candidate, rivals, seed=2)
    assert together == {label: paired_difference(candidate, rival, seed=2) for label, rival in rivals.items()}
    assert paired_differences(candidate, {}, seed=2) == {}


def test_series_of_other_users_are_refused():
    ours = pd.Series([0.1, 0.2], index=["ann", "ben"])
    with pytest.raises(DataError, match="different users"):
        paired_difference(ours, ours.iloc[::-1], seed=1)
    with pytest.raises(DataError, match="different users"):
        paired_difference(ours, np.zeros(3), seed=1)


def test_holm_agrees_with_a_row_worked_by_hand():
    # 0.01 * 4, 0.02 * 3 = 0.06, 0.03 * 2 = 0.06, 0.9.
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for raw, raised in zip(p_values, adjusted, strict=True):
        assert raw <= raised <= min(1, raw * len(p_values)) + 1e-12


def test_users_needed_agrees_with_a_row_worked_by_hand():
    # (1.959964 + 0.841621)^2 * 0.2^2 / 0.01^2 = 3139.6
    assert users_needed(0.2, 0.01) == 3140
    assert users_needed(0.2, -0.01) == 3140
    assert users_needed(0.2, 0) is None
    assert users_needed(0, 0) is None
    assert users_needed(1, 1e-300) is None


def test_the_smallest_difference_that_can_be_seen_takes_the_users_there_are():
    # 2.801585 * 0.2 / sqrt(3140) = 0.0099993
    assert minimum_detectable(0.2, 3140) == pytest.approx(0.0099993, abs=1e-7)
    assert users_needed(0.2, minimum_detectable(0.2, 500)) in (500, 501)
    assert Difference(0.02, 0, 0.04, 0.05, 500, 90, 0.2).detectable == minimum_detectable(0.2, 500)
    assert minimum_detectable(0, 500) == 0


def test_as_many_users_as_needed_prove_the_effect_in_four_of_five_runs():
    rng = np.random.default_rng(5)
    num_users = users_needed(0.2, 0.02)
    proven = [bootstrap_interval(rng.normal(0.02, 0.2, num_users), seed=run, num_samples=200).low > 0 for run in range(300)]
    assert np.mean(proven) == pytest.approx(0.8, abs=0.06)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 1000))
def test_difference_is_ordered_and_mirrors_when_the_models_change_places(values, seed):
    ours, theirs = np.asarray(values), np.zeros(len(values))
    found = paired_difference(ours, theirs, seed=seed, num_samples=50, num_flips=64)
    mirrored = paired_difference(theirs, ours, seed=seed, num_samples=50, num_flips=64)
    assert found.low <= found.high
    assert 0 < found.p_value <= 1
    assert mirrored.mean == pytest.approx(-found.mean, abs=1e-12)
    assert mirrored.low == pytest.approx(-found.high, abs=1e-11)
    assert mirrored.p_value == found.p_value
