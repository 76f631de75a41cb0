"""Intervals of means, against Wilson's by hand, the normal ones, and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.evaluation import mean_intervals as intervals
from bowerbird.evaluation.mean_intervals import clustered_interval, mean_intervals
from bowerbird.evaluation.statistics import Interval, bootstrap_intervals

GAINS = 1 / np.log2(np.arange(2, 12))
"""NDCG@10 of a single target at each place."""


def found_by(num_users: int, num_samples: int, chance: float, kind: str) -> tuple[np.ndarray, float]:
    """Draw figures of users, one column a sample, and return the true mean beside them."""
    rng = np.random.default_rng(int(1000 * chance) + num_users)
    shape = (num_users, num_samples)
    is_hit = rng.random(shape) < chance
    if kind == "hit rate":
        return is_hit * 1.0, chance
    if kind == "ndcg":
        return is_hit * rng.choice(GAINS, shape), chance * GAINS.mean()
    places = np.arange(1, 11)
    weights = 1 / places / (1 / places).sum()
    return is_hit / rng.choice(places, shape, p=weights), chance * (weights / places).sum()


def share_held(found: list[Interval], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in found]))


@pytest.mark.parametrize("kind", ["hit rate", "ndcg", "mrr"])
@pytest.mark.parametrize(("num_users", "chance"), [(50, 0.03), (100, 0.01), (100, 0.03), (100, 0.1), (300, 0.03), (300, 0.3)])
def test_intervals_hold_the_truth_where_hits_are_rare(kind: str, num_users: int, chance: float):
    values, truth = found_by(num_users, 1500, chance, kind)
    found = list(mean_intervals(pd.DataFrame(values), bounded=range(1500)).values())
    assert 0.93 <= share_held(found, truth) <= 0.99, "above 0.975 only where a whole number of finds leaves no choice"
    if num_users * chance <= 3:
        simple = bootstrap_intervals(values[:, :300], num_samples=500, seed=1)
        assert share_held(simple, truth) < 0.9 if kind != "hit rate" or num_users * chance < 3 else True


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_intervals_of_figures_without_bounds_hold_the_truth_too(draw: str):
    values = getattr(np.random.default_rng(4), draw)(size=(100, 2000)) + (0 if draw == "exponential" else 1)
    assert share_held(list(mean_intervals(pd.DataFrame(values)).values()), 1.0) == pytest.approx(0.95, abs=0.02)


def test_shares_of_users_have_wilson_s_interval(monkeypatch: pytest.MonkeyPatch):
    # 3 of 100, z = 1.96: (0.03 + 0.0192 -+ 1.96 sqrt(0.0291 / 100 + 0.000096)) / 1.0384
    monkeypatch.setattr(intervals, "EXTRA", 0)
    monkeypatch.setattr(intervals, "stdtrit", lambda freedom, share: 1.959964)
    (found,) = mean_intervals(pd.DataFrame({"hit_rate": [1.0] * 3 + [0.0] * 97}), bounded=["hit_rate"]).values()
    assert (found.value, found.low, found.high) == (0.03, pytest.approx(0.01025, abs=1e-5), pytest.approx(0.08452, abs=1e-5))


def test_without_a_single_find_the_truth_may_still_be_above_0():
    users = pd.DataFrame({"ndcg": np.zeros(100), "price": np.zeros(100)})
    found = mean_intervals(users, bounded=["ndcg"])
    assert (found["ndcg"].low, found["ndcg"].value) == (0, 0)
    assert found["ndcg"].high == pytest.approx(1 - 0.05 ** (1 / 100), rel=0.5), "about three hits in as many users"
    assert (found["price"].low, found["price"].high) == (0, 0), "nothing is known of how far a price could go"


def test_many_users_get_the_normal_interval_and_a_scale_does_not_matter():
    values = np.random.default_rng(1).exponential(0.2, 5000)
    found = mean_intervals(pd.DataFrame({"once": values, "ten": 10 * values + 3}))
    half = 1.96 * values.std() / math.sqrt(5000)
    assert found["once"].high - found["once"].low == pytest.approx(2 * half, rel=0.01)
    assert found["once"].high + found["once"].low > 2 * found["once"].value, "skewed to the right, and so further to the right"
    assert found["ten"].low == pytest.approx(10 * found["once"].low + 3)
    assert found["ten"].high == pytest.approx(10 * found["once"].high + 3)


def test_what_is_found_and_what_is_not_found_have_mirrored_intervals():
    values = found_by(80, 1, 0.2, "ndcg")[0][:, 0]
    found = mean_intervals(pd.DataFrame({"found": values, "missed": 1 - values}), bounded=["found", "missed"])
    assert found["missed"].low == pytest.approx(1 - found["found"].high)
    assert found["missed"].high == pytest.approx(1 - found["found"].low)


def test_a_higher_level_gives_a_wider_interval():
    users = pd.DataFrame({"ndcg": np.random.default_rng(1).random(100)})
    narrow, wide = (mean_intervals(users, bounded=["ndcg"], level=level)["ndcg"] for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_figure_that_some_users_lack_is_bounded_over_those_who_have_it():
    rng = np.random.default_rng(5)
    users = pd.DataFrame({"ndcg": rng.random(400), "price_spread": np.where(rng.random(400) < 0.5, rng.random(400), np.nan)})
    found = mean_intervals(users.assign(nothing=np.nan))
    assert list(found) == ["ndcg", "price_spread"]
    alone = mean_intervals(users[["price_spread"]].dropna())["price_spread"]
    assert vars(found["price_spread"]) == pytest.approx(vars(alone))


def test_of_a_single_user_nothing_is_known_but_the_bounds():
    found = mean_intervals(pd.DataFrame({"ndcg": [0.3], "novelty": [7.0]}), bounded=["ndcg"])
    assert found["ndcg"].low < 0.2 and found["ndcg"].high > 0.95
    assert found["novelty"] == Interval(7, 7, 7)


def test_no_user_and_an_infinite_value_are_refused():
    with pytest.raises(DataError, match="no user"):
        mean_intervals(pd.DataFrame({"ndcg": []}))
    with pytest.raises(DataError, match="1 values are not finite"):
        mean_intervals(pd.DataFrame({"ndcg": [0.1, np.inf]}))


def test_a_share_of_targets_counts_targets_and_its_interval_users():
    # 1 of 2, 0 of 1 and 9 of 10 targets are found: 10 of 13, not the mean of 0.5, 0 and 0.9.
    found = clustered_interval(np.asarray([1.0, 0, 9]), np.asarray([2.0, 1, 10]))
    assert found.value == pytest.approx(10 / 13)
    # residuals -0.124, -0.178, 0.302, and a quarter of a user at 0 and at 1: squares 0.299, cubes -0.091; t^2 / 3 = 6.17
    assert (found.low, found.high) == pytest.approx((0.318, 0.959), abs=1e-3)
    with pytest.raises(DataError, match="no targets"):
        clustered_interval(np.asarray([0.0]), np.asarray([0.0]))


def test_a_share_of_targets_of_users_with_one_each_is_the_mean_over_users():
    values = found_by(200, 1, 0.1, "hit rate")[0][:, 0]
    alone = mean_intervals(pd.DataFrame({"recall": values}), bounded=["recall"])["recall"]
    assert vars(clustered_interval(values, np.ones(200))) == pytest.approx(vars(alone))


def test_targets_of_one_user_that_are_alike_make_the_interval_wider():
    rng = np.random.default_rng(6)
    is_found = np.repeat(rng.random(400) < 0.3, 10).astype(float)  # 400 users, of each all 10 targets or none
    by_user = clustered_interval(is_found.reshape(400, 10).sum(axis=1), np.full(400, 10.0))
    as_if_independent = clustered_interval(is_found, np.ones(4000))
    assert by_user.value == as_if_independent.value
    ratio = (by_user.high - by_user.low) / (as_if_independent.high - as_if_independent.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.02)


def test_unequal_numbers_of_targets_hold_the_truth():
    rng = np.random.default_rng(8)
    held = []
    for _ in range(1000):
        counts = rng.integers(1, 30, 120)
        chances = rng.beta(0.5, 4.5, 120)
        found = clustered_interval(rng.binomial(counts, chances).astype(float), counts.astype(float))
        held.append(found.low <= 0.1 <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)
