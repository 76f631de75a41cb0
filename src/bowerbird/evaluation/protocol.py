"""How time is cut into fit, selection and test.

``global_time``: with "now" one microsecond after the newest event and a horizon h, the test windows are [now - h, now),
[now - 2 h, now - h) and so on; the selection window ends where the oldest of them begins; fit is all before it. What is
scored on a window is fitted on the events before that window's start.

``rolling_origins``: several cut-offs, one a step before the other, each with all before it to fit on and a horizon after it to
test on: what a backtest runs over.

``leave_last_out``: a user's last target is the test, the one before it the selection. Other users' later events are in
the fit, so global statistics leak; say so wherever its figures stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import IS_REPEAT, ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Ids, Interactions
from bowerbird.errors import DataError
from bowerbird.evaluation.leaks import write_moment
from bowerbird.recipe_split import Split
from bowerbird.recipe_values import write_duration

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
class Plan:
    """How time is cut for the global split.

    Attributes
    ----------
    now : int
        One microsecond after the newest event.
    selection : Window
        Where the nominee is chosen.
    test : tuple of Window
        Consecutive, newest first; one of them may have no users.
    num_users : int
        Distinct users with targets in the test windows together.
    """

    now: int
    selection: Window
    test: tuple[Window, ...]
    num_users: int


@dataclass(frozen=True)
class Origin:
    """One cut-off of a backtest: ``fit`` reaches from the first target event up to it, ``test`` begins with it."""

    fit: Window
    test: Window

    @property
    def cut_off(self) -> int:
        """Microseconds; a model is fitted on the events before this."""
        return self.test.start


def plan_global_time(users: Ids, times: NDArray[np.int64], split: Split, *, now: int) -> Plan:
    """Cut time into test windows as long as the horizon, a selection window before them, and fit before that.

    Test windows are added, newest first, until together they have 1,000 distinct users or a tenth of the target events,
    or there are ``split.test``, or the next would leave no target event to fit on. A window without users counts too.

    Parameters
    ----------
    users, times : [T], int64 [T]
        User and time (microseconds since 1970) of each target event, in any order.
    split : Split
        The recipe's section.
    now : int
        One microsecond after the newest accepted event of any kind.

    Raises
    ------
    DataError
        Where the log is too short for one test window, a selection window and a target event before both, or one of the two
        has no target event.
    """
    log = _Targets.of(users, times)
    horizon, selection_length = _microseconds(split.horizon), _microseconds(split.selection or split.horizon)
    test: list[Window] = []
    num_users = 0
    for start in range(now - horizon, now - (split.test + 1) * horizon, -horizon):
        if log.num_before(start - selection_length) == 0:
            break
        test.append(log.window(start, start + horizon))
        pooled = log.window(start, now)
        num_users = pooled.num_users
        if num_users >= ENOUGH_USERS or pooled.num_events >= ENOUGH_SHARE * len(times):
            break
    if not test:
        raise _too_short(split, log, now)
    selection = log.window(test[-1].start - selection_length, test[-1].start)
    _check_not_empty(split, selection, num_users, len(test))
    return Plan(now, selection, tuple(test), num_users)


@dataclass(frozen=True, eq=False)
class _Targets:
    """Target events in the order of time."""

    times: NDArray[np.int64]
    users: NDArray[np.int64]

    @classmethod
    def of(cls, users: Ids, times: NDArray[np.int64]) -> _Targets:
        order = np.argsort(times, kind="stable")
        return cls(np.asarray(times, np.int64)[order], np.asarray(pd.factorize(np.asarray(users))[0])[order])

    def num_before(self, moment: int) -> int:
        return int(np.searchsorted(self.times, moment))

    def window(self, start: int, end: int) -> Window:
        low, high = self.num_before(start), self.num_before(end)
        return Window(start, end, high - low, len(np.unique(self.users[low:high])))


def rolling_origins(
    users: Ids,
    times: NDArray[np.int64],
    *,
    now: int,
    horizon: timedelta,
    num_origins: int,
    step: timedelta | None = None,
) -> tuple[Origin, ...]:
    """Plan the cut-offs of a backtest, newest first: now - horizon, a step before that, and so on.

    A step shorter than the horizon makes test windows overlap: a target then counts for each window that it lies in.

    Parameters
    ----------
    users, times : [T], int64 [T]
        User and time (microseconds since 1970) of each target event, in any order.
    now : int
        One microsecond after the newest accepted event of any kind.
    horizon : timedelta
        Length of each test window.
    num_origins : int
        How many, at least 1.
    step : timedelta
        From one cut-off to the one before it; the horizon where absent.

    Returns
    -------
    tuple of Origin
        As many as asked, each with target events on both sides.

    Raises
    ------
    DataError
        Where no target event lies before the oldest cut-off, where one of the windows has none, and where a length or
        ``num_origins`` is not above 0.
    """
    step = horizon if step is None else step
    if num_origins < 1 or min(horizon, step) <= timedelta():
        raise DataError(
            f"{num_origins} origins with horizon {horizon} and step {step}",
            next_step="give at least 1 origin and lengths above 0",
        )
    log = _Targets.of(users, times)
    oldest = now - _microseconds(horizon) - (num_origins - 1) * _microseconds(step)
    if log.num_before(oldest) == 0:
        raise _too_few_days(log, now, horizon, step, num_origins)
    found = []
    for cut_off in range(now - _microseconds(horizon), oldest - 1, -_microseconds(step)):
        test = log.window(cut_off, cut_off + _microseconds(horizon))
        if not test.num_users:
            raise DataError(
                f"the {write_duration(horizon)} from {write_moment(cut_off)} on hold no target event to test on",
                next_step="set the horizon longer",
            )
        found.append(Origin(log.window(int(log.times[0]), cut_off), test))
    return tuple(found)


def _too_few_days(log: _Targets, now: int, horizon: timedelta, step: timedelta, num_origins: int) -> DataError:
    age = timedelta(microseconds=now - int(log.times[0])) if len(log.times) else timedelta()
    possible = max(0, 1 + (age - horizon - timedelta(microseconds=1)) // step)
    fewer = f"ask for {possible} origins or fewer, or for a shorter step" if possible else "set the horizon shorter"
    return DataError(
        f"the log is too short for {num_origins} origins: its first target event is {age / timedelta(days=1):.1f} days old, and "
        f"a horizon of {write_duration(horizon)} with steps of {write_duration(step)} needs one older than "
        f"{(horizon + (num_origins - 1) * step) / timedelta(days=1):.1f} days",
        next_step=f"bring older events, or {fewer}",
    )


def _too_short(split: Split, log: _Targets, now: int) -> DataError:
    selection = split.selection or split.horizon
    days = (now - log.times[0]) / MICROSECONDS_A_DAY if len(log.times) else 0.0
    third = timedelta(hours=int(days * 24 / 3))
    shorter = f", or set split.horizon to '{write_duration(third)}' or less and leave split.selection out" if third else ""
    return DataError(
        f"the log is too short: its first target event is {days:.1f} days old, and the selection window "
        f"({write_duration(selection)}) and one test window ({write_duration(split.horizon)}) need one older than "
        f"{(split.horizon + selection).total_seconds() / 86400:.1f} days",
        next_step=f"bring older events{shorter}",
    )


def _check_not_empty(split: Split, selection: Window, num_users: int, num_windows: int) -> None:
    if not num_users:
        length = write_duration(split.horizon * num_windows)
        raise DataError(
            f"the newest {length} hold no target event to test on", next_step="set split.horizon or split.test higher"
        )
    if not selection.num_users:
        raise DataError(
            f"the {write_duration(split.selection or split.horizon)} before {write_moment(selection.end)} hold no target event, "
            "so nothing can be chosen on them",
            next_step="set split.selection longer",
        )


def leave_last_out(
    data: Interactions, is_target: NDArray[np.bool_], *, which: Side
) -> tuple[Interactions, NDArray[np.bool_], pd.DataFrame]:
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
    is_target : bool
        Which events of the fit count as success.
    targets : DataFrame
        ``user_id, item_id, is_repeat, timestamp``, one row a user; a repeat is an item that the user has as a target in fit.

    Raises
    ------
    DataError
        Where no user has three target events.
    """
    places = np.flatnonzero(is_target)
    ends = np.searchsorted(data.users[places], np.arange(data.num_users), side="right")
    counts = np.diff(ends, prepend=0)
    if not (counts >= MIN_TARGETS).any():
        raise DataError(
            f"no user has {MIN_TARGETS} target events", next_step="bring more events, or set split.kind = 'global_time'"
        )
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
    return data.select(is_fit), is_target[is_fit], targets


