"""The histories of a block of users, from the training events or from what the caller gives instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import TIMESTAMP
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.errors import DataError


@dataclass(frozen=True, eq=False)
class Histories:
    """The histories of a block of B users; E events, ordered by user and time.

    ``users`` holds training codes, -1 for a user the model was not fitted on. ``indptr`` [B + 1] tells where each user's
    events begin. ``items`` are training codes. ``sessions`` tell apart one user's sessions, -1 where there is none. ``ids`` [B]
    are the users' ids, where the block was asked for by id.
    """

    users: NDArray[np.int32]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    weights: NDArray[np.float64]
    events: NDArray[np.int16]
    sessions: NDArray[np.int64]
    ids: Ids | None = None
    stands_in: NDArray[np.bool_] | None = None

    @classmethod
    def of_all(cls, data: Interactions) -> Histories:
        """Return the histories of all users of ``data``, in the order of their codes."""
        users = np.arange(data.num_users, dtype=np.int32)
        return cls(users, data.indptr, *_columns(data), data.user_ids)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The place in the block of each event's user; int64 [E]."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.indptr))

    @property
    def positions_back(self) -> NDArray[np.int64]:
        """How many events of the same user come after each event; 0 for the last; int64 [E]."""
        return np.repeat(self.indptr[1:], np.diff(self.indptr)) - 1 - np.arange(len(self.items))

    @property
    def ages(self) -> NDArray[np.int64]:
        """Microseconds between each event and the same user's newest; int64 [E]."""
        has_past_B = np.diff(self.indptr) > 0
        newest = self.timestamps[self.indptr[1:][has_past_B] - 1]
        return np.repeat(newest, np.diff(self.indptr)[has_past_B]) - self.timestamps

    def select(self, mask: NDArray[np.bool_]) -> Histories:
        """Keep the events for which ``mask`` (bool [E]) holds."""
        kept = np.concatenate([[0], np.cumsum(mask)])[self.indptr]
        columns = self.items[mask], self.timestamps[mask], self.weights[mask], self.events[mask], self.sessions[mask]
        return Histories(self.users, kept, *columns, self.ids, self.stands_in)

    def of_users(self, places: NDArray[np.int64]) -> Histories:
        """Keep the users at some places of the block, in that order, with their events."""
        starts, lengths = self.indptr[places], np.diff(self.indptr)[places]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        events = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        columns = self.items[events], self.timestamps[events], self.weights[events], self.events[events], self.sessions[events]
        ids, stands_in = (None if part is None else part[places] for part in (self.ids, self.stands_in))
        return Histories(self.users[places], indptr, *columns, ids, stands_in)

    def evidence(self) -> Histories:
        """Keep the events with a weight above 0."""
        return self.select(self.weights > 0)

    def last(self, num_events: int) -> Histories:
        """Keep the latest ``num_events`` events of each user."""
        return self.select(self.positions_back < num_events)


class HistoryReader:
    """Finds histories by user id: the caller's events where they have the user, else the training events.

    Attributes
    ----------
    event_types : tuple of text
        What the event codes of the histories stand for.
    num_skipped : int
        Events of the caller that name unknown items.
    """

    def __init__(self, own: Interactions, history: Interactions | pd.DataFrame | None) -> None:
        self.own = own
        self.event_types = own.event_types
        self.num_skipped = 0
        self._other = None if history is None else self._translate(history)

    def read(self, ids: pd.Index[Any]) -> Histories:  # Any: see Ids
        """Collect the histories of some users."""
        own, other = self.own, self._other
        codes = own.user_index.get_indexer(ids).astype(np.int32)
        starts = np.where(codes >= 0, own.indptr[codes], 0)
        lengths = np.where(codes >= 0, own.indptr[codes + 1] - starts, 0)
        if other is None:
            indptr, items, timestamps, weights, events, sessions = _slices(own, starts, lengths)
            return Histories(codes, indptr, items, timestamps, weights, events, sessions, ids.to_numpy())
        replaced = other.user_index.get_indexer(ids)
        stands_in = replaced >= 0
        starts = np.where(stands_in, other.indptr[replaced], starts)
        lengths = np.where(stands_in, other.indptr[replaced + 1] - starts, lengths)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        from_other = np.repeat(stands_in, lengths)
        _, *theirs = _slices(other, starts[stands_in], lengths[stands_in])
        _, *ours = _slices(own, starts[~stands_in], lengths[~stands_in])
        items, timestamps, weights, events, sessions = (
            _merge(from_other, first, second) for first, second in zip(theirs, ours, strict=True)
        )
        return Histories(codes, indptr, items, timestamps, weights, events, sessions, ids.to_numpy(), stands_in)

    def excluded(self, histories: Histories, exclude_seen: bool | Sequence[str]) -> NDArray[np.bool_]:
        """Tell which events keep their item from being recommended again; bool [E]."""
        if isinstance(exclude_seen, str):
            raise DataError(f"exclude_seen is the text {exclude_seen!r}", next_step=f"give a list, as in [{exclude_seen!r}]")
        if isinstance(exclude_seen, bool):
            return np.full(len(histories.items), exclude_seen)
        wanted = [place for place, name in enumerate(self.event_types) if name in set(exclude_seen)]
        return np.isin(histories.events, wanted)

    def _translate(self, history: Interactions | pd.DataFrame) -> Interactions:
        """Give a caller's history the model's item codes and event types; unknown items are dropped and counted."""
        if isinstance(history, pd.DataFrame):
            timed = history if TIMESTAMP in history else history.assign(**{TIMESTAMP: range(len(history))})
            history = Interactions.from_frame(timed)
        items = self.own.item_index.get_indexer(pd.Index(history.item_ids))[history.items].astype(np.int32)
        self.event_types = (*self.own.event_types, *(t for t in history.event_types if t not in self.own.event_types))
        events = np.asarray([self.event_types.index(name) for name in history.event_types], np.int16)[history.events]
        known = items >= 0
        self.num_skipped = int((~known).sum())
        return Interactions(
            history.user_ids,
            self.own.item_ids,
            history.users[known],
            items[known],
            history.timestamps[known],
            history.weights[known],
            self.event_types,
            events[known],
            sessions=history.session_codes[known],
        )


def _slices(data: Interactions, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[Any]]:  # Any: columns
    """Take runs of events: where each run begins in what follows, then ``_columns``."""
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places: slice | NDArray[np.int64]
    if len(starts) and (starts[1:] == starts[:-1] + lengths[:-1]).all():  # one run follows the other: nothing is copied
        places = slice(starts[0], starts[0] + indptr[-1])
    else:
        places = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
    return [indptr, *(column[places] for column in _columns(data))]


def _columns(
    data: Interactions,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.int16], NDArray[np.int64]]:
    """Return what ``Histories`` keeps of each event, in its order."""
    return data.items, data.timestamps, data.weights, data.events, data.session_codes


def _merge(from_first: NDArray[np.bool_], first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:  # Any: one column
    merged = np.empty(len(from_first), first.dtype)
    merged[from_first], merged[~from_first] = first, second
    return merged
