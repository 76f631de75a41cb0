"""Session next item: within a session, all but the last target are the history, and the last target is to be found.

A session is what one user did under one ``session_id`` or, of events without one, until he paused for longer than a gap. It
is asked about alone, under a name of its own, whatever its user did before. Sessions are cut by time as all else: a model is
fitted on the events before the window in which the target lies. Shapes: E events, S sessions with something to find.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import EVENT, IS_REPEAT, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.data.interactions import Interactions
from bowerbird.errors import DataError

OWNER = "owner"
"""The user whose session it is."""


def number_sessions(data: Interactions, *, gap: int) -> NDArray[np.int64]:
    """Tell the sessions apart; int64 [E]. ``gap`` is in microseconds."""
    numbers = np.zeros(len(data), np.int64)
    bare = np.flatnonzero(data.session_codes < 0)
    users, times = data.users[bare], data.timestamps[bare]
    begins = np.ones(len(bare), bool)
    begins[1:] = (users[1:] != users[:-1]) | (np.diff(times) > gap)
    numbers[bare] = np.cumsum(begins)
    given = np.flatnonzero(data.session_codes >= 0)
    pairs = data.users[given].astype(np.int64) * (data.session_codes.max(initial=0) + 1) + data.session_codes[given]
    numbers[given] = numbers.max(initial=0) + 1 + pd.factorize(pairs)[0]
    return numbers


def has_history(data: Interactions, is_target: NDArray[np.bool_], *, gap: int) -> NDArray[np.bool_]:
    """Tell which events are their session's last target and have another event before them in it; bool [E]."""
    order, last, starts = _last_targets(data, is_target, gap)
    found = np.zeros(len(data), bool)
    found[order[last[last > starts]]] = True
    return found


def next_item(
    data: Interactions, is_target: NDArray[np.bool_], *, start: int, end: int, gap: int
) -> tuple[Interactions, pd.DataFrame]:
    """Cut the sessions whose last target lies in [start, end) into history and target.

    Parameters
    ----------
    data : Interactions
        E events before ``end``, ordered by user and time.
    is_target : bool [E]
        Which of them count as success.
    start, end, gap : int
        Microseconds.

    Returns
    -------
    history : Interactions
        What came before the target, the sessions as users, but copies of the target (same item and time). Moved in time so
        that the target falls at ``start``, where the model was fitted: pauses stay, and no age is below 0.
    targets : DataFrame
        ``user_id`` (the session), ``item_id, is_repeat, timestamp, owner``; a repeat is a target of the history too.

    Raises
    ------
    DataError
        Where no session has a target in the window and an event before it.
    """
    order, last, starts = _last_targets(data, is_target, gap)
    times = data.timestamps[order[last]]
    asked = (last > starts) & (times >= start) & (times < end)
    last, starts = last[asked], starts[asked]
    owners_H = np.repeat(np.arange(len(last)), last - starts)  # H events of the histories
    places_H = order[np.arange(len(owners_H)) - np.repeat(np.cumsum(last - starts) - last, last - starts)]
    found_S = order[last]
    is_copy = (data.items[places_H] == data.items[found_S][owners_H]) & (
        data.timestamps[places_H] == data.timestamps[found_S][owners_H]
    )
    owners_H, places_H = owners_H[~is_copy], places_H[~is_copy]
    kept_S = np.isin(np.arange(len(found_S)), owners_H)
    if not kept_S.any():
        raise DataError(
            "no session of the window has a target and an event before it",
            next_step="set split.session_gap or split.horizon longer",
        )
    names_S = _names(data, found_S)
    moved_H = data.timestamps[places_H] - data.timestamps[found_S][owners_H] + start
    history = pd.DataFrame(
        {
            USER_ID: names_S[owners_H],
            ITEM_ID: data.item_ids[data.items[places_H]],
            TIMESTAMP: pd.to_datetime(moved_H, unit="us", utc=True),
            EVENT: np.asarray(data.event_types, object)[data.events[places_H]],
            WEIGHT: data.weights[places_H],
        }
    )
    succeeded = owners_H[is_target[places_H]] * data.num_items + data.items[places_H][is_target[places_H]]
    targets = pd.DataFrame(
        {
            USER_ID: names_S,
            ITEM_ID: data.item_ids[data.items[found_S]],
            IS_REPEAT: np.isin(np.arange(len(found_S)) * data.num_items + data.items[found_S], succeeded),
            TIMESTAMP: pd.to_datetime(data.timestamps[found_S], unit="us", utc=True),
            OWNER: data.user_ids[data.users[found_S]],
        }
    )
    return Interactions.from_frame(history), targets[kept_S].reset_index(drop=True)


def owners_of(targets: pd.DataFrame) -> dict[Any, Any] | None:  # Any: ids are texts or numbers
    """Return whose session each is that targets ask about; None where they ask about users."""
    return dict(zip(targets[USER_ID], targets[OWNER], strict=True)) if OWNER in targets else None


def by_owner(per_session: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Average what the sessions of a user reached, so that one row is one independent user."""
    return per_session.groupby(owners(targets, per_session.index), sort=True).mean().rename_axis(USER_ID)


def owners(targets: pd.DataFrame, user_ids: pd.Index[Any]) -> pd.Index[Any]:  # Any: ids are texts or numbers
    """Return whose the sessions ``user_ids`` are; where ``targets`` are not of sessions, users are their own."""
    if OWNER not in targets:
        return user_ids
    found: pd.Index[Any] = pd.Index(targets.drop_duplicates(USER_ID).set_index(USER_ID)[OWNER].reindex(user_ids))
    return found


def _last_targets(
    data: Interactions, is_target: NDArray[np.bool_], gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Order the events by session [E]; where in that order each session's last target stands, and where the session begins."""
    numbers = number_sessions(data, gap=gap)
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    hits = np.flatnonzero(is_target[order])
    last = hits[np.append(numbers[hits][1:] != numbers[hits][:-1], True)] if len(hits) else hits
    return order, last, np.searchsorted(numbers, numbers[last])


def _names(data: Interactions, found_S: NDArray[np.int64]) -> NDArray[np.object_]:
    """Name each session by its user and its number among the user's."""
    users = pd.Series(data.user_ids[data.users[found_S]]).astype(str)
    numbers = (users.groupby(users).cumcount() + 1).astype(str)
    return (users + "/" + numbers).to_numpy(object)
