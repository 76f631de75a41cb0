"""How lists spread over the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from bowerbird.report.reach import concentration, measure_reach


def test_even_use_is_a_straight_line() -> None:
    assert concentration(np.array([3, 3, 3, 3])) == pytest.approx(np.linspace(0, 1, 101))


def test_one_item_for_all_takes_everything_at_once() -> None:
    curve = concentration(np.array([0, 8, 0, 0]))
    assert curve[25] == 1.0
    assert curve[0] == 0.0


def test_tiers_follow_what_users_chose_not_what_was_recommended() -> None:
    chosen, recommended = np.array([1, 90, 5, 4]), np.array([7, 1, 1, 1])
    reach = measure_reach(chosen, recommended)
    by_name = {tier.name: tier for tier in reach.tiers}
    assert by_name["Next 15 %"].chosen_share == 0.9
    assert by_name["Next 15 %"].recommended_share == 0.1
    assert by_name["Other half"].recommended_share == 0.8
    assert sum(tier.recommended_share for tier in reach.tiers) == pytest.approx(1.0)


def test_nothing_recommended_is_no_division_by_zero() -> None:
    reach = measure_reach(np.array([1, 2]), np.array([0, 0]))
    assert (reach.num_items, reach.num_chosen, reach.num_recommended) == (2, 2, 0)
