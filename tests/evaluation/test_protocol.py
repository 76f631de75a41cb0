"""Windows of time, leave-last-out and leak checks, on logs small enough to read."""

from __future__ import annotations

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.errors import DataError
from bowerbird.evaluation import leaks, protocol
from bowerbird.recipe_split import Split

DAY = MICROSECONDS_A_DAY
PEER_SPLIT = Path(__file__).parents[3] / "shared" / "bench" / "split.py"


def plan_of(days, *, users=None, horizon="7d", **split):
    """Plan a log with one target event at each of ``days``; the last is the newest event."""
    times = np.asarray([round(day * DAY) for day in days], np.int64)
    users = np.arange(len(times)) if users is None else np.asarray(users)
    return protocol.plan_global_time(users, times, Split(horizon=horizon, **split), now=int(times.max()) + 1)


def test_selection_and_test_follow_each_other_up_to_now():
    plan = plan_of(range(41), test=1)
    (test,), selection = plan.test, plan.selection
    assert plan.now == test.end == 40 * DAY + 1
    assert test.start == selection.end == plan.now - 7 * DAY
    assert selection.start == plan.now - 14 * DAY
    assert (test.num_events, test.num_users, test.cut_off) == (7, 7, test.start)


def test_windows_are_consecutive_and_pooled_until_a_tenth_of_the_events():
    # 100 days of one event: a window of 3 days holds 3; four of them reach a tenth of 100.
    plan = plan_of(range(100), horizon="3d", test=20)
    assert len(plan.test) == 4
    assert [window.end for window in plan.test[1:]] == [window.start for window in plan.test[:-1]]
    assert plan.num_users == 12
    assert plan.selection.end == plan.test[-1].start


def test_pooling_stops_at_a_thousand_distinct_users():
    days = np.repeat(np.arange(200), 100)
    plan = plan_of(days, horizon="4d", test=52)
    assert len(plan.test) == 3
    assert plan.num_users == 1200


def test_a_user_of_several_windows_counts_once():
    plan = plan_of(range(100), users=np.zeros(100), horizon="3d", test=2)
    assert plan.num_users == 1
    assert [window.num_users for window in plan.test] == [1, 1]


def test_the_recipe_bounds_the_number_of_windows():
    assert len(plan_of(range(100), horizon="1d", test=3).test) == 3


def test_a_window_without_users_counts_too():
    # Nothing happens between day 30 and day 39.5.
    plan = plan_of([*np.arange(0, 30, 0.5), 39.5, 40], horizon="3d", test=3, selection="10d")
    assert [window.num_users for window in plan.test] == [2, 0, 0]


def test_selection_may_have_a_length_of_its_own():
    plan = plan_of(range(41), test=1, selection="2d")
    assert plan.selection.end - plan.selection.start == 2 * DAY


def test_windows_are_fewer_where_nothing_would_be_left_to_fit_on():
    plan = plan_of([*range(16), 20, 21, 22], horizon="7d", test=10)
    assert len(plan.test) == 1
    assert plan.selection.start > 0


def test_a_log_that_is_too_short_says_how_many_days_it_has_and_what_to_set():
    with pytest.raises(DataError) as caught:
        plan_of(range(11))
    assert "10.0 days old" in str(caught.value)
    assert "older than 14.0 days" in str(caught.value)
    assert "set split.horizon to '80h' or less" in str(caught.value)
    plan_of(range(11), horizon="80h")


def test_a_log_of_one_moment_and_one_without_targets_are_too_short():
    with pytest.raises(DataError, match=r"0\.0 days old.*Next: bring older events$"):
        plan_of([0])
    with pytest.raises(DataError, match="too short"):
        protocol.plan_global_time(np.zeros(0), np.zeros(0, np.int64), Split(), now=DAY)


def test_a_test_without_targets_is_refused():
    times = np.arange(30) * DAY
    with pytest.raises(DataError, match=r"newest 14d hold no target event.*split\.horizon"):
        protocol.plan_global_time(np.arange(30), times, Split(test=2), now=60 * DAY)


