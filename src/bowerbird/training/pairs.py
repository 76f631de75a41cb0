"""Batches of pairs of a user and an item with a label: as they are, or events with negatives and substitutes drawn anew.

Shapes: P pairs, E events, N items, V items that may be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor


class Pairs(NamedTuple):
    """Codes of users and items, int64 [P], and labels from 0 to 1, float32 [P]."""

    users_P: Tensor
    items_P: Tensor
    labels_P: Tensor

    @property
    def num_rows(self) -> int:
        """P."""
        return len(self.users_P)

    def select(self, chosen: Tensor | slice) -> Pairs:
        """Take some pairs, in that order."""
        return Pairs(*(column[chosen] for column in self))

    def rows(self, start: int, stop: int) -> Pairs:
        """Take pairs that follow each other."""
        return self.select(slice(start, stop))

    def to(self, device: torch.device) -> Pairs:
        """Move to a device."""
        return Pairs(*(column.to(device) for column in self))


def shuffled(pairs: Pairs, *, batch_size: int, generator: torch.Generator) -> Iterator[Pairs]:
    """Yield each pair once, in batches."""
    order = torch.randperm(len(pairs.users_P), generator=generator)
    for start in range(0, len(order), batch_size):
        yield pairs.select(order[start : start + batch_size])


@dataclass(frozen=True, eq=False)
class Draws:
    """What is drawn beside the events.

    ``num_negatives`` of ``items`` [V], evenly, with each event; those that the user had (``had``, ascending, int64:
    user times N plus item) fall out. ``share`` of the events have their item replaced by a neighbour, which is drawn in
    proportion to the similarity in ``neighbours``, N x N.
    """

    items: NDArray[np.int64]
    had: NDArray[np.int64]
    num_items: int
    num_negatives: int
    share: float = 0.0
    neighbours: csr_array | None = None

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """The similarities added up, from 0 on, along all rows of ``neighbours``."""
        assert self.neighbours is not None
        return np.concatenate([[0.0], np.cumsum(self.neighbours.data, dtype=np.float64)])


def with_draws(events: Pairs, draws: Draws, *, batch_size: int, generator: torch.Generator) -> Iterator[Pairs]:
    """Yield each event once, in batches, each batch with its negatives (label 0) behind."""
    for batch in shuffled(events, batch_size=batch_size, generator=generator):
        users = batch.users_P.repeat_interleave(draws.num_negatives)
        places = torch.randint(len(draws.items), (len(users),), generator=generator)
        items = torch.from_numpy(draws.items)[places]
        is_new = ~_is_among((users * draws.num_items + items).numpy(), draws.had)
        users, items = users[is_new], items[is_new]
        yield Pairs(
            torch.cat([batch.users_P, users]),
            torch.cat([_substituted(batch.items_P, draws, generator), items]),
            torch.cat([batch.labels_P, torch.zeros(len(users))]),
        )


def _is_among(keys: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == keys
    return found


def _substituted(items_E: Tensor, draws: Draws, generator: torch.Generator) -> Tensor:
    if draws.neighbours is None or draws.share == 0:
        return items_E
    is_replaced_E = torch.rand(len(items_E), generator=generator).numpy() < draws.share
    places_E = torch.rand(len(items_E), generator=generator, dtype=torch.float64).numpy()
    indptr, sums = draws.neighbours.indptr, draws.sums
    items = items_E.numpy().copy()
    first, stop = indptr[items], indptr[items + 1]
    is_replaced_E &= stop > first
    targets_E = sums[first] + places_E * (sums[stop] - sums[first])
    drawn_E = np.clip(np.searchsorted(sums, targets_E, side="right") - 1, first, stop - 1)
    items[is_replaced_E] = draws.neighbours.indices[drawn_E[is_replaced_E]]
    return torch.from_numpy(items)
