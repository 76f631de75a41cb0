"""Leak checks, each on a case that leaks and on one that does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.errors import LeakError
from bowerbird.evaluation import leaks
from bowerbird.evaluation.decision import LeakResult
from bowerbird.warehouse.leak_facts import RowDates

EVENTS = Interactions.from_frame(
    pd.DataFrame(
        [("ann", "a", 1), ("ann", "b", 2), ("ann", "a", 6), ("ben", "a", 1), ("ben", "b", 9)],
        columns=["user_id", "item_id", "timestamp"],
    )
)
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
AT = int(NOON.timestamp()) * 1_000_000


def targets_at(*rows: tuple[str, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"], unit="s", utc=True))


def test_an_event_at_the_cut_off_is_a_leak_and_the_earliest_is_named() -> None:
    assert leaks.training_events(EVENTS, 9_000_001).passed
    late = leaks.training_events(EVENTS, 6_000_000)
    assert not late.passed
    assert late.found == (
        "2 of 5 are at or after the cut-off 1970-01-01 00:00:06+00:00; the first: user 'ann', item 'a', 1970-01-01 00:00:06+00:00"
    )


def test_a_user_with_a_cut_off_of_his_own_has_nothing_after_it_and_others_may() -> None:
    assert leaks.training_events(EVENTS, 10_000_000, own=targets_at(("ann", "c", 6), ("eve", "a", 1))).passed
    late = leaks.training_events(EVENTS, 10_000_000, own=targets_at(("ann", "c", 5)))
    assert late.passed is False and "cut-off of their user; the first: user 'ann', item 'a'" in late.found


def test_an_event_on_both_sides_is_a_leak_and_another_time_item_or_user_is_none() -> None:
    assert leaks.shared_events(EVENTS, targets_at(("ann", "a", 5), ("ann", "b", 6), ("dan", "a", 1), ("ann", "z", 6))).passed
    shared = leaks.shared_events(EVENTS, targets_at(("ben", "b", 8), ("ann", "a", 6)))
    assert not shared.passed
    assert shared.found.startswith(
        "1 events are in the fit and among the targets; the first: user 'ann', item 'a', 1970-01-01 00"
    )


def arrivals(**items: tuple[float | None, str | None]) -> pd.DataFrame:
    """Items by name: days after the cut-off that they came at, and what tells so."""
    came = [None if days is None else NOON + timedelta(days=days) for days, _ in items.values()]
    told = [by for _, by in items.values()]
    return pd.DataFrame({"item_id": list(items), "came_at": pd.to_datetime(came, utc=True), "told_by": told})


@pytest.mark.parametrize(
    ("came", "told_by", "recommended", "passed"),
    [
        (-1, "created_at", True, True),
        (0, "created_at", True, True),
        (1, "created_at", False, False),
        (1, "available_from", False, True),  # announced
        (1, "available_from", True, False),
        (0, "first event", False, False),  # only an event at the cut-off could tell of it
        (None, None, True, None),
    ],
)
def test_an_item_that_came_later_may_not_be_known_nor_an_announced_one_listed(
    came: float | None, told_by: str | None, recommended: bool, passed: bool | None
) -> None:
    listed = np.asarray(["new"] if recommended else ["old"], object)
    known = np.asarray(["new", "old"], object)
    assert leaks.items_from_future(arrivals(new=(came, told_by)), known=known, recommended=listed, cut_off=AT).passed is passed
    assert leaks.items_from_future(arrivals(new=(came, told_by)), known=known[1:], recommended=known[1:], cut_off=AT).passed


def test_the_earliest_item_from_the_future_is_named_with_what_tells_so() -> None:
    came = arrivals(y=(3, "created_at"), x=(2, "first event"))
    found = leaks.items_from_future(came, known=np.asarray(["x", "y"], object), recommended=np.asarray(["x"], object), cut_off=AT)
    assert found.found == (
        "the model recommends 2 items that came after the cut-off 2026-01-10 12:00:00+00:00; the first: "
        "item 'x', first event 2026-01-12 12:00:00+00:00"
    )


def counted(seed: int, *, num_items: int = 40) -> pd.DataFrame:
    """Draw counts before and after a cut-off for items of very different popularity."""
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(3, 1, num_items)
    columns = {"described": "items", "id": [f"i{item}" for item in range(num_items)]}
    for name in ("events", "targets", "others"):
        columns |= {f"{name}_before": rng.poisson(rates * 4), f"{name}_after": rng.poisson(rates)}
        columns[f"{name}_half"] = rng.binomial(columns[f"{name}_after"], 0.5)
    columns["events_recent"] = rng.binomial(columns["events_before"], 0.25)
    unrated = {f"{name}_{part}": 0 for name in ("value", "valued") for part in ("before", "after", "half")}
    times = {
        name: rng.random(num_items) for name in ("first_moment", "last_before", "last_after", "last_half", "last_other_half")
    }
    return pd.DataFrame(columns | unrated | times)


def verdict(column: np.ndarray, counts: pd.DataFrame) -> LeakResult:
    return leaks.counts_from_future({"items": pd.DataFrame({"item_id": counts["id"], "sold": column})}, counts)


@pytest.mark.parametrize("seed", range(20))
def test_a_count_over_the_whole_log_is_a_leak_and_one_from_before_the_cut_off_is_none(seed: int) -> None:
    counts = counted(seed)
    rng = np.random.default_rng(seed + 1000)
    before, after = counts["targets_before"].to_numpy(), counts["targets_after"].to_numpy()
    leak = verdict(before + after, counts)
    assert leak.passed is False
    assert leak.found == "items.sold follows the number of target events after the cut-off, too"
    assert verdict(0.01 * (before + after) + 3, counts).passed is False, "linear in a count"
    assert verdict(before + rng.binomial(after, 0.9), counts).passed is False, "up to a moment long after the cut-off"
    assert verdict(before + rng.binomial(after, 0.3), counts).passed is False, "up to a moment soon after the cut-off"
    assert verdict(np.log1p(before + after), counts).passed is False, "a logarithm"
    assert verdict(pd.Series(-before - after).rank().to_numpy(), counts).passed is False, "a rank"
    assert verdict(before, counts).passed
    assert verdict(rng.binomial(before, 0.7), counts).passed, "a count that was taken earlier"
    assert verdict(rng.lognormal(3, 1, len(counts)), counts).passed, "a price"
    assert verdict(np.log(before + after + 1.0) + rng.normal(0, 0.5, len(counts)), counts).passed, "a grade: what is good sells"


def test_too_few_rows_and_constant_columns_tell_nothing() -> None:
    counts = counted(1, num_items=19)
    assert verdict((counts["events_before"] + counts["events_after"]).to_numpy(), counts).passed
    assert verdict(np.full(40, 9.5), counted(1)).passed
    assert verdict(np.full(40, np.nan), counted(1)).passed


def test_columns_of_users_are_compared_with_counts_of_users() -> None:
    counts = counted(2).assign(described="users")
    orders = pd.DataFrame({"user_id": counts["id"], "orders": counts["events_before"] + counts["events_after"]})
    found = leaks.counts_from_future({"items": pd.DataFrame({"item_id": ["a"]}), "users": orders}, counts)
    assert not found.passed and "users.orders follows the number of events" in found.found


def test_a_row_younger_than_the_cut_off_is_a_leak_unless_the_column_tells_of_plans() -> None:
    young = RowDates("updated_at", num_ahead=0, num_young=2, first=("i3", NOON))
    found = leaks.rows_from_future({"items": [young], "users": []}, AT)
    assert not found.passed and "2 rows of items are as of their updated_at younger" in found.found
    assert "the first: item 'i3', 2026-01-10 12:00:00+00:00" in found.found
    plans = RowDates("sale_ends", num_ahead=1, num_young=2, first=("i3", NOON))
    assert leaks.rows_from_future({"items": [plans]}, AT).passed is None, "no column tells"
    assert leaks.rows_from_future({"items": [plans], "users": [RowDates("seen", 0, 0, None)]}, AT).passed


def test_features_that_reach_to_the_cut_off_are_a_leak() -> None:
    before = {"item_profiles": {"last_timestamp": NOON - timedelta(microseconds=1)}, "cooccurrence": {}}
    assert leaks.features_from_future(before, AT).passed
    late = leaks.features_from_future(before | {"user_profiles": {"last_timestamp": NOON}}, AT)
    assert not late.passed and late.found.startswith("user_profiles.last_timestamp reaches to 2026-01-10 12:00:00+00:00")


def test_the_first_leak_is_raised_with_what_to_do_and_what_cannot_be_told_is_none() -> None:
    unsure, leak = (LeakResult(name=leaks.COUNTS, found="this", passed=passed) for passed in (None, False))
    leaks.require_none([unsure])
    with pytest.raises(LeakError, match=r"counts from the future: this\. Next: leave the column out of the recipe"):
        leaks.require_none([unsure, leak])


def test_every_check_says_what_to_do() -> None:
    names = {leaks.TRAINING, leaks.SHARED, leaks.ITEMS, leaks.COUNTS, leaks.ROWS, leaks.FEATURES}
    assert set(leaks.NEXT_STEPS) == names
