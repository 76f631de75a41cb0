"""Losses against hand-worked values and against each other."""

from __future__ import annotations

import math

import pytest
import torch

from bowerbird.training.losses import full_softmax, sampled_softmax

HIDDEN = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
ITEMS = torch.tensor([[math.log(2), 0.0], [0.0, 0.0], [math.log(3), math.log(3)]])
"""Scores of the three items: log 2, 0, log 3 in the first row; 0, 0, 2 log 3 in the second."""
TARGETS = torch.tensor([0, 2])


def sampled(negatives: list[int], *, num_items: int = 3) -> float:
    drawn = torch.tensor(negatives)
    return float(sampled_softmax(HIDDEN, TARGETS, ITEMS[TARGETS], drawn, ITEMS[drawn], num_items=num_items))


def test_full_softmax_is_the_hand_worked_value() -> None:
    first = math.log(2 + 1 + 3) - math.log(2)
    second = math.log(1 + 1 + 9) - math.log(9)
    assert float(full_softmax(HIDDEN, TARGETS, ITEMS)) == pytest.approx((first + second) / 2)


def test_sampled_softmax_is_the_hand_worked_value() -> None:
    first = math.log(2 + 3 / 2 * (1 + 3)) - math.log(2)  # both draws count, each stands for 3/2 items
    second = math.log(9 + 3 / 2 * 1) - math.log(9)  # the draw of the target does not
    assert sampled([1, 2]) == pytest.approx((first + second) / 2)


def test_sampled_softmax_equals_full_softmax_when_all_negatives_are_taken() -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 4, generator=generator, requires_grad=True)
    items = torch.randn(5, 4, generator=generator, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    everything = torch.arange(5)
    full = full_softmax(hidden, targets, items)
    estimate = sampled_softmax(hidden, targets, items[targets], everything, items[everything], num_items=5)
    torch.testing.assert_close(estimate, full)
    for ours, theirs in zip(
        torch.autograd.grad(estimate, [hidden, items]), torch.autograd.grad(full, [hidden, items]), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_estimate_of_the_others_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(1)
    negatives = torch.randint(3, (200_000,), generator=generator)
    assert sampled(negatives.tolist()) == pytest.approx(float(full_softmax(HIDDEN, TARGETS, ITEMS)), abs=0.01)


def test_a_row_whose_every_draw_is_its_target_costs_nothing() -> None:
    assert sampled([2, 2]) == pytest.approx((math.log(2 + 9) - math.log(2)) / 2)