def test_a_selection_window_without_targets_is_refused():
    with pytest.raises(DataError, match=r"7d before 1970-02-03.*set split\.selection longer"):
        plan_of([*range(20), 39, 40], test=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60 * DAY), min_size=1, max_size=60), st.integers(1, 5))
def test_no_plan_overlaps_or_leaves_nothing_to_fit_on(times, num_windows):
    times = np.asarray(times, np.int64)
    try:
        plan = protocol.plan_global_time(np.arange(len(times)), times, Split(test=num_windows), now=int(times.max()) + 1)
    except DataError:
        return
    borders = [plan.selection.start, *(window.start for window in reversed(plan.test)), plan.now]
    assert borders == sorted(set(borders))
    assert len(plan.test) <= num_windows
    assert (times < plan.selection.start).any()
    assert sum(window.num_events for window in plan.test) == (times >= plan.test[-1].start).sum()


def origins_of(days, *, users=None, num_origins=3, horizon=7, step=None):
    times = np.asarray([round(day * DAY) for day in days], np.int64)
    users = np.arange(len(times)) if users is None else np.asarray(users)
    step = None if step is None else timedelta(days=step)
    return protocol.rolling_origins(
        users, times, now=int(times.max()) + 1, horizon=timedelta(days=horizon), num_origins=num_origins, step=step
    )


def test_origins_go_back_from_now_by_the_horizon():
    newest, middle, oldest = origins_of(range(41))
    assert newest.test.end == 40 * DAY + 1
    assert [one.cut_off for one in (newest, middle, oldest)] == [33 * DAY + 1, 26 * DAY + 1, 19 * DAY + 1]
    assert [one.test.end - one.test.start for one in (newest, middle, oldest)] == [7 * DAY] * 3
    assert [one.test.num_events for one in (newest, middle, oldest)] == [7, 7, 7]
    assert [(one.fit.start, one.fit.end, one.fit.num_events) for one in (newest, oldest)] == [
        (0, 33 * DAY + 1, 34),
        (0, 19 * DAY + 1, 20),
    ]


def test_a_step_of_its_own_lets_windows_overlap_or_leaves_gaps():
    overlapping, apart = origins_of(range(41), step=2), origins_of(range(41), step=10)
    assert [one.cut_off for one in overlapping] == [33 * DAY + 1, 31 * DAY + 1, 29 * DAY + 1]
    assert [one.cut_off for one in apart] == [33 * DAY + 1, 23 * DAY + 1, 13 * DAY + 1]


def test_a_log_too_short_for_the_origins_says_how_many_it_has_room_for():
    with pytest.raises(DataError) as caught:
        origins_of(range(21), num_origins=3)  # needs a target before day -1
    assert "too short for 3 origins: its first target event is 20.0 days old" in str(caught.value)
    assert "older than 21.0 days" in str(caught.value) and "ask for 2 origins or fewer" in str(caught.value)
    assert len(origins_of(range(21), num_origins=2)) == 2
    with pytest.raises(DataError, match="set the horizon shorter"):
        origins_of(range(5), num_origins=1)


def test_an_origin_without_targets_to_find_and_lengths_of_nothing_are_refused():
    with pytest.raises(DataError, match=r"7d from 1970-01-27 .* hold no target event"):
        origins_of([*range(20), 40], num_origins=2)
    for wrong in ({"num_origins": 0}, {"horizon": 0}, {"step": 0}):
        with pytest.raises(DataError, match="above 0"):
            origins_of(range(41), **wrong)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60 * DAY), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 9))
def test_every_origin_has_targets_on_both_sides_and_none_on_two(times, num_origins, step):
    times = np.asarray(times, np.int64)
    try:
        found = origins_of(times / DAY, num_origins=num_origins, step=step)
    except DataError:
        return
    assert len(found) == num_origins
    for one in found:
        assert one.fit.num_events == (times < one.cut_off).sum() > 0
        assert one.test.num_events == ((times >= one.cut_off) & (times < one.test.end)).sum() > 0


