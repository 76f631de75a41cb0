"""Item sequences of users, and the windows in which a sequence model is trained on them.

Shapes: E events, S sequences, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bowerbird.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class Sequences:
    """Items of S users one after the other, oldest first; repeats are kept.

    Attributes
    ----------
    items : int64 [E]
        Item codes.
    indptr : int64 [S + 1]
        Where each sequence begins, and a last entry for the end.
    timestamps : int64 [E]
        Microseconds since 1970, where they are known.
    events : int64 [E]
        Codes of event types, where they are known.
    are_targets : bool [E]
        Which events are learned from, as far as they have one before them; None: all.
    """

    items: NDArray[np.int64]
    indptr: NDArray[np.int64]
    timestamps: NDArray[np.int64] | None = None
    events: NDArray[np.int64] | None = None
    are_targets: NDArray[np.bool_] | None = None

    @classmethod
    def from_interactions(cls, data: Interactions) -> Sequences:
        """Take the events with a weight above 0; a user without one has an empty sequence."""
        evidence = data.evidence()
        return cls(evidence.items.astype(np.int64), evidence.indptr, evidence.timestamps, evidence.events.astype(np.int64))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each sequence; int64 [S]."""
        return np.diff(self.indptr)

    @property
    def num_targets(self) -> int:
        """How many events have one before them, and so can be learned from."""
        return int(np.maximum(self.lengths - 1, 0).sum())

    def without_last(self, chosen: NDArray[np.int64]) -> Sequences:
        """Leave out the last event of the ``chosen`` sequences, none of which may be empty."""
        kept = np.ones(len(self.items), bool)
        kept[self.indptr[chosen + 1] - 1] = False
        return self.where(kept)

    def where(self, kept: NDArray[np.bool_]) -> Sequences:
        """Keep some of the events; bool [E]."""
        return self._take(kept, np.concatenate([[0], np.cumsum(kept)])[self.indptr].astype(np.int64))

    def select(self, chosen: NDArray[np.int64]) -> Sequences:
        """Take the ``chosen`` sequences, in that order."""
        lengths = self.lengths[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return self._take(np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], lengths), indptr)

    def tail(self, length: int) -> Sequences:
        """Keep the last ``length`` events of each sequence."""
        from_end = np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.items))
        return self.where(from_end <= length)

    def targeting(self, since: int) -> Sequences:
        """Keep the sequences with targets at a time or later, and take these alone for targets."""
        assert self.timestamps is not None
        has_past = np.ones(len(self.items), bool)
        has_past[self.indptr[:-1][self.lengths > 0]] = False
        are_targets = has_past & (self.timestamps >= since)
        counts = np.diff(np.concatenate([[0], np.cumsum(are_targets)])[self.indptr])
        return replace(self, are_targets=are_targets).select(np.flatnonzero(counts))

    @classmethod
    def joined(cls, parts: list[Sequences]) -> Sequences:
        """Lay parts side by side, all with times, and all or none with event types."""
        timestamps = [part.timestamps for part in parts if part.timestamps is not None]
        events = [part.events for part in parts if part.events is not None]
        masks = [np.ones(len(part.items), bool) if part.are_targets is None else part.are_targets for part in parts]
        indptr = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))])
        return cls(
            np.concatenate([part.items for part in parts]),
            indptr,
            np.concatenate(timestamps) if timestamps else None,
            np.concatenate(events) if events else None,
            np.concatenate(masks),
        )

    def _take(self, places: NDArray[np.int64] | NDArray[np.bool_], indptr: NDArray[np.int64]) -> Sequences:
        timestamps = None if self.timestamps is None else self.timestamps[places]
        events = None if self.events is None else self.events[places]
        are_targets = None if self.are_targets is None else self.are_targets[places]
        return Sequences(self.items[places], indptr, timestamps, events, are_targets)


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of events: the first is only read, each later one is a target; so W windows hold ``sizes`` targets.

    Window w spans the events ``starts[w]`` to ``starts[w] + sizes[w]``, both included; int64 [W].
    """

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


def cut_windows(sequences: Sequences, length: int, shifts: NDArray[np.int64] | None = None) -> Windows:
    """Cut sequences so that every event but a sequence's first is the target of exactly one window.

    Parameters
    ----------
    length
        The most targets of one window.
    shifts
        How far the cuts move towards the beginning, at least 0 and below ``length``; int64 [S]. Drawn anew each epoch, they
        show every event with now more and now less of its past. A sequence that fits one window is never cut.
    """
    num_targets = np.maximum(sequences.lengths - 1, 0)
    shifts = np.zeros(len(sequences), np.int64) if shifts is None else np.where(num_targets > length, shifts, 0)
    counts = np.where(num_targets > 0, -(-(num_targets + shifts) // length), 0)
    owner = np.repeat(np.arange(len(sequences)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    low = np.maximum(place * length - shifts[owner], 0)
    high = np.minimum((place + 1) * length - shifts[owner], num_targets[owner])
    return Windows(sequences.indptr[owner] + low, high - low)
