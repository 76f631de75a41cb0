"""Session next item, on sessions small enough to read, and ties in random order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.errors import DataError
from bowerbird.evaluation import protocol
from bowerbird.evaluation.sessions import by_owner, has_history, next_item, number_sessions, owners

MINUTE = 60_000_000
GAP = 30 * MINUTE
# Ann: a b c within the gap, then, 31 minutes later, d e; ben: a alone, then in a named session b c, x seen last.
ROWS = [
    ("ann", "a", 0, "buy", None),
    ("ann", "b", 30, "view", None),
    ("ann", "c", 40, "buy", None),
    ("ann", "d", 71, "buy", None),
    ("ann", "e", 72, "buy", None),
    ("ben", "a", 0, "buy", None),
    ("ben", "b", 1, "buy", "s"),
    ("ben", "b", 90, "buy", "s"),
    ("ben", "x", 91, "view", "s"),
]


def log(rows: list[tuple] = ROWS) -> Interactions:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "minute", "event", "session_id"])
    return Interactions.from_frame(frame.assign(timestamp=frame["minute"] * 60))


def asked(rows: list[tuple] = ROWS, *, start: float = 0, end: float = 1000) -> tuple[pd.DataFrame, pd.DataFrame]:
    data = log(rows)
    cuts = {"start": int(start * MINUTE), "end": int(end * MINUTE)}
    history, targets = next_item(data.before(cuts["end"]), data.before(cuts["end"]).has_event(["buy"]), **cuts, gap=GAP)
    return history.to_frame(), targets


def test_a_pause_or_a_name_makes_a_session() -> None:
    numbers = number_sessions(log(), gap=GAP)
    assert [numbers.tolist().index(number) for number in numbers] == [0, 0, 0, 3, 3, 5, 6, 6, 6]


def test_all_before_the_last_target_is_the_history_and_what_comes_after_is_gone() -> None:
    history, targets = asked()
    assert targets[["user_id", "item_id", "is_repeat", "owner"]].to_numpy().tolist() == [
        ["ann/1", "c", False, "ann"],
        ["ann/2", "e", False, "ann"],
        ["ben/1", "b", True, "ben"],
    ]
    assert history.groupby("user_id")["item_id"].agg(list).to_dict() == {"ann/1": ["a", "b"], "ann/2": ["d"], "ben/1": ["b"]}


def test_a_session_belongs_to_the_window_of_its_target_and_is_moved_to_its_start() -> None:
    history, targets = asked(start=50, end=80)
    assert targets["user_id"].tolist() == ["ann/1"] and targets["item_id"].tolist() == ["e"]
    assert history["timestamp"].tolist() == [pd.Timestamp(49 * 60, unit="s", tz="UTC")], "a minute before the start, as it was"


def test_a_copy_of_the_target_is_no_history() -> None:
    twice = [("ann", "a", 0, "buy", None), ("ann", "b", 1, "buy", None), ("ann", "b", 1, "buy", None)]
    history, targets = asked(twice)
    assert history["item_id"].tolist() == ["a"] and not targets["is_repeat"].any()
    with pytest.raises(DataError, match="no session of the window"):
        asked(twice[1:])


def test_only_targets_with_history_count_for_the_plan() -> None:
    data = log()
    assert np.flatnonzero(has_history(data, data.has_event(["buy"]), gap=GAP)).tolist() == [2, 4, 7]


@pytest.mark.parametrize("end", [60, 80, 91])
def test_events_at_and_after_the_end_change_no_session(end: float) -> None:
    planted = [("ann", "z", end, "buy", None), ("ben", "z", end + 1, "buy", "s"), ("abe", "z", end + 2, "buy", None)]
    for before, after in zip(asked(end=end), asked(ROWS + planted, end=end), strict=True):
        pd.testing.assert_frame_equal(before, after)


def test_a_user_of_several_sessions_counts_once() -> None:
    _, targets = asked()
    found = by_owner(pd.DataFrame({"ndcg": [1.0, 0.0, 0.5], "novel": [1.0, np.nan, np.nan]}, index=targets["user_id"]), targets)
    assert found["ndcg"].to_dict() == {"ann": 0.5, "ben": 0.5}
    assert owners(targets, targets["user_id"]).tolist() == ["ann", "ann", "ben"]
    assert owners(targets.drop(columns="owner"), pd.Index(["abe"])).tolist() == ["abe"]
    assert found.loc["ann", "novel"] == 1 and np.isnan(found.loc["ben", "novel"])


def tied(rows: list[tuple], seed: int = 1) -> list[list[object]]:
    data = log(rows)
    shuffled, is_target = protocol.shuffle_ties(data, data.has_event(["buy"]), seed=seed)
    assert is_target.tolist() == shuffled.has_event(["buy"]).tolist()
    return shuffled.to_frame()[["user_id", "item_id", "timestamp"]].to_numpy().tolist()


def test_ties_are_shuffled_within_user_and_moment_alone() -> None:
    rows = [(user, f"{minute}-{n}", minute, "buy", None) for user in ("ann", "ben") for minute in (0, 5) for n in range(8)]
    kept, found = log(rows).to_frame()[["user_id", "item_id", "timestamp"]].to_numpy().tolist(), tied(rows)
    assert sorted(map(str, found)) == sorted(map(str, kept)) and found != kept
    assert [row[::2] for row in found] == [row[::2] for row in kept]
    assert found == tied(rows) and found != tied(rows, seed=2)
    assert [row[1] for row in found[:8]] != [row[1] for row in found[16:24]], "each user has an order of his own"


def test_what_is_drawn_for_a_moment_does_not_depend_on_what_comes_later() -> None:
    rows = [("ben", f"i{n}", n // 8, "buy", None) for n in range(32)]
    planted = [("abe", "z", 9, "buy", None), ("ben", "z", 9, "buy", None), ("zoe", "z", 9, "buy", None)]
    assert tied(rows) == [row for row in tied(rows + planted) if row[1] != "z"]


def test_each_order_of_a_tie_is_as_likely() -> None:
    rows = [(f"u{user:04}", item, 0, "buy", None) for user in range(3000) for item in "abc"]
    orders = pd.Series([row[1] for row in tied(rows)]).groupby(np.repeat(np.arange(3000), 3)).sum().value_counts()
    assert len(orders) == 6 and orders.between(420, 580).all(), orders.to_dict()


def test_the_share_of_ties_is_that_of_events_tied_to_the_one_before() -> None:
    assert protocol.share_of_ties(log()) == 0
    assert protocol.share_of_ties(log([("ann", item, 0, "buy", None) for item in "abc"])) == 1
    assert protocol.share_of_ties(log(ROWS[:1])) == 0
