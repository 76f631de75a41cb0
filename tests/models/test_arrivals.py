"""New items' lift: what it makes equal, by hand, and where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bowerbird import Interactions
from bowerbird.models.arrivals import Arrivals
from bowerbird.models.base import Histories

YOUNG = range(50, 62)
NEW = 99


def log_with_young_items() -> Interactions:
    """A hundred users have 9 old items each; in the log's newest tenth 40 of them take a young one, 60 an old one."""
    old = [(user, (user + step) % 20, step) for user in range(100) for step in range(9)]
    newest = [(user, 50 + user % 12 if user < 40 else 30, 100) for user in range(100)]
    frame = pd.DataFrame(old + newest, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame, item_ids=np.asarray([NEW]))


def arrivals(data: Interactions, date: float | None = 101.0, column: str = "available_from") -> Arrivals:
    items = pd.DataFrame({"item_id": [NEW, 1], column: [date, None]})
    return Arrivals.of(data, items, np.ones(data.num_items, bool))


def all_alike(histories: Histories) -> NDArray[np.float64]:
    return np.zeros((len(histories.users), 20 + 1 + 12 + 1))


def test_the_lift_makes_the_young_items_share_what_it_was() -> None:
    data = log_with_young_items()
    found = arrivals(data)
    assert data.item_ids[found.is_young_N].tolist() == [30, *YOUNG] and data.item_ids[found.is_new_N].tolist() == [NEW]
    # 13 young items of 33 with events have 13 / 20 of the odds when all are alike; all events of the newest tenth are theirs
    assert found.lift(Histories.of_all(data), all_alike) == pytest.approx(10)
    some_old = Interactions.from_frame(data.to_frame().replace({"item_id": {30: 19}}), item_ids=np.asarray([NEW]))
    found = arrivals(some_old)
    lift = found.lift(Histories.of_all(some_old), lambda block: np.zeros((len(block.users), some_old.num_items)))
    assert lift == pytest.approx(np.log(40 / 60) - np.log(12 / 20))


def test_only_what_came_before_is_read() -> None:
    data = log_with_young_items()
    since = arrivals(data).since
    read: list[int] = []

    def score(histories: Histories) -> NDArray[np.float64]:
        read.append(int(histories.timestamps.max()))
        return all_alike(histories)

    arrivals(data).lift(Histories.of_all(data), score)
    assert max(read) < since


@pytest.mark.parametrize("date", [None, 1.0])
def test_an_item_without_a_late_date_gets_no_lift(date: float | None) -> None:
    data = log_with_young_items()
    found = arrivals(data, date)
    assert not found.is_new_N.any() and found.lift(Histories.of_all(data), all_alike) == 0


def test_the_day_of_creation_stands_in_for_the_day_of_arrival() -> None:
    data = log_with_young_items()
    assert arrivals(data, 100.0, "created_at").is_new_N.any()


def test_no_lift_without_young_items_or_without_an_old_past() -> None:
    alone = Interactions.from_frame(pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "timestamp": [5, 5]}), item_ids=[NEW])
    found = Arrivals.of(alone, pd.DataFrame({"item_id": [NEW], "available_from": [9.0]}), np.ones(3, bool))
    assert found.is_new_N.any() and found.lift(Histories.of_all(alone), lambda block: np.zeros((len(block.users), 3))) == 0
