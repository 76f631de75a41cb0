"""Slices: how users and items are told apart, what counts in each, and which of them block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.evaluation.matching import match
from bowerbird.evaluation.metrics import ndcg, per_user_metrics
from bowerbird.evaluation.slices import (
    adjust,
    ages_in_days,
    binned,
    compare,
    first_events,
    group,
    pool,
    popularity_classes,
    restricted,
)


def members(grouping):
    return {value: grouping.members(place).tolist() for place, value in enumerate(grouping.values)}


def test_rows_are_grouped_by_value_with_the_largest_first_and_missing_ones_named():
    found = group("country", pd.Series(["DE", "FR", None, "DE"]))
    assert found.column == "country"
    assert members(found) == {"DE": [0, 3], "(none)": [2], "FR": [1]}


def test_a_row_with_a_list_is_of_each_of_its_values():
    found = group("categories", pd.Series([["toys", "games"], ["toys"], None, []]))
    assert members(found) == {"(none)": [2, 3], "toys": [0, 1], "games": [0]}


def test_values_beyond_the_twentieth_are_one_slice():
    found = group("brand", pd.Series([f"b{n:02}" for n in range(30) for _ in range(2 if n < 19 else 1)]))
    assert len(found.values) == 20 and found.values[0] == "b00" and found.values[-1] == "(others)"
    assert len(members(found)["(others)"]) == 11


def test_many_numbers_are_binned_and_few_are_values():
    assert list(members(group("stars", pd.Series([1, 2, 2])))) == ["2", "1"]
    assert list(members(group("age", pd.Series(range(8))))) == ["0 to 1", "2 to 3", "4 to 5", "6 to 7", "(none)"]


def test_bins_are_of_about_equal_size_and_keep_equal_numbers_together():
    found = binned("activity", np.asarray([1, 1, 1, 1, 1, 2, 3, np.nan, 9]), missing="unknown", unit=" events")
    bins = {"1 events": [0, 1, 2, 3, 4], "2 events": [5], "3 to 9 events": [6, 8], "unknown": [7]}
    assert members(found) == bins, "quarters of eight known numbers end at 1, 1, 2 and 9"
    assert members(binned("age", np.full(2, np.nan), missing="unknown")) == {"unknown": [0, 1]}


def test_head_torso_and_tail_go_by_the_share_of_events_that_more_popular_items_have():
    # Of 100 events the first item has 50, so the next begin at 0.5: torso; the last two begin at 0.85: tail; one has none.
    assert popularity_classes(np.asarray([50.0, 20, 15, 10, 5, 0])).tolist() == [0, 1, 1, 2, 2, 3]
    assert popularity_classes(np.asarray([3.0, 3, 3])).tolist() == [0, 0, 0], "equal counts stay together"
    assert popularity_classes(np.zeros(2)).tolist() == [3, 3]


def test_the_age_of_an_item_is_in_whole_days_before_the_cut_off():
    day = MICROSECONDS_A_DAY
    born = np.asarray([0.0, 1.5 * day, 3.0 * day, np.nan])
    assert ages_in_days(born, 3 * day).tolist()[:2] == [3, 1]
    assert np.isnan(ages_in_days(born, 3 * day)[2:]).all(), "what comes at the cut-off or after has no age yet"
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 7], "timestamp": [20, 30, 10]})
    assert first_events(Interactions.from_frame(frame)).tolist() == [10_000_000, 30_000_000]


def lists_and_targets():
    lists = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "item_id": list("abbcad"), "rank": [1, 2, 1, 2, 1, 2]})
    targets = pd.DataFrame({"user_id": [1, 1, 2, 3, 3], "item_id": list("bcbdz")})
    return lists, targets


def test_in_a_slice_of_items_only_its_targets_count_and_only_users_who_have_any():
    # Wanted are b and z. Ann has b at rank 2 (c does not count): 1 / log2 3. Ben has b at rank 1: 1. Cid's z is not found: 0.
    lists, targets = lists_and_targets()
    matches = match(lists, targets, k=2)
    found = restricted(matches, matches.item_ids.isin(["b", "z"]))
    assert found.user_ids.tolist() == [1, 2, 3]
    assert ndcg(found).tolist() == pytest.approx([1 / np.log2(3), 1, 0])
    only_c = restricted(matches, matches.item_ids.isin(["c"]))
    assert (only_c.user_ids.tolist(), ndcg(only_c).tolist()) == ([1], [0])
    nobody = restricted(matches, np.zeros(len(matches.item_ids), bool))
    assert len(ndcg(nobody)) == 0


@pytest.mark.parametrize("is_graded", [False, True])
def test_a_restricted_match_is_a_match_with_those_targets(is_graded):
    rng = np.random.default_rng(3)
    lists = pd.concat([pd.DataFrame({"user_id": u, "item_id": rng.permutation(30)[:5], "rank": range(1, 6)}) for u in range(40)])
    targets = pd.DataFrame({"user_id": rng.integers(0, 40, 150), "item_id": rng.integers(0, 30, 150)}).drop_duplicates()
    targets = targets.assign(gain=rng.integers(1, 5, len(targets))) if is_graded else targets
    matches = match(lists, targets, k=5)
    found = restricted(matches, np.asarray(matches.item_ids) % 3 == 0)
    expected = per_user_metrics(lists, targets[targets["item_id"] % 3 == 0], k=5, metrics=["ndcg"])
    assert found.user_ids.tolist() == expected.index.tolist()
    assert ndcg(found) == pytest.approx(expected["ndcg"].to_numpy())


def test_a_user_of_several_windows_counts_once_with_his_mean():
    values = np.asarray([[0.2, 0.0], [0.4, 0.4], [1.0, 0.0]])
    assert pool(np.asarray([3, 5, 3]), values).tolist() == [[0.6, 0.0], [0.4, 0.4]]
    assert pool(np.asarray([3, 5, 8]), values) is values


# ---- which slices block


def a_slice(value, ours, theirs, **changes):
    asked = {"other": "als", "max_loss": 0.1, "min_users": 100, "level": 0.95, "seed": 1} | changes
    return compare("country", value, np.column_stack([ours, theirs]), **asked)


def test_a_slice_tells_both_figures_their_difference_and_how_sure_the_loss_is():
    theirs = np.tile([0.0, 0.5], 100)
    ours = np.where(np.arange(200) % 4 == 1, 0.5, 0.0)  # finds half of what the other finds
    found = a_slice("DE", ours, theirs)
    assert (found.num_users, found.nominee, found.other, found.mean) == (200, 0.125, "als", -0.125)
    assert found.low < -0.125 < found.high < 0
    assert found.p_value == 1 / 10_001 and not found.shown_only
    assert (found.adjusted_p, found.blocks) == (None, False), "not yet corrected for the other slices"


def test_a_loss_that_is_allowed_is_no_reason_to_block():
    theirs = np.tile([0.0, 0.5], 100)
    assert a_slice("DE", 0.92 * theirs, theirs).p_value == 1, "8 % less, and 10 % are allowed"
    assert a_slice("DE", 0.88 * theirs, theirs).p_value == 1 / 10_001
    assert a_slice("DE", 0.88 * theirs, theirs, max_loss=0.2).p_value == 1
    assert a_slice("DE", 0 * theirs, theirs, max_loss=1).p_value == 1, "everything may be lost"


def test_a_small_slice_is_shown_and_not_tested():
    found = a_slice("FO", np.zeros(99), np.full(99, 0.5))
    assert found.shown_only and found.p_value is None and found.mean == -0.5
    (alone,), _ = adjust([found], significance=0.05, decides=True)
    assert (alone.blocks, alone.adjusted_p) == (False, None)


def test_slices_and_further_metrics_are_corrected_together():
    found = [
        a_slice(value, np.ones(100), np.ones(100)).model_copy(update={"p_value": p}) for value, p in (("DE", 0.03), ("FR", 0.01))
    ]
    slices, further = adjust(found, further=[0.9, 0.02], significance=0.05, decides=True)
    # Holm over 0.03, 0.01, 0.9, 0.02: 0.06, 0.04, 0.9, 0.06.
    assert {one.value: one.adjusted_p for one in slices} == pytest.approx({"DE": 0.06, "FR": 0.04})
    assert {one.value: one.blocks for one in slices} == {"DE": False, "FR": True}
    assert further == pytest.approx([0.9, 0.06])
    assert not any(one.blocks for one in adjust(found, significance=0.05, decides=False)[0])


def test_the_worst_slice_stands_first_and_small_ones_last():
    theirs = np.full(200, 0.5)
    found = [
        a_slice("better", theirs + 0.1, theirs),
        a_slice("small", np.zeros(20), np.full(20, 0.5)),
        a_slice("lost", 0.5 * theirs, theirs),
        a_slice("a little worse", 0.95 * theirs, theirs),
    ]
    slices, _ = adjust(found, significance=0.05, decides=True)
    assert [one.value for one in slices] == ["lost", "a little worse", "better", "small"]
    assert [one.blocks for one in slices] == [True, False, False, False]
