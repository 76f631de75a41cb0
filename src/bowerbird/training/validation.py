"""The hold-out inside ``fit``: the next event of some users after a moment, or their last one, and NDCG@10 on it.

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
MIN_HELD_OUT = 200
SHARE_HELD_OUT = 0.05
MIN_SHARE_OF_USERS = 0.1


@dataclass(frozen=True, eq=False)
class HoldOut:
    """H events to foretell: ``targets`` int64 [H], each from all that its user did before, ``pasts``.

    ``chosen`` int64 [H] are the places of the users among all sequences. ``times`` int64 [H] are those of the events, where
    they are known.
    """

    pasts: Sequences
    targets: NDArray[np.int64]
    chosen: NDArray[np.int64]
    times: NDArray[np.int64] | None = None


def hold_out(sequences: Sequences, *, generator: torch.Generator) -> tuple[Sequences, HoldOut]:
    """Cut off the last event of up to 4,000 users, drawn from those with at least 3 events; also return what is left."""
    eligible = np.flatnonzero(sequences.lengths >= MIN_EVENTS)
    drawn = torch.randperm(len(eligible), generator=generator).numpy()[:MAX_HELD_OUT]
    chosen = eligible[np.sort(drawn)]
    last = sequences.indptr[chosen + 1] - 1
    rest = sequences.without_last(chosen)
    return rest, _held_out(rest, sequences, chosen, last)


def hold_out_by_time(sequences: Sequences, *, generator: torch.Generator) -> tuple[Sequences, HoldOut] | None:
    """Cut off the newest twentieth of all events; to be foretold is the first that a user then has.

    Up to 4,000 users are drawn from those with two events before the moment and one after it. Returns None where they are fewer
    than 200, or than a tenth of the users with 3 events: the few who are active to the end would speak for all.
    """
    if sequences.timestamps is None or len(sequences.items) == 0:
        return None
    moment = np.quantile(sequences.timestamps, 1 - SHARE_HELD_OUT, method="higher")
    rest = sequences.where(sequences.timestamps < moment)
    eligible = np.flatnonzero((rest.lengths >= MIN_EVENTS - 1) & (rest.lengths < sequences.lengths))
    if len(eligible) < max(MIN_HELD_OUT, MIN_SHARE_OF_USERS * (sequences.lengths >= MIN_EVENTS).sum()):
        return None
    drawn = torch.randperm(len(eligible), generator=generator).numpy()[:MAX_HELD_OUT]
    chosen = eligible[np.sort(drawn)]
    return rest, _held_out(rest, sequences, chosen, sequences.indptr[chosen] + rest.lengths[chosen])


def _held_out(rest: Sequences, sequences: Sequences, chosen: NDArray[np.int64], events: NDArray[np.int64]) -> HoldOut:
    times = None if sequences.timestamps is None else sequences.timestamps[events]
    return HoldOut(rest.select(chosen), sequences.items[events], chosen, times)


@torch.no_grad()
def ndcg(network: SequenceNetwork, held_out: HoldOut, *, max_length: int) -> float:
    """Return the mean of ``gains`` over the held-out events."""
    found = [
        gains(network.score(states_BD), held_out, rows)
        for rows, states_BD in last_states(network, held_out.pasts, max_length=max_length, asked=held_out.times)
    ]
    return float(torch.cat(found).mean())


@torch.no_grad()
def last_states(
    network: SequenceNetwork, sequences: Sequences, *, max_length: int, asked: NDArray[np.int64] | None = None
) -> list[tuple[NDArray[np.int64], Tensor]]:
    """Encode what comes next after each sequence that is not empty: places of the sequences [B] and states [B, D].

    ``asked`` int64 [S] are the times of the requests, where they are known.
    """
    batches, device = padded_batches(sequences.tail(max_length), asked=asked), network.biases.device
    return [(rows, network.last_states(tokens_BL.to(device), context.to(device))) for rows, tokens_BL, context in batches]


@torch.no_grad()
def gains(scores_BV: Tensor, held_out: HoldOut, rows: NDArray[np.int64]) -> Tensor:
    """Return ``1 / log2(1 + rank)`` of the targets of ``rows`` where the rank is at most 10, else 0; float64 [B].

    A target that is new to its user is ranked among the items new to that user, a repeated one among all. Items that score
    the same as the target rank before it, so that a network which scores all alike earns nothing.
    """
    pasts, device = held_out.pasts.select(rows), scores_BV.device
    targets_B1 = torch.from_numpy(held_out.targets[rows])[:, None].to(device)
    scores_B1 = scores_BV.gather(1, targets_B1)
    past_rows = torch.from_numpy(np.repeat(np.arange(len(rows)), pasts.lengths)).to(device)
    is_past_BV = torch.zeros_like(scores_BV, dtype=torch.bool)
    is_past_BV[past_rows, torch.from_numpy(pasts.items).to(device)] = True
    is_repeat_B1 = is_past_BV.gather(1, targets_B1)
    is_before_BV = (scores_BV >= scores_B1) & (is_repeat_B1 | ~is_past_BV)
    ranks_B = is_before_BV.sum(dim=1)  # the target counts itself, so ranks begin at 1
    return torch.where(ranks_B <= K, 1 / torch.log2(1 + ranks_B.double()), 0.0)