def shuffle_ties(data: Interactions, is_target: NDArray[np.bool_], *, seed: int) -> tuple[Interactions, NDArray[np.bool_]]:
    """Put events of one user and moment in random order; what is drawn for a moment depends on nothing that comes later."""
    keys = pd.util.hash_array(data.user_ids.astype(str).astype(object))[data.users]
    begins = np.ones(len(data), bool)
    begins[1:] = (data.users[1:] != data.users[:-1]) | (data.timestamps[1:] != data.timestamps[:-1])
    starts = np.maximum.accumulate(np.where(begins, np.arange(len(data)), 0))
    parts = (data.timestamps, np.arange(len(data)) - starts, np.full(len(data), seed))
    for part in parts:
        keys = pd.util.hash_array(keys ^ pd.util.hash_array(part.astype(np.int64)))
    order = np.lexsort((keys, data.timestamps, data.users))
    return data.select(order), is_target[order]


def share_of_ties(data: Interactions) -> float:
    """Return the share of events that have user and time in common with the event before them."""
    if len(data) < 2:
        return 0.0
    ties = (data.users[1:] == data.users[:-1]) & (data.timestamps[1:] == data.timestamps[:-1])
    return float(ties.mean())


def _are_copies(data: Interactions, held_out: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which events have user, item and time of their user's held-out one; bool [E]."""
    item, time = np.full(data.num_users, -1, np.int64), np.zeros(data.num_users, np.int64)
    item[data.users[held_out]] = data.items[held_out]
    time[data.users[held_out]] = data.timestamps[held_out]
    are_copies: NDArray[np.bool_] = (data.items == item[data.users]) & (data.timestamps == time[data.users])
    return are_copies


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
