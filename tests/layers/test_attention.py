"""Attention that looks back only or everywhere, and dropout from one's own generator."""

from __future__ import annotations

import pytest
import torch

from bowerbird.layers.attention import Attention, Block, Dropout


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_a_later_place_never_changes_an_earlier_one(num_heads: int) -> None:
    block = Block(8, num_heads=num_heads, dropout=0.0, generator=seeded())
    x_BLD = torch.randn(3, 6, 8, generator=seeded())
    changed_BLD = x_BLD.clone()
    changed_BLD[:, 4:] = torch.randn(3, 2, 8, generator=seeded(2))
    before, after = block(x_BLD), block(changed_BLD)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_attention_is_the_formula() -> None:
    attention = Attention(4, num_heads=1)
    x_LD = torch.randn(3, 4, generator=seeded())
    queries, keys, values = attention.query_key_value(x_LD).chunk(3, dim=-1)
    scores = (queries @ keys.T / 2).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(attention(x_LD[None])[0], attention.out(scores.softmax(-1) @ values))


def test_attention_both_ways_reads_every_place_but_padding() -> None:
    block = Block(8, num_heads=2, dropout=0.0, generator=seeded(), is_causal=False)
    x_BLD = torch.randn(2, 6, 8, generator=seeded())
    is_real_BL = torch.arange(6) < torch.tensor([[4], [4]])
    changed_BLD = x_BLD.clone()
    changed_BLD[:, 4:] = 9.0
    torch.testing.assert_close(block(x_BLD, is_real_BL)[:, :4], block(changed_BLD, is_real_BL)[:, :4])
    torch.testing.assert_close(block(x_BLD, is_real_BL)[:, :4], block(x_BLD[:, :4]))
    assert not torch.allclose(block(x_BLD)[:, :4], block(changed_BLD)[:, :4])


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    dropped = Dropout(0.25, generator=seeded())(torch.ones(100_003))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])


def test_dropout_draws_from_its_own_generator_only() -> None:
    state = torch.random.get_rng_state()
    first = Dropout(0.5, generator=seeded())(torch.ones(64))
    assert torch.equal(first, Dropout(0.5, generator=seeded())(torch.ones(64)))
    assert torch.equal(state, torch.random.get_rng_state())


def test_dropout_does_nothing_outside_of_training() -> None:
    assert torch.equal(Dropout(0.5, generator=seeded()).eval()(torch.ones(64)), torch.ones(64))
