"""Propensities are the probabilities with which items are shown: counted over many users."""

from __future__ import annotations

import numpy as np
import pytest

from bowerbird.ranking.exploration import explore, probabilities, uniform_draws

NUM_USERS = 40_000


def shown(num_places: int, num_next: int, share: float, *, pinned: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Explore the list 0, 1, 2, ... for many users."""
    chosen_UL = np.tile(np.arange(num_places + num_next), (NUM_USERS, 1))
    is_pinned_UL = chosen_UL == (-1 if pinned is None else pinned)
    draws_UX = uniform_draws(np.asarray([f"u{user}" for user in range(NUM_USERS)]), 2 * num_places + num_next, seed=3, at=5)
    return explore(chosen_UL, is_pinned_UL, num_places=num_places, share=share, draws_UX=draws_UX)


@pytest.mark.parametrize(("num_places", "num_next"), [(3, 5), (3, 3), (4, 2), (2, 1), (1, 4)])
def test_items_are_shown_as_often_as_their_propensity_says(num_places: int, num_next: int) -> None:
    items, propensities = shown(num_places, num_next, 0.4)
    for place in range(num_places):
        total = 0.0
        for item in [place, *range(num_places, num_places + num_next)]:
            is_here = items[:, place] == item
            (propensity,) = set(propensities[is_here, place])
            total += propensity
            assert abs(is_here.mean() - propensity) < 4.5 * np.sqrt(propensity * (1 - propensity) / NUM_USERS)
        assert total == pytest.approx(1)


def test_no_item_is_shown_twice() -> None:
    items, _ = shown(5, 5, 0.5)
    assert (np.diff(np.sort(items, axis=1), axis=1) > 0).all()


def test_pinned_places_are_left_alone_and_certain() -> None:
    items, propensities = shown(3, 3, 0.5, pinned=1)
    assert (items[:, 1] == 1).all() and (propensities[:, 1] == 1).all()
    assert set(propensities[items[:, 0] == 0, 0]) == {0.5}


def test_without_candidates_nothing_is_drawn_and_all_is_certain() -> None:
    items, propensities = shown(3, 0, 0.5)
    assert (items == np.arange(3)).all() and (propensities == 1).all()


def test_draws_depend_on_the_user_alone() -> None:
    users = np.asarray(["ann", "bob", "cem"])
    whole = uniform_draws(users, 4, seed=1, at=9)
    assert (uniform_draws(users[1:2], 4, seed=1, at=9) == whole[1]).all()
    assert not (uniform_draws(users, 4, seed=1, at=10) == whole).any()
    assert (whole >= 0).all() and (whole < 1).all()


def test_probabilities_are_those_that_explore_reports() -> None:
    chosen_UL = np.asarray([[0, 1, 2, 3, 4], [0, 1, 2, 3, -1], [0, -1, -1, -1, -1]])
    is_pinned_UL = np.zeros((3, 5), bool)
    is_pinned_UL[1, 1] = True
    found = probabilities(chosen_UL, is_pinned_UL, num_places=2, share=0.4)
    assert found == pytest.approx(
        np.asarray([[0.6, 0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3], [0.6, 1, 0.2, 0.2, 0.2], [1, 1, 0.4, 0.4, 0.4]])
    ), "the third list has nobody to come next, and the last of the second is no item"
