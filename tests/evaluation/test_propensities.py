"""Thompson propensities against closed forms, counted policies, and the reward model by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bowerbird.errors import DataError
from bowerbird.evaluation.propensities import same_for_all, share_by_position, thompson_propensities
from bowerbird.evaluation.reward_model import NUM_FOLDS, PRIOR, fit_rewards


def test_equal_items_are_shown_equally_often() -> None:
    found = thompson_propensities(np.full(4, 3.0), np.full(4, 9.0), num_positions=2, num_samples=40_000, seed=1)
    assert found.shape == (4, 2)
    assert found == pytest.approx(0.25, abs=0.01)


def test_two_items_stand_first_as_often_as_the_integral_says() -> None:
    """P(Beta(2, 1) > Beta(1, 1)) is the mean of Beta(2, 1), 2/3: the second one is uniform."""
    found = thompson_propensities(np.asarray([2.0, 1.0]), np.ones(2), num_positions=2, num_samples=100_000, seed=2)
    assert found[:, 0] == pytest.approx([2 / 3, 1 / 3], abs=0.006)
    assert found[:, 1] == pytest.approx([1 / 3, 2 / 3], abs=0.006), "who is not first is second"


def test_what_was_never_drawn_gets_the_floor() -> None:
    found = thompson_propensities(np.asarray([900.0, 1.0]), np.asarray([100.0, 999.0]), num_positions=1, num_samples=500, seed=1)
    assert found[:, 0].tolist() == [1.0, 0.001]


def test_the_same_seed_gives_the_same_propensities() -> None:
    one, same, other = (
        thompson_propensities(np.asarray([2.0, 3.0]), np.ones(2), num_positions=1, num_samples=1000, seed=seed)
        for seed in (1, 1, 2)
    )
    assert (one == same).all() and (one != other).any()


@pytest.mark.parametrize(
    ("alphas", "num_positions", "message"), [([0.0, 1.0], 1, "above 0"), ([1.0, 1.0], 3, "3 positions for 2 items")]
)
def test_impossible_samplers_are_refused(alphas: list[float], num_positions: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        thompson_propensities(np.asarray(alphas), np.ones(2), num_positions=num_positions, seed=1)


def test_shares_are_counted_by_position() -> None:
    shares = share_by_position(np.asarray([0, 0, 0, 1]), np.asarray([0, 0, 1, 1]), num_positions=3, num_items=2)
    assert shares == pytest.approx(np.asarray([[2 / 3, 1 / 3], [0, 1], [0.5, 0.5]])), "nothing is known of the third position"


def test_each_fold_is_predicted_by_the_others_alone() -> None:
    """Fold 0 has clicked everything, the rest nothing: fold 0 expects nothing, and the others something."""
    folds = np.repeat(np.arange(NUM_FOLDS), 20)
    rewards = (folds == 0).astype(np.float64)
    model = fit_rewards(folds, np.zeros(100, int), np.zeros(100, int), rewards, num_positions=1, num_items=1)
    assert model.predict(np.asarray([0, 1]), np.zeros(2, int), np.zeros(2, int)) == pytest.approx([0, 20 / 80])


def test_rates_and_lifts_are_what_the_formula_says() -> None:
    """Of item 0's 40 impressions 30 are clicked, of item 1's 40 ten; the rate of the position is one half."""
    folds = np.full(80, 1)
    items = np.repeat([0, 1], 40)
    rewards = np.concatenate([np.arange(40) < 30, np.arange(40) < 10]).astype(np.float64)
    model = fit_rewards(folds, np.zeros(80, int), items, rewards, num_positions=2, num_items=3)
    assert model.rates_FP[0] == pytest.approx([0.5, 0.5]), "a position without impressions has the mean of all"
    assert model.lifts_FI[0] == pytest.approx([(30 + PRIOR) / (20 + PRIOR), (10 + PRIOR) / (20 + PRIOR), 1])
    assert model.baseline(np.asarray([[0.5, 0.5, 0], [0, 0, 1]]))[0] == pytest.approx([0.5, 0.5])


def test_a_policy_for_all_is_put_beside_a_log() -> None:
    table = np.asarray([[0.9, 0.1], [0.2, 0.8]])
    positions, items = np.asarray([0, 1, 1]), np.asarray([1, 1, 0])
    log = same_for_all(table, positions, items, np.zeros(3), np.full(3, 0.5))
    assert log.targets.tolist() == [0.1, 0.8, 0.2]
    assert log.predicted == pytest.approx(0) and log.baselines == pytest.approx(0), "nothing was clicked"
