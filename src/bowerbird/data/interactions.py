"""Interactions: who did what with which item, when; the one form in which models are given events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import EVENT, ITEM_ID, LABEL, SESSION_ID, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.errors import DataError

Ids = NDArray[Any]  # Any: ids are texts or whole numbers, whatever the caller has
MICROSECONDS_A_DAY = 86_400_000_000
LATEST_SECOND = 253_402_300_799  # the end of the year 9999


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events ordered by user, then time, then the order they came in; E events, U users, N items.

    Attributes
    ----------
    user_ids, item_ids : array [U], [N]
        The distinct ids, ascending; codes point into them, so lower codes win ties.
    users, items : int32 [E]
        Codes.
    timestamps : int64 [E]
        Microseconds since 1970, UTC.
    weights : float64 [E]
        Evidence, not negative; 0 is seen without evidence.
    event_types, events : tuple of text, int16 [E]
        The types and, for each event, the place of its type.
    labels : float64 [E] or None
    sessions : int64 [E] or None
        Session codes; -1 where there is no session.
    """

    user_ids: Ids
    item_ids: Ids
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    weights: NDArray[np.float64]
    event_types: tuple[str, ...]
    events: NDArray[np.int16]
    labels: NDArray[np.float64] | None = None
    sessions: NDArray[np.int64] | None = None

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, item_ids: Ids | None = None) -> Interactions:
        """Read a frame with ``user_id, item_id, timestamp[, event, weight, label, session_id]``.

        Repeats are kept and ties in time keep the order of the rows. ``timestamp`` is a datetime (no zone means UTC) or
        a number of seconds since 1970, or a text in ISO 8601. ``item_ids`` makes the catalogue wider than the items that occur.

        Raises
        ------
        DataError
            For a missing column, a missing id, ids of mixed types or of another type than text and whole numbers, a time
            that cannot be read, a missing event type, a weight that is negative or not finite.
        """
        for column in (USER_ID, ITEM_ID, TIMESTAMP):
            if column not in frame.columns:
                raise DataError(
                    f"the frame has no column {column!r}; it has {list(map(str, frame.columns))}",
                    next_step="rename the column that holds it",
                )
        users, user_ids = _codes(frame[USER_ID], USER_ID)
        items, known_items = _codes(frame[ITEM_ID], ITEM_ID)
        if item_ids is not None:
            catalogue = union(known_items, _codes(pd.Series(np.asarray(item_ids)), ITEM_ID)[1], ITEM_ID)
            items, known_items = _places(known_items, catalogue)[items], catalogue
        timestamps = to_microseconds(frame[TIMESTAMP])
        events, types = _event_codes(frame)
        labels = _numbers(frame[LABEL], LABEL) if LABEL in frame else None
        sessions = pd.factorize(frame[SESSION_ID])[0].astype(np.int64) if SESSION_ID in frame else None
        order = np.lexsort((timestamps, users))  # stable: rows break ties
        return cls(
            user_ids,
            known_items,
            users[order],
            items[order],
            timestamps[order],
            _weights(frame)[order],
            types,
            events[order],
            None if labels is None else labels[order],
            None if sessions is None else sessions[order],
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        return len(self.item_ids)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """Where each user's events begin, and a last entry for the end; int64 [U + 1]."""
        return np.searchsorted(self.users, np.arange(self.num_users + 1)).astype(np.int64)

    @cached_property
    def user_index(self) -> pd.Index[Any]:  # Any: see Ids
        """Looks up codes: ``user_index.get_indexer(ids)`` gives -1 for unknown ids."""
        return pd.Index(self.user_ids)

    @cached_property
    def item_index(self) -> pd.Index[Any]:  # Any: see Ids
        """Looks up codes: ``item_index.get_indexer(ids)`` gives -1 for unknown ids."""
        return pd.Index(self.item_ids)

    @property
    def session_codes(self) -> NDArray[np.int64]:
        """The events' session codes, -1 for all where no event has one; int64 [E]."""
        return np.broadcast_to(np.int64(-1), len(self)) if self.sessions is None else self.sessions

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """Which events count as success: those with a label above 0 or, where there are no labels, a weight above 0; bool [E]."""
        is_target: NDArray[np.bool_] = (self.weights if self.labels is None else self.labels) > 0
        return is_target

    @property
    def last_timestamp(self) -> int:
        """The newest event's time in microseconds; 0 where there is no event."""
        return int(self.timestamps.max()) if len(self) else 0

    def select(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Interactions:
        """Keep the events for which ``mask`` (bool [E]) holds, or those at some places, in that order; codes stay."""
        return Interactions(
            self.user_ids,
            self.item_ids,
            self.users[mask],
            self.items[mask],
            self.timestamps[mask],
            self.weights[mask],
            self.event_types,
            self.events[mask],
            None if self.labels is None else self.labels[mask],
            None if self.sessions is None else self.sessions[mask],
        )

    def with_items(self, item_ids: Ids) -> Interactions:
        """Return the same events over a catalogue that holds ``item_ids`` too; codes stay ascending by id.

        Raises DataError where ids are texts on one side and numbers on the other.
        """
        wider = union(self.item_ids, np.unique(item_ids), ITEM_ID)
        if len(wider) == len(self.item_ids):
            return self
        return replace(self, item_ids=wider, items=_places(self.item_ids, wider)[self.items])

    def concat(self, later: Interactions) -> Interactions:
        """Join two logs as ``from_frame`` would have read their rows one after the other; repeats are kept.

        Users and items are the union, without duplicates. At equal times the events of ``later`` come second. Sessions
        and labels are kept where both logs have them; sessions of the two are different sessions. Raises DataError
        where ids are texts in one log and numbers in the other.
        """
        user_ids = union(self.user_ids, later.user_ids, USER_ID)
        item_ids = union(self.item_ids, later.item_ids, ITEM_ID)
        types = tuple(sorted({*self.event_types, *later.event_types}))
        both = (self, later)
        users = np.concatenate([_places(log.user_ids, user_ids)[log.users] for log in both])
        items = np.concatenate([_places(log.item_ids, item_ids)[log.items] for log in both])
        events = np.concatenate([np.asarray([types.index(t) for t in log.event_types], np.int16)[log.events] for log in both])
        timestamps = np.concatenate([self.timestamps, later.timestamps])
        weights = np.concatenate([self.weights, later.weights])
        labels = None if self.labels is None or later.labels is None else np.concatenate([self.labels, later.labels])
        sessions = None
        if self.sessions is not None and later.sessions is not None:
            first_free = int(self.sessions.max(initial=-1)) + 1
            sessions = np.concatenate([self.sessions, np.where(later.sessions < 0, -1, later.sessions + first_free)])
        order = np.lexsort((timestamps, users))  # stable: the earlier log breaks ties
        return Interactions(
            user_ids,
            item_ids,
            users[order],
            items[order],
            timestamps[order],
            weights[order],
            types,
            events[order],
            None if labels is None else labels[order],
            None if sessions is None else sessions[order],
        )

    def evidence(self) -> Interactions:
        """Keep the events with a weight above 0."""
        return self.select(self.weights > 0)

    def before(self, cut_off: int) -> Interactions:
        """Keep the events before ``cut_off`` (microseconds)."""
        return self.select(self.timestamps < cut_off)

    def has_event(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Tell which events are of one of these types; bool [E]. Names that do not occur match nothing."""
        wanted = [place for place, name in enumerate(self.event_types) if name in set(names)]
        return np.isin(self.events, wanted)

    def item_weights(self, *, since: int | None = None) -> NDArray[np.float64]:
        """Sum the weights by item, of events at or after ``since`` where given; float64 [N]."""
        kept = self if since is None else self.select(self.timestamps >= since)
        return np.bincount(kept.items, kept.weights, minlength=self.num_items).astype(np.float64)

    def to_frame(self) -> pd.DataFrame:
        """Return ``user_id, item_id, timestamp, event, weight[, label, session_id]``, ordered as held."""
        frame = pd.DataFrame(
            {
                USER_ID: self.user_ids[self.users],
                ITEM_ID: self.item_ids[self.items],
                TIMESTAMP: pd.to_datetime(self.timestamps, unit="us", utc=True),
                EVENT: np.asarray(self.event_types, object)[self.events],
                WEIGHT: self.weights,
            }
        )
        if self.labels is not None:
            frame[LABEL] = self.labels
        if self.sessions is not None:
            frame[SESSION_ID] = self.sessions
        return frame


def to_microseconds(times: pd.Series[Any]) -> NDArray[np.int64]:  # Any: datetimes or numbers
    """Turn datetimes (no zone means UTC) or seconds since 1970 into microseconds. Raises DataError."""
    if times.isna().any():
        raise DataError(f"{int(times.isna().sum())} timestamps are missing", next_step="drop those rows or give them a time")
    if pd.api.types.is_numeric_dtype(times):
        seconds = times.to_numpy()
        if not np.isfinite(seconds).all():
            raise DataError("a timestamp is not finite", next_step="give seconds since 1970 or datetimes")
        if len(seconds) and np.abs(seconds).max() > LATEST_SECOND:
            raise DataError(
                f"the timestamp {seconds[np.abs(seconds).argmax()]} lies beyond the year 9999",
                next_step="give seconds since 1970, not milliseconds",
            )
        return np.round(seconds * 1e6).astype(np.int64) if seconds.dtype.kind == "f" else seconds.astype(np.int64) * 1_000_000
    try:
        moments = pd.to_datetime(times, utc=True, format="ISO8601" if isinstance(times.dtype, pd.StringDtype) else None)
    except (ValueError, TypeError) as error:
        raise DataError(f"a timestamp cannot be read: {error}", next_step="give seconds since 1970 or datetimes") from error
    return np.asarray(moments.dt.as_unit("us").astype("int64"), np.int64)


def union(first: Ids, second: Ids, column: str) -> Ids:
    """Merge distinct ids in ascending order. Raises DataError where one side is texts and the other numbers."""
    if len(first) == 0 or len(second) == 0:
        return second if len(first) == 0 else first
    if isinstance(first[0], str) != isinstance(second[0], str):
        raise DataError(
            f"{column} holds {type(first[0]).__name__} on one side and {type(second[0]).__name__} on the other",
            next_step=f"turn {column} into one type, such as text",
        )
    if np.result_type(first, second).kind == "f":  # signed and unsigned whole numbers have no common type but object
        first, second = first.astype(object), second.astype(object)
    merged: Ids = np.unique(np.concatenate([first, second]))
    return merged


def _places(ids: Ids, among: Ids) -> NDArray[np.int32]:
    """Find the codes of ids in a larger set."""
    return pd.Index(among).get_indexer(pd.Index(ids)).astype(np.int32)


def _codes(ids: pd.Series[Any], column: str) -> tuple[NDArray[np.int32], Ids]:  # Any: see Ids
    """Number the distinct ids in ascending order."""
    if ids.isna().any():
        raise DataError(f"{int(ids.isna().sum())} rows have no {column}", next_step="drop those rows")
    kinds = {type(value).__name__ for value in ids.unique().tolist()} if ids.dtype.kind not in "iu" else {"int"}
    if len(kinds) > 1:
        raise DataError(f"{column} mixes types: {sorted(kinds)}", next_step=f"turn {column} into one type, such as text")
    if kinds - {"str", "int"}:
        raise DataError(
            f"{column} holds {kinds.pop()}; ids are texts or whole numbers", next_step=f"turn {column} into one of these"
        )
    codes, distinct = pd.factorize(ids, sort=True)
    values = np.asarray(distinct)
    return codes.astype(np.int32), values if values.dtype.kind in "iu" else values.astype(object)


def _event_codes(frame: pd.DataFrame) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    if EVENT not in frame:
        return np.zeros(len(frame), np.int16), ("interaction",)
    if frame[EVENT].isna().any():
        raise DataError(f"{int(frame[EVENT].isna().sum())} rows have no event type", next_step="name one, or drop the column")
    codes, types = pd.factorize(frame[EVENT].astype(str), sort=True)
    return codes.astype(np.int16), tuple(map(str, types))


def _weights(frame: pd.DataFrame) -> NDArray[np.float64]:
    if WEIGHT not in frame:
        return np.ones(len(frame))
    weights = _numbers(frame[WEIGHT], WEIGHT)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} weights are negative or not finite, the first is {weights[wrong][0]}",
            next_step="give weights of 0 (seen without evidence) or more",
        )
    return weights


def _numbers(values: pd.Series[Any], column: str) -> NDArray[np.float64]:  # Any: what should be numbers
    try:
        return values.to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise DataError(f"{column} holds what is no number: {error}", next_step=f"give numbers in {column}") from error
