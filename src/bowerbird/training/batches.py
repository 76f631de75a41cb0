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
class Batch:
    """Windows side by side, padded on the right with item 0.

    Attributes
    ----------
    tokens : int64 [B, L + 1]
        Items: all but the last column are read, all but the first are targets.
    places : int64 [T]
        Where in the flattened [B * L] targets the real ones are.
    """

    tokens: Tensor
    places: Tensor


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


def padded_batches(sequences: Sequences, *, batch_tokens: int = 16_384) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Yield the sequences that are not empty, longest first: their places [B], items padded on the right [B, L], lengths [B]."""
    lengths = sequences.lengths
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    for start, stop in pairwise(_bounds(lengths[order], batch_tokens)):
        rows = order[start:stop]
        tokens, _ = _padded(sequences.items, sequences.indptr[rows], lengths[rows])
        yield rows, torch.from_numpy(tokens), torch.from_numpy(lengths[rows])


def _batch(sequences: Sequences, windows: Windows, chosen: NDArray[np.int64]) -> Batch:
    tokens, is_real = _padded(sequences.items, windows.starts[chosen], windows.sizes[chosen] + 1)
    return Batch(torch.from_numpy(tokens), torch.from_numpy(np.flatnonzero(is_real[:, 1:])))


def _padded(
    items: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    steps = np.arange(lengths.max())
    is_real = steps < lengths[:, None]
    return np.where(is_real, items[np.where(is_real, starts[:, None] + steps, 0)], 0), is_real


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
