"""How fast a model gets worse, on figures whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.evaluation.aging import advice, age_curve

USERS = pd.Index([f"u{place:03d}" for place in range(200)], name="user_id")


def fresh(seed: int) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).random(len(USERS)), USERS)


def test_loss_is_taken_user_by_user_against_the_same_windows() -> None:
    """The second window is twice as easy; a model that is older there by design would look better, if windows were mixed."""
    windows = {"easy": fresh(1) + 1.0, "hard": fresh(2)}
    aged = {7.0: {"easy": windows["easy"] - 0.1, "hard": windows["hard"] - 0.1}, 14.0: {"easy": windows["easy"] - 0.2}}

    week, fortnight = age_curve(windows, aged, seed=1)

    assert (week.days, week.num_windows, fortnight.num_windows) == (7.0, 2, 1)
    assert week.mean == pytest.approx(-0.1) and fortnight.mean == pytest.approx(-0.2)
    assert week.fresh == pytest.approx((windows["easy"].mean() + windows["hard"].mean()) / 2)
    assert fortnight.fresh == pytest.approx(windows["easy"].mean())
    assert week.shares is not None and week.shares[0] == pytest.approx(-0.1 / week.fresh)
    assert week.is_worse and fortnight.is_worse


def test_a_user_of_two_windows_counts_once() -> None:
    half = USERS[:100]
    windows = {"one": fresh(1), "two": fresh(2)[half]}

    (point,) = age_curve(windows, {7.0: {"one": windows["one"], "two": windows["two"] - 1.0}}, seed=1)

    assert point.num_users == 200
    assert point.mean == pytest.approx(-0.25)  # half of the users lose 1 in one of their two windows


def test_noise_alone_gives_no_advice_but_a_bound() -> None:
    noise = np.random.default_rng(5).normal(0, 0.2, len(USERS))
    points = age_curve({"one": fresh(1)}, {7.0: {"one": fresh(1) + noise - noise.mean()}}, seed=1)

    told = advice("ease", points)

    assert not points[0].is_worse
    assert "cannot tell" in told and "is not ruled out" in told and "7 days" in told


def test_chance_findings_among_many_ages_are_adjusted_for() -> None:
    """A loss with a p value of about 0.03 is a finding alone, and none as the best of eleven ages."""
    noise = np.random.default_rng(5).normal(0, 0.2, len(USERS))
    loss = {"one": fresh(1) + noise - noise.mean() - 0.2 * 2.2 / np.sqrt(len(USERS))}
    nothing = {float(days): {"one": fresh(1)} for days in range(8, 18)}

    (alone,) = age_curve({"one": fresh(1)}, {7.0: loss}, seed=1)
    first, *_ = age_curve({"one": fresh(1)}, {7.0: loss, **nothing}, seed=1)

    assert alone.is_worse and 0.01 < alone.p_value < 0.05
    assert first.high < 0 and not first.is_worse and first.p_value == alone.p_value
    assert not age_curve({"one": fresh(1)}, {7.0: loss}, level=0.99, seed=1)[0].is_worse


def test_advice_names_the_first_age_that_is_proven_worse() -> None:
    windows = {"one": fresh(1)}
    points = age_curve(
        windows,
        {7.0: {"one": windows["one"]}, 14.0: {"one": windows["one"] - 0.1}, 28.0: {"one": windows["one"] - 0.3}},
        seed=1,
    )

    told = advice("ease", points)

    assert told.startswith("ease: retrain at least every 14 days. After that it is ")
    assert f"{0.1 / windows['one'].mean():.1%}" in told and "at 7 days it is not measurably so" in told


def test_advice_says_where_the_shortest_age_is_already_too_long() -> None:
    windows = {"one": fresh(1)}
    points = age_curve(windows, {1.0: {"one": windows["one"] - 0.1}}, seed=1)

    assert "at least every 1 day." in advice("ease", points) and "no shorter age was looked at" in advice("ease", points)


def test_nothing_is_claimed_of_one_cut_off_or_of_a_model_that_finds_nothing() -> None:
    nothing = pd.Series(0.0, USERS)

    assert "tells nothing of age" in advice("ease", ())
    assert "cannot be judged" in advice("ease", age_curve({"one": nothing}, {7.0: {"one": nothing}}, seed=1))


def test_other_users_are_refused() -> None:
    with pytest.raises(DataError, match="different users"):
        age_curve({"one": fresh(1)}, {7.0: {"one": fresh(1)[USERS[:50]]}}, seed=1)
