"""How often chance gets through the whole choice, and a true gain does: benchmarks/gate_simulation.py, whose truth is known.

A rate p in n repetitions is known to about 2 sqrt(p (1 - p) / n): 0.7 points for 2.5 % in 2,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.gate_simulation import (
    GAINS,
    LIFTS,
    blocked_slices,
    chances,
    coverage,
    no_difference,
    power,
    truth,
    window,
)


def test_the_simulated_users_have_the_truth_that_is_claimed():
    rng = np.random.default_rng(1)
    values = window(rng, chances(rng, 200_000), LIFTS | {"better": 0.5})
    differences = values["better"] - values["champion"]
    effect, deviation = truth(0.5)
    assert differences.mean() == pytest.approx(effect, abs=3 * deviation / math.sqrt(200_000))
    assert differences.std() == pytest.approx(deviation, rel=0.01)
    assert values["champion"].mean() == pytest.approx(0.2 * GAINS.mean(), rel=0.02)
    assert (values["champion"] == 0).mean() == pytest.approx(0.8, abs=0.01)


def test_chance_is_promoted_seldom_and_a_true_gain_mostly_in_a_few_repetitions():
    assert no_difference(80)["promote"] <= 0.06
    assert power(80)["promoted"] == pytest.approx(0.8, abs=0.12)
    assert blocked_slices(100, max_loss=0.1) <= 0.09


@pytest.mark.slow
def test_at_no_true_difference_a_change_is_promoted_no_more_often_than_the_level_says():
    found = no_difference(2000)
    assert 0.018 <= found["promote"] <= 0.025 + 0.007
    assert found["reject"] <= 0.025 + 0.007
    assert found["hold"] == pytest.approx(1 - found["promote"] - found["reject"])


@pytest.mark.slow
def test_choosing_on_the_test_window_lets_chance_through_five_times_as_often():
    found = no_difference(1000, choose_on_test=True)
    assert found["promote"] == pytest.approx(0.125, abs=2.5 * math.sqrt(0.125 * 0.875 / 1000))


@pytest.mark.slow
def test_power_is_what_is_claimed():
    found = power(1000)
    assert found["nominated"] > 0.95
    assert found["promoted"] == pytest.approx(0.8, abs=2.5 * math.sqrt(0.8 * 0.2 / 1000))


@pytest.mark.slow
@pytest.mark.parametrize("max_loss", [0.0, 0.1])
def test_ten_slices_without_too_great_a_loss_block_at_most_one_run_in_twenty(max_loss):
    assert blocked_slices(1000, max_loss=max_loss) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)
    assert blocked_slices(500, max_loss=max_loss, corrected=False) > 0.3, "ten looks at 5 % each are not one"


@pytest.mark.slow
def test_intervals_of_skewed_values_that_are_mostly_zero_hold_the_truth():
    for num_users, share_found in ((300, 0.3), (1000, 0.1)):
        for held in coverage(2000, num_users=num_users, share_found=share_found):
            assert held == pytest.approx(0.95, abs=0.015)
    mean, by_bootstrap, difference = coverage(2000, num_users=100, share_found=0.03)
    assert 0.93 <= mean <= 0.975
    assert by_bootstrap < 0.9, "why the simple one was given up for means"
    assert difference == pytest.approx(0.95, abs=0.02)
