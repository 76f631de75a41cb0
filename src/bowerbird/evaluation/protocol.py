"""How time is cut into fit, selection and test, and the checks that nothing leaks across a cut.

``global_time``: with "now" one microsecond after the newest event and a horizon h, the test windows are [now - h, now),
[now - 2 h, now - h) and so on; the selection window ends where the oldest of them begins; fit is all before it. What is
scored on a window is fitted on the events before that window's start.

``leave_last_out``: a user's last target is the test, the one before it the selection. Other users' later events are in
the fit, so global statistics leak; say so wherever its figures stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import IS_REPEAT, ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Ids, Interactions
from bowerbird.errors import DataError, LeakError
from bowerbird.recipe import Split, write_duration

ENOUGH_USERS = 1000
ENOUGH_SHARE = 0.1
MIN_TARGETS = 3
LEAVE_LAST_OUT_LEAKS = (
    "leave last out leaks global statistics: what other users did after a user's target is in the fit, so its figures are "
    "higher than those of a split by time"
)
Side = Literal["selection", "test"]


@dataclass(frozen=True)
class Window:
    """A stretch of time [start, end) in microseconds since 1970, and the target events and distinct users in it."""

    start: int
    end: int
    num_events: int
    num_users: int

    @property
    def cut_off(self) -> int:
        """What is scored on this window reads only events before this."""
        return self.start


@dataclass(frozen=True)
class WindowUse:
    """A run scored models on a test window, or on the users' last targets; each use makes the window less unseen."""

    start: int
    end: int
    run_id: str


@dataclass(frozen=True)
class Plan:
    """How a run is evaluated.

    Attributes
    ----------
    kind : "global_time" or "leave_last_out"
    now : int
        One microsecond after the newest event; lists that are published are fitted on all before it.
    num_users : int
        Distinct users with targets in the test windows together.
    selection : Window or None
        None for ``leave_last_out``, as ``tests`` is empty.
    tests : tuple of Window
        Newest first; one of them may have no users.
    leaks : text or None
        What the protocol leaks by its nature, to be shown beside its figures.
    """

    kind: Literal["global_time", "leave_last_out"]
    now: int
    num_users: int
    selection: Window | None = None
    tests: tuple[Window, ...] = ()
    leaks: str | None = None

    def uses(self, run_id: str) -> list[WindowUse]:
        """Return what to record once ``run_id`` has scored models on the test."""
        if not self.tests:
            return [WindowUse(0, self.now, run_id)]
        return [WindowUse(window.start, window.end, run_id) for window in self.tests]


def make_plan(split: Split, *, times: NDArray[np.int64], users: Ids, first: int, newest: int) -> Plan:
    """Cut time as the recipe asks.

    Parameters
    ----------
    split : Split
        The recipe's section.
    times, users : int64 [T], [T]
        Time (microseconds since 1970) and user of each target event, in any order.
    first, newest : int
        Times of the first and the newest accepted event of any kind.

    Raises
    ------
    DataError
        Where there is no target event, the log is too short for one test window, a selection window and a target event
        before both, one of the windows has no target event, or no user has targets enough.
    """
    if not len(times):
        raise DataError("there is no target event", next_step="see target.events and target_when in the recipe")
    if split.kind == "leave_last_out":
        counts = np.unique(np.asarray(users), return_counts=True)[1]
        num_users = int((counts >= MIN_TARGETS).sum())
        if not num_users:
            raise DataError(f"no user has {MIN_TARGETS} target events", next_step="bring more events, or split by global_time")
        return Plan("leave_last_out", newest + 1, num_users, leaks=LEAVE_LAST_OUT_LEAKS)
    return _global_time(split, np.asarray(times, np.int64), np.asarray(users), first, newest)


def _global_time(split: Split, times: NDArray[np.int64], users: Ids, first: int, newest: int) -> Plan:
    order = np.argsort(times, kind="stable")
    log = _Targets(times[order], np.asarray(pd.factorize(users)[0])[order])
    now, horizon = newest + 1, _microseconds(split.horizon)
    selection_length = _microseconds(split.selection or split.horizon)
    tests: list[Window] = []
    num_users = 0
    for start in _origins(now, horizon, split.test):
        if log.num_before(start - selection_length) == 0:
            break
        tests.append(log.window(start, start + horizon))
        pooled = log.window(start, now)
        num_users = pooled.num_users
        if num_users >= ENOUGH_USERS or pooled.num_events >= ENOUGH_SHARE * len(times):
            break
    if not tests:
        raise _too_short(split, first, newest, int(log.times[0]))
    if not num_users:
        days = write_duration(split.horizon * len(tests))
        raise DataError(f"the newest {days} hold no target event", next_step="set split.horizon or split.test higher")
    selection = log.window(tests[-1].start - selection_length, tests[-1].start)
    if not selection.num_users:
        raise DataError(
            f"the selection window of {write_duration(split.selection or split.horizon)} before {_moment(selection.end)} holds "
            "no target event, so nothing can be chosen on it",
            next_step="set split.selection longer",
        )
    return Plan("global_time", now, num_users, selection, tuple(tests))


