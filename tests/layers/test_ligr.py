"""The gated block: its formula, and that it looks back only."""

from __future__ import annotations

import torch
from torch.nn import functional

from bowerbird.layers.ligr import GatedBlock


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(width: int = 8, *, num_heads: int = 1) -> GatedBlock:
    made = GatedBlock(width, num_heads=num_heads, dropout=0.0, generator=seeded())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.5, generator=seeded(parameter.numel()))
    return made


def test_block_is_the_formula() -> None:
    made, x_BLD = block(), torch.randn(2, 3, 8, generator=seeded())
    gate = torch.sigmoid(x_BLD @ made.attention_gate.weight.T + made.attention_gate.bias)
    middle_BLD = x_BLD + gate * made.attention(made.attention_norm(x_BLD))
    first, second = made.wider.weight[:32], made.wider.weight[32:]
    normed = made.feed_forward_norm(middle_BLD)
    fed = (functional.silu(normed @ first.T) * (normed @ second.T)) @ made.narrower.weight.T
    gate = torch.sigmoid(middle_BLD @ made.feed_forward_gate.weight.T + made.feed_forward_gate.bias)
    torch.testing.assert_close(made(x_BLD), middle_BLD + gate * fed)


def test_closed_gates_let_nothing_in() -> None:
    made, x_BLD = block(), torch.randn(2, 3, 8, generator=seeded())
    for gate in (made.attention_gate, made.feed_forward_gate):
        gate.weight.data.zero_()
        gate.bias.data.fill_(-40)
    torch.testing.assert_close(made(x_BLD), x_BLD)


def test_a_later_place_never_changes_an_earlier_one() -> None:
    made, x_BLD = block(num_heads=2), torch.randn(3, 6, 8, generator=seeded())
    changed_BLD = x_BLD.clone()
    changed_BLD[:, 4:] = torch.randn(3, 2, 8, generator=seeded(2))
    before, after = made(x_BLD), made(changed_BLD)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])
