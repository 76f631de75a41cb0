"""Self-attention and the pre-norm block around it (Vaswani et al. 2017; pre-norm: Xiong et al. 2020).

Shapes: B sequences, L places, D width, H heads, K width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Module):
    """Zero each number with probability ``rate`` (to the nearest 1/256) while training, drawn from the generator it is given.

    Unlike ``torch.nn.Dropout`` it leaves torch's global generator alone, so one seed decides everything; and one byte of
    chance for each number is ten times quicker to draw than torch's Bernoulli numbers.
    """

    def __init__(self, rate: float, *, generator: torch.Generator) -> None:
        super().__init__()
        self.threshold = round(rate * 256)
        self.generator = generator
        self.part: tuple[int, int, int] | None = None
        """First and last row, and how many the whole batch has, where this process sees a part: the mask is the whole's."""
        assert 0 <= self.threshold < 256

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, scaled so that its mean stays what it was."""
        if not self.training or self.threshold == 0:
            return x
        start, stop, num_rows = self.part or (0, len(x), len(x))
        count = x[:1].numel() * num_rows
        words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None, generator=self.generator)
        chances = words.view(torch.uint8)[:count].view(num_rows, *x.shape[1:])[start:stop]
        kept = torch.empty(chances.shape, dtype=x.dtype)  # 1 or 0: numbers at once, not truth values first
        torch.ge(chances, self.threshold, out=kept)
        return x * kept.mul_(256 / (256 - self.threshold)).to(x.device)


class Attention(nn.Module):
    """Each place reads itself and the places before it, or all places, by torch's fused kernel.

    There is no dropout on the attention weights: with it the fused CPU kernel cannot be used.
    """

    def __init__(self, width: int, *, num_heads: int, is_causal: bool = True) -> None:
        super().__init__()
        assert width % num_heads == 0
        self.num_heads = num_heads
        self.is_causal = is_causal
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_BLD: Tensor, is_real_BL: Tensor | None = None) -> Tensor:
        """Return [B, L, D]; where all places are read, ``is_real_BL`` says which are no padding (all, if it is None)."""
        rows, length, width = x_BLD.shape
        joint_3BHLK = self.query_key_value(x_BLD).view(rows, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        queries_BHLK, keys_BHLK, values_BHLK = joint_3BHLK.unbind(0)
        is_read = None if is_real_BL is None else is_real_BL[:, None, None, :]
        read_BHLK = functional.scaled_dot_product_attention(
            queries_BHLK, keys_BHLK, values_BHLK, attn_mask=is_read, is_causal=self.is_causal
        )
        mixed: Tensor = self.out(read_BHLK.transpose(1, 2).reshape(rows, length, width))
        return mixed


class Block(nn.Module):
    """Attention and a feed-forward net, each added to what it reads: ``x + f(norm(x))``."""

    def __init__(
        self,
        width: int,
        *,
        num_heads: int,
        dropout: float,
        generator: torch.Generator,
        expansion: int = 1,
        is_causal: bool = True,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads=num_heads, is_causal=is_causal)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.wider = nn.Linear(width, expansion * width)
        self.narrower = nn.Linear(expansion * width, width)
        self.dropout = Dropout(dropout, generator=generator)

    def forward(self, x_BLD: Tensor, is_real_BL: Tensor | None = None) -> Tensor:
        """Return [B, L, D]; see ``Attention``."""
        x_BLD = x_BLD + self.dropout(self.attention(self.attention_norm(x_BLD), is_real_BL))
        wide = self.dropout(functional.relu(self.wider(self.feed_forward_norm(x_BLD))))
        out_BLD: Tensor = x_BLD + self.dropout(self.narrower(wide))
        return out_BLD