@dataclass(frozen=True, eq=False)
class _Targets:
    """Target events in the order of time."""

    times: NDArray[np.int64]
    users: NDArray[np.int64]

    def num_before(self, moment: int) -> int:
        return int(np.searchsorted(self.times, moment))

    def window(self, start: int, end: int) -> Window:
        low, high = self.num_before(start), self.num_before(end)
        return Window(start, end, high - low, len(np.unique(self.users[low:high])))


def _origins(now: int, horizon: int, num_windows: int) -> Iterator[int]:
    for place in range(1, num_windows + 1):
        yield now - place * horizon


def _too_short(split: Split, first: int, newest: int, first_target: int) -> DataError:
    needed = split.horizon + (split.selection or split.horizon)
    days, target_days = ((newest - moment) / MICROSECONDS_A_DAY for moment in (first, first_target))
    third = timedelta(hours=int(target_days * 24 / 3))
    shorter = f", or set split.horizon to '{write_duration(third)}' or less and leave split.selection out" if third else ""
    return DataError(
        f"the log is too short: it spans {days:.1f} days, {target_days:.1f} since the first target event, and a test window of "
        f"{write_duration(split.horizon)} and a selection window of {write_duration(split.selection or split.horizon)} need "
        f"target events older than {needed.total_seconds() / 86400:.1f} days",
        next_step=f"bring older events{shorter}",
    )


def leave_last_out(data: Interactions, is_target: NDArray[np.bool_], which: Side) -> tuple[Interactions, pd.DataFrame]:
    """Hold out one target event of every user who has at least three.

    Parameters
    ----------
    data : Interactions
        E events, ordered by user and time.
    is_target : bool [E]
        Which of them count as success.
    which : "selection" or "test"
        The target before the last, or the last.

    Returns
    -------
    fit : Interactions
        All but the users' events from the held-out one on, and but copies of it (same user, item and time) before it.
        Users with fewer targets keep all.
    targets : DataFrame
        ``user_id, item_id, is_repeat, timestamp``, one row a user; a repeat is an item that the user has as a target in fit.
    """
    places = np.flatnonzero(is_target)
    ends = np.searchsorted(data.users[places], np.arange(data.num_users), side="right")
    counts = np.diff(ends, prepend=0)
    held_out = places[ends[counts >= MIN_TARGETS] - (1 if which == "test" else 2)]
    cut = np.full(data.num_users, len(data), np.int64)
    cut[data.users[held_out]] = held_out
    is_fit = np.arange(len(data)) < cut[data.users]
    is_fit &= ~_are_copies(data, held_out)
    kept = places[is_fit[places]]
    known = np.unique(data.users[kept].astype(np.int64) * data.num_items + data.items[kept])
    targets = pd.DataFrame(
        {
            USER_ID: data.user_ids[data.users[held_out]],
            ITEM_ID: data.item_ids[data.items[held_out]],
            IS_REPEAT: np.isin(data.users[held_out].astype(np.int64) * data.num_items + data.items[held_out], known),
            TIMESTAMP: pd.to_datetime(data.timestamps[held_out], unit="us", utc=True),
        }
    )
    return data.select(is_fit), targets


def _are_copies(data: Interactions, held_out: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which events have user, item and time of their user's held-out one; bool [E]."""
    item, time = np.full(data.num_users, -1, np.int64), np.zeros(data.num_users, np.int64)
    item[data.users[held_out]] = data.items[held_out]
    time[data.users[held_out]] = data.timestamps[held_out]
    are_copies: NDArray[np.bool_] = (data.items == item[data.users]) & (data.timestamps == time[data.users])
    return are_copies


def check_no_leak(fit: Interactions, cut_off: int) -> None:
    """Raise LeakError where an event of the fit is at or after the cut-off (microseconds)."""
    late = np.flatnonzero(fit.timestamps >= cut_off)
    if len(late):
        first = late[np.argmin(fit.timestamps[late])]
        raise LeakError(
            f"{len(late)} of {len(fit)} training events are at or after the cut-off {_moment(cut_off)}; the first: "
            + _event(fit, int(first)),
            next_step="fit on the events before the cut-off only",
        )


def check_no_shared_events(fit: Interactions, targets: pd.DataFrame) -> None:
    """Raise LeakError where an event (same user, item and time) is in the fit and among the targets.

    ``targets`` has ``user_id, item_id, timestamp``.
    """
    moments = targets[TIMESTAMP].dt.as_unit("us").astype("int64").to_numpy()
    users = fit.user_index.get_indexer(pd.Index(targets[USER_ID]))
    items = fit.item_index.get_indexer(pd.Index(targets[ITEM_ID]))
    ours = pd.MultiIndex.from_arrays([fit.users.astype(np.int64), fit.items.astype(np.int64), fit.timestamps])
    theirs = pd.MultiIndex.from_arrays([users.astype(np.int64), items.astype(np.int64), moments])
    shared = np.flatnonzero(ours.isin(theirs))
    if len(shared):
        raise LeakError(
            f"{len(shared)} events are in the fit and among the targets; the first: " + _event(fit, int(shared[0])),
            next_step="take the targets out of the fit",
        )


def _event(data: Interactions, place: int) -> str:
    user, item = data.user_ids[data.users[place]], data.item_ids[data.items[place]]
    return f"user {user!r}, item {item!r}, {_moment(int(data.timestamps[place]))}"


def _moment(microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat(sep=" ")


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
