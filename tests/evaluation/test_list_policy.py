"""Lists as a policy: what is due, what chance may show instead, and what a reward model expects of both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.evaluation.list_policy import ListPolicy
from bowerbird.evaluation.off_policy import Impressions
from bowerbird.evaluation.reward_model import NUM_FOLDS, RewardModel

LISTS = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "ann", "ann", "bob", "bob"],
        "item_id": ["a", "b", "c", "d", "b", "c"],
        "rank": [1, 2, 3, 4, 1, 3],
        "propensity": [0.7, 1.0, 0.15, 0.15, 0.4, 0.6],
    }
)
"""Two places, then what comes next: ann's second place is pinned; bob's list has one item, and one that comes next."""
MODEL = RewardModel(np.tile([0.2, 0.1], (NUM_FOLDS, 1)), np.tile([1.0, 2.0, 3.0, 4.0, 1.0], (NUM_FOLDS, 1)))
"""Items a to d have the lifts 1 to 4, and what is not in the log the lift 1."""


def beside(lists: pd.DataFrame, shown: list[tuple[int, int, str]]) -> Impressions:
    """Put lists beside impressions ``user, place from 0, item``."""
    users, positions, items = zip(*shown, strict=True)
    item_ids = pd.Index(list("abcd"))
    ones = np.ones(len(shown))
    return ListPolicy.of(lists, pd.Index(["ann", "bob"]), item_ids, k=2).impressions(
        MODEL,
        users=np.asarray(users),
        positions=np.asarray(positions),
        items=item_ids.get_indexer(list(items)),
        rewards=ones,
        propensities=ones,
        units=np.asarray(users),
    )


def test_an_item_has_the_probability_that_the_rules_give_it_at_its_place() -> None:
    shown = [(0, 0, "a"), (0, 0, "b"), (0, 0, "c"), (0, 0, "d"), (0, 1, "b"), (0, 1, "c"), (1, 0, "b"), (1, 0, "c"), (1, 1, "c")]
    found = beside(LISTS, shown).targets
    assert found.tolist() == [0.7, 0, 0.15, 0.15, 1, 0, 0.4, 0.6, 0], "nothing is drawn where a pin stands, or a list has ended"


def test_a_list_without_chance_shows_its_items_for_sure() -> None:
    plain = LISTS[LISTS["rank"] <= 2].drop(columns="propensity")
    shown = [(0, 0, "a"), (0, 1, "b"), (0, 1, "a"), (1, 0, "b"), (1, 1, "b")]
    assert beside(plain, shown).targets.tolist() == [1, 1, 0, 1, 0]


def test_the_baseline_is_what_the_policy_shows_weighed_by_what_is_expected_of_it() -> None:
    found = beside(LISTS, [(0, 0, "d"), (0, 1, "d"), (1, 0, "d"), (1, 1, "d")])
    assert found.predicted == pytest.approx([0.8, 0.4, 0.8, 0.4])
    first = 0.2 * (0.7 * 1 + 0.15 * 3 + 0.15 * 4)
    assert found.baselines == pytest.approx([first, 0.1 * 2, 0.2 * (0.4 * 2 + 0.6 * 3), 0])


def test_users_without_a_list_are_shown_nothing() -> None:
    found = beside(LISTS[LISTS["user_id"] == "ann"], [(1, 0, "a"), (0, 0, "a")])
    assert found.targets.tolist() == [0, 0.7] and found.baselines[0] == 0


def test_an_item_that_was_never_logged_is_expected_to_be_like_others() -> None:
    found = beside(LISTS.replace({"item_id": {"a": "new"}}), [(0, 0, "a"), (0, 0, "d")])
    assert found.targets.tolist() == [0, 0.15]
    assert found.baselines[0] == pytest.approx(0.2 * (0.7 * 1 + 0.15 * 3 + 0.15 * 4))
