"""The layer of HSTU: attention without softmax, whose weights also hear how far back in places and in time (Zhai et al. 2024).

    U, V, Q, K = silu(W norm(x)),   x + W_o (norm(silu(Q K' + places + times) V) * U)

A weight is no share of a whole, so how often something was met is not lost, as it is in softmax. The paper's division by the
number of places is left out: the norm that follows takes it back. Unlike softmax the weights must be kept, L x L for each row.

Shapes: B sequences, L places, D width, H heads, K width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.layers.attention import Dropout

NUM_TIME_BINS = 32
"""Differences in seconds fall into bins that double, to 68 years."""


class PointwiseBlock(nn.Module):
    """Each place reads itself and the places before it."""

    def __init__(self, width: int, *, num_heads: int, max_length: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.joint = nn.Linear(width, 4 * width)
        self.places = nn.Embedding(max_length, num_heads)
        self.times = nn.Embedding(NUM_TIME_BINS, num_heads)
        self.read_norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout, generator=generator)

    def forward(self, x_BLD: Tensor, time_bins_BLL: Tensor | None) -> Tensor:
        """Return [B, L, D]; ``time_bins_BLL`` are those of ``time_bins``."""
        rows, length, width = x_BLD.shape
        joint = functional.silu(self.joint(self.norm(x_BLD))).view(rows, length, 4, self.num_heads, -1)
        gate_BLHK = joint[:, :, 0]
        values_BHLK, queries_BHLK, keys_BHLK = joint[:, :, 1:].permute(2, 0, 3, 1, 4).unbind(0)
        scores_BHLL = queries_BHLK @ keys_BHLK.mT + self._place_bias(length)
        if time_bins_BLL is not None:
            scores_BHLL = scores_BHLL + functional.embedding(time_bins_BLL, self.times.weight).permute(0, 3, 1, 2)
        read_BHLK = functional.silu(scores_BHLL).tril() @ values_BHLK
        read_BLD = self.read_norm(read_BHLK.transpose(1, 2).reshape(rows, length, width))
        out_BLD: Tensor = x_BLD + self.out(self.dropout(read_BLD * gate_BLHK.reshape(rows, length, width)))
        return out_BLD

    def _place_bias(self, length: int) -> Tensor:
        """Look up what each place hears of one that is so many places before it; [H, L, L]."""
        steps = torch.arange(length, device=self.places.weight.device)
        bias_LLH: Tensor = self.places((steps[:, None] - steps).clamp(min=0))
        return bias_LLH.permute(2, 0, 1)


def time_bins(now_BL: Tensor, timestamps_BL: Tensor) -> Tensor:
    """Return the bin of the time from each event to each ``now``, in seconds by powers of 2; int32 [B, L, L].

    Both are in microseconds; a difference below 0 counts as none.
    """
    seconds_BLL = (now_BL[:, :, None] - timestamps_BL[:, None, :]).clamp(min=0).float() / 1e6
    return torch.log2(1 + seconds_BLL).int().clamp(max=NUM_TIME_BINS - 1)