# Ann's targets are a b c a with a view of v between b and c; ben has two targets only.
EVENTS = pd.DataFrame(
    [
        ("ann", "a", 1, "buy"),
        ("ann", "b", 2, "buy"),
        ("ann", "v", 3, "view"),
        ("ann", "c", 4, "buy"),
        ("ann", "w", 4, "view"),
        ("ann", "a", 6, "buy"),
        ("ann", "x", 7, "view"),
        ("ben", "a", 1, "buy"),
        ("ben", "b", 9, "buy"),
    ],
    columns=["user_id", "item_id", "timestamp", "event"],
)


def held_out(events, which):
    data = Interactions.from_frame(events)
    return protocol.leave_last_out(data, data.has_event(["buy"]), which=which)


def test_last_target_is_the_test_and_all_from_it_on_is_gone():
    fit, is_target, targets = held_out(EVENTS, "test")
    assert targets[["user_id", "item_id", "is_repeat"]].to_numpy().tolist() == [["ann", "a", True]]
    assert fit.to_frame()["item_id"].tolist() == ["a", "b", "v", "c", "w", "a", "b"]
    assert is_target.tolist() == [True, True, False, True, False, True, True]


def test_target_before_the_last_is_the_selection_and_all_from_it_on_is_gone():
    fit, _, targets = held_out(EVENTS, "selection")
    assert targets[["user_id", "item_id", "is_repeat"]].to_numpy().tolist() == [["ann", "c", False]]
    assert fit.to_frame()["item_id"].tolist() == ["a", "b", "v", "a", "b"]


def test_held_out_events_share_nothing_with_the_fit():
    for which in ("selection", "test"):
        fit, _, targets = held_out(EVENTS, which)
        assert leaks.shared_events(fit, targets).passed
        assert leaks.training_events(fit, 10_000_000, own=targets).passed


def test_copies_of_the_held_out_event_leave_the_fit_too():
    twice = pd.DataFrame({"user_id": "ann", "item_id": [*"abcc"], "timestamp": [1, 2, 3, 3], "event": "buy"})
    fit, is_target, targets = held_out(twice, "test")
    assert fit.to_frame()["item_id"].tolist() == ["a", "b"]
    assert is_target.tolist() == [True, True]
    assert not targets["is_repeat"].any()


def test_ties_in_time_keep_the_order_of_the_rows():
    tied = pd.DataFrame({"user_id": "ann", "item_id": [*"zyx"], "timestamp": 1, "event": "buy"})
    fit, _, targets = held_out(tied, "test")
    assert targets["item_id"].tolist() == ["x"]
    assert fit.to_frame()["item_id"].tolist() == ["z", "y"]


def test_no_user_with_three_targets_is_refused():
    with pytest.raises(DataError, match="no user has 3 target events"):
        held_out(EVENTS[EVENTS["user_id"] == "ben"], "test")


@pytest.mark.parametrize(("which", "stage"), [("test", "test"), ("selection", "valid")])
def test_leave_last_out_agrees_with_the_peer_benchmark(which, stage):
    if not PEER_SPLIT.exists():
        pytest.skip(f"the peer benchmark's split is not at {PEER_SPLIT}")
    rng = np.random.default_rng(1)
    events = pd.DataFrame({"user": rng.integers(0, 60, 400), "item": rng.integers(0, 30, 400), "timestamp": np.arange(400)})
    events = events.drop_duplicates(["user", "item"])
    # The benchmark cuts a second time for "valid", so users with three events have no selection there.
    events = events[events.groupby("user")["item"].transform("size") != 3]
    spec = importlib.util.spec_from_file_location("peer_split", PEER_SPLIT)
    peer = importlib.util.module_from_spec(spec)
    sys.modules["peer_split"] = peer  # its dataclass looks its module up
    spec.loader.exec_module(peer)
    theirs = peer.make_split(events, "loo", stage)
    data = Interactions.from_frame(events.rename(columns={"user": "user_id", "item": "item_id"}))
    fit, _, targets = protocol.leave_last_out(data, np.ones(len(data), bool), which=which)
    assert set(targets[["user_id", "item_id"]].itertuples(index=False, name=None)) == set(
        theirs.target[["user", "item"]].itertuples(index=False, name=None)
    )
    assert len(fit) == len(theirs.fit)
