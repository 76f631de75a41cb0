"""Coverage and Gini of all lists together, and how sure they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.evaluation import metrics, reach


def lists_of(items_UK: np.ndarray) -> pd.DataFrame:
    num_users, k = items_UK.shape
    users = np.repeat([f"u{user}" for user in range(num_users)], k)
    return pd.DataFrame(
        {"user_id": users, "item_id": [f"i{item}" for item in items_UK.ravel()], "rank": [*range(1, k + 1)] * num_users}
    )


def drawn(seed: int, *, num_users: int = 150, num_items: int = 600, k: int = 10) -> pd.DataFrame:
    """Draw lists from a catalogue in which few items are popular."""
    rng = np.random.default_rng(seed)
    keys_UN = -np.log(np.arange(1, num_items + 1)) + rng.gumbel(size=(num_users, num_items))
    return lists_of(np.argpartition(-keys_UN, k, axis=1)[:, :k])


def test_they_are_coverage_and_gini_of_the_places_that_count():
    lists = drawn(1)
    for k in (3, 10):
        whole = reach.measure(lists, 600, k=k).whole
        assert whole == (metrics.coverage(lists, 600, k=k), pytest.approx(metrics.gini(lists, 600, k=k), abs=1e-12))


def test_what_is_lost_without_a_group_is_scaled_to_groups_of_equal_size():
    lists = drawn(2)
    users = lists["user_id"].drop_duplicates()
    groups = dict(zip(users, pd.util.hash_array(users.to_numpy(object)) % reach.NUM_GROUPS, strict=True))
    found = reach.measure(lists, 600, k=10)
    for group in (0, 7):
        is_in = lists["user_id"].map(groups) == group
        share = reach.NUM_GROUPS * sum(one == group for one in groups.values()) / len(groups)
        lost = found.whole.coverage - metrics.coverage(lists[~is_in], 600, k=10)
        assert found.lost[group].coverage == pytest.approx(lost / share)


def test_intervals_hold_what_such_users_reach_on_average():
    found = [reach.intervals([reach.measure(drawn(seed), 600, k=10)]) for seed in range(80)]
    for name in ("coverage", "gini"):
        mean = np.mean([one[name].value for one in found])
        held = np.mean([one[name].low <= mean <= one[name].high for one in found])
        assert held >= 0.93, name
        widths = np.mean([one[name].high - one[name].low for one in found]) / np.std([one[name].value for one in found])
        assert 3.5 < widths < 2 * 3.92, "not twice as wide as it has to be"


def test_windows_are_averaged_and_users_are_in_the_same_group_in_each():
    lists = drawn(3)
    once, twice = reach.measure(lists, 600, k=10), [reach.measure(lists, 600, k=10)] * 2
    assert reach.intervals([once]) == reach.intervals(twice), "the same lists twice are no more evidence"


def test_sessions_count_as_their_owners():
    lists = drawn(4)
    owners = {user: f"o{int(user[1:]) // 10}" for user in lists["user_id"].unique()}
    found = reach.measure(lists, 600, k=10, owners=owners)
    assert found.whole == reach.measure(lists, 600, k=10).whole and found.lost != reach.measure(lists, 600, k=10).lost
    assert sum(one.coverage == 0 for one in found.lost) >= 1, "20 owners leave some of 20 groups empty"


def test_the_same_list_for_everybody_has_no_width_and_no_list_no_interval():
    same = lists_of(np.tile(np.arange(5), (60, 1)))
    found = reach.intervals([reach.measure(same, 50, k=5)])
    assert (found["coverage"].low, found["coverage"].value, found["coverage"].high) == (0.1, 0.1, 0.1)
    assert reach.intervals([reach.measure(same.iloc[:0], 50, k=5)]) == {}
