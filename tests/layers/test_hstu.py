"""Attention without softmax: equal to a plain loop, causal, blind for padding, and time in bins that double."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bowerbird.layers.hstu import NUM_TIME_BINS, PointwiseBlock, time_bins

SECOND = 1_000_000


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(*, num_heads: int, width: int = 8) -> PointwiseBlock:
    made = PointwiseBlock(width, num_heads=num_heads, max_length=9, dropout=0.0, generator=seeded())
    with torch.no_grad():
        for place, parameter in enumerate(made.parameters()):
            parameter.normal_(0, 0.5, generator=seeded(place))
    return made


def times(rows: int, length: int) -> Tensor:
    return torch.randint(1, 10**9, (rows, length), generator=seeded()).cumsum(1)


def by_loops(made: PointwiseBlock, x_LD: Tensor, bins_LL: Tensor | None) -> Tensor:
    """Compute one row place by place, head by head, from the formula."""
    length, width = x_LD.shape
    size = width // made.num_heads
    gates, values, queries, keys = functional.silu(made.joint(made.norm(x_LD))).chunk(4, dim=-1)
    read_LD = torch.zeros(length, width)
    for head in range(made.num_heads):
        part = slice(head * size, (head + 1) * size)
        for now in range(length):
            for then in range(now + 1):
                score = queries[now, part] @ keys[then, part] + made.places.weight[now - then, head]
                if bins_LL is not None:
                    score = score + made.times.weight[int(bins_LL[now, then]), head]
                read_LD[now, part] += functional.silu(score) * values[then, part]
    return x_LD + made.out(made.read_norm(read_LD) * gates)


@pytest.mark.parametrize("num_heads", [1, 2])
@pytest.mark.parametrize("has_times", [True, False])
def test_layer_equals_a_loop_over_pairs_of_places(num_heads: int, has_times: bool) -> None:
    made, x_BLD, times_BL = block(num_heads=num_heads), torch.randn(2, 5, 8, generator=seeded()), times(2, 5)
    bins_BLL = time_bins(times_BL, times_BL) if has_times else None
    expected = [by_loops(made, x_BLD[row], None if bins_BLL is None else bins_BLL[row]) for row in range(2)]
    torch.testing.assert_close(made(x_BLD, bins_BLL), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_a_later_event_or_its_time_never_changes_an_earlier_state() -> None:
    made, x_BLD, times_BL = block(num_heads=2), torch.randn(3, 6, 8, generator=seeded()), times(3, 6)
    changed_BLD, later_BL = x_BLD.clone(), times_BL.clone()
    changed_BLD[:, 4:] = torch.randn(3, 2, 8, generator=seeded(2))
    later_BL[:, 4:] += 10**12
    before, after = made(x_BLD, time_bins(times_BL, times_BL)), made(changed_BLD, time_bins(later_BL, later_BL))
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_padding_on_the_right_changes_nothing() -> None:
    made, x_BLD, times_BL = block(num_heads=1), torch.randn(2, 4, 8, generator=seeded()), times(2, 4)
    padded_BLD, padded_BL = functional.pad(x_BLD, (0, 0, 0, 3), value=7.0), functional.pad(times_BL, (0, 3))
    bare, padded = made(x_BLD, time_bins(times_BL, times_BL)), made(padded_BLD, time_bins(padded_BL, padded_BL))
    torch.testing.assert_close(bare, padded[:, :4])


def test_times_fall_into_bins_that_double() -> None:
    ages = [0, 1, 2, 3, 4, 7, 8, 60, 3600, 10**12]
    then_BL = torch.tensor([[-age * SECOND for age in ages]])
    bins = time_bins(torch.zeros_like(then_BL), then_BL)[0, 0].tolist()
    assert bins == [0, 1, 1, 2, 2, 3, 3, 5, int(math.log2(3601)), NUM_TIME_BINS - 1]
    assert time_bins(then_BL, torch.zeros_like(then_BL)).max() == 0, "an event after the moment counts as at the moment"


def test_weights_are_not_shares_so_that_two_like_events_read_more_than_one() -> None:
    made = block(num_heads=1)
    made.read_norm = torch.nn.Identity()  # type: ignore[assignment]  # to see what the norm takes back
    made.places.weight.data.zero_()
    x_BLD = torch.randn(1, 1, 8, generator=seeded()).expand(1, 2, 8)
    once, twice = ((made(x_BLD, None) - x_BLD - made.out.bias)[0, place] for place in (0, 1))
    torch.testing.assert_close(twice, 2 * once)
