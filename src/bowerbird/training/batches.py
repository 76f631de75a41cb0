"""Batches of windows of like length, so that next to no padding is computed and none enters the loss.

Shapes: B windows, L targets of the longest window, T targets of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bowerbird.data.sequences import Sequences, Windows, cut_windows


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of the events read besides their items.

    Attributes
    ----------
    lengths : int64 [B]
        Events of each row; what follows is padding.
    timestamps : int64 [B, L]
        Microseconds since 1970, where they are known.
    events : int64 [B, L]
        Codes of event types, where they are known.
    asked : int64 [B, L]
        For each event read the time at which the one after it is asked for, where it is known: in training that of the next
        event, when lists are made that of the request.
    """

    lengths: Tensor
    timestamps: Tensor | None = None
    events: Tensor | None = None
    asked: Tensor | None = None

    def rows(self, start: int, stop: int) -> Context:
        """Take some of the rows."""
        columns = (self.timestamps, self.events, self.asked)
        return Context(self.lengths[start:stop], *(None if column is None else column[start:stop] for column in columns))

    def to(self, device: torch.device) -> Context:
        """Move to a device."""
        columns = (self.timestamps, self.events, self.asked)
        return Context(self.lengths.to(device), *(None if column is None else column.to(device) for column in columns))


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows side by side, padded on the right with item 0.

    Attributes
    ----------
    tokens : int64 [B, L + 1]
        Items: all but the last column are read, all but the first are targets.
    places : int64 [T]
        Where in the flattened [B * L] targets the real ones are.
    context : Context
        Of the columns that are read.
    whole : Batch
        The batch of which these are some rows, where processes share it, and the place there of the first one (``start``): what
        is drawn by chance is drawn for the whole.
    """

    tokens: Tensor
    places: Tensor
    context: Context
    whole: Batch | None = None
    start: int = 0

    @property
    def num_rows(self) -> int:
        """B."""
        return len(self.tokens)

    @property
    def targets(self) -> Tensor:
        """The items to foretell; int64 [T]."""
        return self.tokens[:, 1:].flatten()[self.places]

    def rows(self, start: int, stop: int) -> Batch:
        """Take some of the windows, as wide as they are here."""
        width = self.tokens.shape[1] - 1
        places = self.places[(self.places >= start * width) & (self.places < stop * width)] - start * width
        return Batch(self.tokens[start:stop], places, self.context.rows(start, stop), self, start)

    def to(self, device: torch.device) -> Batch:
        """Move to a device, before any rows are taken."""
        return Batch(self.tokens.to(device), self.places.to(device), self.context.to(device))


def num_batches(windows: Windows, batch_tokens: int) -> int:
    """Count the batches of one epoch."""
    return len(_bounds(np.sort(windows.sizes)[::-1], batch_tokens)) - 1


def epoch_batches(
    sequences: Sequences, *, max_length: int, batch_tokens: int, generator: torch.Generator | None = None
) -> Iterator[Batch]:
    """Yield every target of an epoch once, in batches of at most ``batch_tokens`` targets with padding.

    A generator shifts the windows' cuts and shuffles windows of one length and the batches; without one, order and cuts are
    fixed. A window longer than ``batch_tokens`` is a batch of its own.
    """
    shifts = _draw(len(sequences), max_length, generator)
    windows = cut_windows(sequences, max_length, shifts)
    shuffled = _permutation(len(windows.sizes), generator)
    order = shuffled[np.argsort(-windows.sizes[shuffled], kind="stable")]
    bounds = _bounds(windows.sizes[order], batch_tokens)
    for place in _permutation(len(bounds) - 1, generator):
        chosen = order[bounds[place] : bounds[place + 1]]
        yield _batch(sequences, windows, chosen)


def padded_batches(
    sequences: Sequences, *, asked: NDArray[np.int64] | None = None, batch_tokens: int = 16_384
) -> Iterator[tuple[NDArray[np.int64], Tensor, Context]]:
    """Yield the sequences that are not empty, longest first: their places [B], items padded on the right [B, L], and the rest.

    ``asked`` int64 [S] are the times at which the next event of each sequence is asked for.
    """
    lengths = sequences.lengths
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    for start, stop in pairwise(_bounds(lengths[order], batch_tokens)):
        rows = order[start:stop]
        places, is_real = _places(sequences.indptr[rows], lengths[rows])
        timestamps, events = _padded(sequences.timestamps, places, is_real), _padded(sequences.events, places, is_real)
        requests = None if asked is None or timestamps is None else timestamps.roll(-1, dims=1)
        if requests is not None and asked is not None:
            requests[torch.arange(len(rows)), torch.from_numpy(lengths[rows] - 1)] = torch.from_numpy(asked[rows])
        context = Context(torch.from_numpy(lengths[rows]), timestamps, events, requests)
        yield rows, torch.from_numpy(np.where(is_real, sequences.items[places], 0)), context


def _batch(sequences: Sequences, windows: Windows, chosen: NDArray[np.int64]) -> Batch:
    places, is_real = _places(windows.starts[chosen], windows.sizes[chosen] + 1)
    timestamps, events = _padded(sequences.timestamps, places, is_real), _padded(sequences.events, places, is_real)
    context = Context(
        torch.from_numpy(windows.sizes[chosen]),
        None if timestamps is None else timestamps[:, :-1],
        None if events is None else events[:, :-1],
        None if timestamps is None else timestamps[:, 1:],
    )
    tokens = torch.from_numpy(np.where(is_real, sequences.items[places], 0))
    is_target = is_real if sequences.are_targets is None else is_real & sequences.are_targets[places]
    return Batch(tokens, torch.from_numpy(np.flatnonzero(is_target[:, 1:])), context)


def _places(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return for stretches of events where each is, [B, L], and which are no padding; padding points at the first event."""
    steps = np.arange(lengths.max())
    is_real = steps < lengths[:, None]
    return np.where(is_real, starts[:, None] + steps, 0), is_real


def _padded(column: NDArray[np.int64] | None, places: NDArray[np.int64], is_real: NDArray[np.bool_]) -> Tensor | None:
    return None if column is None else torch.from_numpy(np.where(is_real, column[places], 0))


def _bounds(falling_sizes: NDArray[np.int64], batch_tokens: int) -> list[int]:
    """Cut windows, longest first, into runs whose count times longest is at most ``batch_tokens``."""
    bounds = [0]
    while bounds[-1] < len(falling_sizes):
        count = max(1, batch_tokens // int(falling_sizes[bounds[-1]]))
        bounds.append(min(bounds[-1] + count, len(falling_sizes)))
    return bounds


def _permutation(count: int, generator: torch.Generator | None) -> NDArray[np.int64]:
    return np.arange(count) if generator is None else torch.randperm(count, generator=generator).numpy()


def _draw(count: int, below: int, generator: torch.Generator | None) -> NDArray[np.int64] | None:
    return None if generator is None else torch.randint(below, (count,), generator=generator).numpy()
