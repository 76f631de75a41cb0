"""The block of LiGR: what a layer adds is gated, and its feed-forward net is a SwiGLU (Borisyuk et al. 2025, section 3).

``x + sigmoid(W_g x) * f(norm(x))``, with attention as the first ``f`` and ``W_3 (silu(W_1 x) * W_2 x)`` (Shazeer 2020) as the
second: each number that is read decides how much of the layer it lets in.

Shapes: B sequences, L places, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.layers.attention import Attention, Dropout

EXPANSION = 4


class GatedBlock(nn.Module):
    """Attention and a SwiGLU, each added through a gate of its own."""

    def __init__(self, width: int, *, num_heads: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads=num_heads)
        self.attention_gate = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.wider = nn.Linear(width, 2 * EXPANSION * width, bias=False)  # W_1 and W_2 in one product
        self.narrower = nn.Linear(EXPANSION * width, width, bias=False)
        self.feed_forward_gate = nn.Linear(width, width)
        self.dropout = Dropout(dropout, generator=generator)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Return [B, L, D]."""
        read_BLD = self.attention(self.attention_norm(x_BLD))
        x_BLD = x_BLD + torch.sigmoid(self.attention_gate(x_BLD)) * self.dropout(read_BLD)
        switch, value = self.wider(self.feed_forward_norm(x_BLD)).chunk(2, dim=-1)
        fed_BLD = self.narrower(self.dropout(functional.silu(switch) * value))
        out_BLD: Tensor = x_BLD + torch.sigmoid(self.feed_forward_gate(x_BLD)) * self.dropout(fed_BLD)
        return out_BLD
