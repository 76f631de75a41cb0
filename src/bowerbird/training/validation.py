"""The hold-out inside ``fit``: the last event of some users, and NDCG@10 on it.

Shapes: B sequences, L places, D width, H held-out events, V items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bowerbird.data.sequences import Sequences
from bowerbird.training.batches import padded_batches
from bowerbird.training.next_item import SequenceNetwork

K = 10
MAX_HELD_OUT = 4000
MIN_EVENTS = 3


@dataclass(frozen=True, eq=False)
class HoldOut:
    """H events to foretell: ``targets`` int64 [H], each from all that its user did before, ``pasts``.

    ``chosen`` int64 [H] are the places of the users among all sequences.
    """

    pasts: Sequences
    targets: NDArray[np.int64]
    chosen: NDArray[np.int64]


def hold_out(sequences: Sequences, *, generator: torch.Generator) -> tuple[Sequences, HoldOut]:
    """Cut off the last event of up to 4,000 users, drawn from those with at least 3 events; also return what is left."""
    eligible = np.flatnonzero(sequences.lengths >= MIN_EVENTS)
    drawn = torch.randperm(len(eligible), generator=generator).numpy()[:MAX_HELD_OUT]
    chosen = eligible[np.sort(drawn)]
    rest = sequences.without_last(chosen)
    return rest, HoldOut(rest.select(chosen), sequences.items[sequences.indptr[chosen + 1] - 1], chosen)


@torch.no_grad()
def ndcg(network: SequenceNetwork, held_out: HoldOut, *, max_length: int) -> float:
    """Return the mean of ``gains`` over the held-out events."""
    found = [
        gains(network.score(states_BD), held_out, rows)
        for rows, states_BD in last_states(network, held_out.pasts, max_length=max_length)
    ]
    return float(torch.cat(found).mean())


@torch.no_grad()
def last_states(network: SequenceNetwork, sequences: Sequences, *, max_length: int) -> list[tuple[NDArray[np.int64], Tensor]]:
    """Encode what comes next after each sequence that is not empty: places of the sequences [B] and states [B, D]."""
    found = []
    for rows, batch_BL, lengths_B in padded_batches(sequences.tail(max_length)):
        states_BLD = network.encode(network.items(batch_BL))
        found.append((rows, states_BLD[torch.arange(len(rows)), lengths_B - 1]))
    return found


@torch.no_grad()
def gains(scores_BV: Tensor, held_out: HoldOut, rows: NDArray[np.int64]) -> Tensor:
    """Return ``1 / log2(1 + rank)`` of the targets of ``rows`` where the rank is at most 10, else 0; float64 [B].

    A target that is new to its user is ranked among the items new to that user, a repeated one among all. Items that score
    the same as the target rank before it, so that a network which scores all alike earns nothing.
    """
    pasts = held_out.pasts.select(rows)
    targets_B1 = torch.from_numpy(held_out.targets[rows])[:, None]
    scores_B1 = scores_BV.gather(1, targets_B1)
    past_rows = torch.from_numpy(np.repeat(np.arange(len(rows)), pasts.lengths))
    is_past_BV = torch.zeros_like(scores_BV, dtype=torch.bool)
    is_past_BV[past_rows, torch.from_numpy(pasts.items)] = True
    is_repeat_B1 = is_past_BV.gather(1, targets_B1)
    is_before_BV = (scores_BV >= scores_B1) & (is_repeat_B1 | ~is_past_BV)
    ranks_B = is_before_BV.sum(dim=1)  # the target counts itself, so ranks begin at 1
    return torch.where(ranks_B <= K, 1 / torch.log2(1 + ranks_B.double()), 0.0)
