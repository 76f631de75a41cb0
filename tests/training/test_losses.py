"""Losses against hand-worked values and against each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bowerbird.training import losses
from bowerbird.training.losses import ItemLoss, binary_cross_entropy, full_softmax, gbce_beta, hits, sampled_softmax

SCORES = torch.tensor([[2.0, 1.0, 3.0], [1.0, 1.0, 9.0]]).log()
"""Two rows, three items."""
TARGETS = torch.tensor([0, 2])
NO_HITS = torch.zeros(2, 0, dtype=torch.int64).unbind(0)


def sampled(scores: Tensor, targets: Tensor, negatives: list[int]) -> Tensor:
    drawn = torch.tensor(negatives)
    target_scores = scores.gather(1, targets[:, None])[:, 0]
    log_expected = math.log(len(negatives) / scores.shape[1])
    return sampled_softmax(target_scores, scores[:, drawn], hits(targets, drawn), log_expected=log_expected)


def full(scores: Tensor, targets: Tensor) -> Tensor:
    """States that are the scores themselves: item i's vector is the i-th unit vector."""
    return full_softmax(scores, torch.eye(scores.shape[1]), torch.zeros(scores.shape[1]), targets)


def test_full_softmax_is_cross_entropy_with_the_same_gradients_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "NUMBERS_AT_ONCE", 40)
    generator = torch.Generator().manual_seed(1)
    shapes = [(11, 3), (7, 3), (7,)]
    inputs = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    targets = torch.randint(7, (11,), generator=generator)
    value = full_softmax(*inputs, targets)
    expected = functional.cross_entropy(torch.addmm(inputs[2], inputs[0], inputs[1].T), targets)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(3 * value, inputs), torch.autograd.grad(3 * expected, inputs))


def test_hits_are_rows_and_columns_where_a_draw_is_the_target() -> None:
    rows, columns = hits(torch.tensor([5, 7, 9]), torch.tensor([9, 1, 5, 9]))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 2), (2, 0), (2, 3)]


def test_full_softmax_is_the_hand_worked_value() -> None:
    first = math.log(2 + 1 + 3) - math.log(2)
    second = math.log(1 + 1 + 9) - math.log(9)
    assert float(full(SCORES, TARGETS)) == pytest.approx((first + second) / 2)


def test_sampled_softmax_is_the_hand_worked_value() -> None:
    first = math.log(2 + 3 / 2 * (1 + 3)) - math.log(2)  # both draws count, each stands for 3/2 items
    second = math.log(9 + 3 / 2 * 1) - math.log(9)  # the draw of the target does not
    assert float(sampled(SCORES, TARGETS, [1, 2])) == pytest.approx((first + second) / 2)


def test_sampled_softmax_equals_full_softmax_when_all_negatives_are_taken() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(7, 5, generator=generator, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    exact, estimate = full(scores, targets), sampled(scores, targets, [0, 1, 2, 3, 4])
    torch.testing.assert_close(estimate, exact)
    torch.testing.assert_close(torch.autograd.grad(estimate, scores), torch.autograd.grad(exact, scores))


def test_the_estimate_of_the_others_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(1)
    negatives = torch.randint(3, (200_000,), generator=generator)
    assert float(sampled(SCORES, TARGETS, negatives.tolist())) == pytest.approx(float(full(SCORES, TARGETS)), abs=0.01)


def test_a_row_whose_every_draw_is_its_target_costs_nothing() -> None:
    assert float(sampled(SCORES, TARGETS, [2, 2])) == pytest.approx((math.log(2 + 9) - math.log(2)) / 2)


def test_draws_that_are_expected_more_often_count_less() -> None:
    scores, targets = SCORES[:1], TARGETS[:1]
    estimate = sampled_softmax(scores[:, 0], scores[:, [1, 1, 2]], NO_HITS, log_expected=torch.tensor([2.0, 2.0, 1.0]).log())
    assert float(estimate) == pytest.approx(float(full(scores, targets)))


def test_binary_cross_entropy_is_the_hand_worked_value() -> None:
    scores = torch.tensor([[3.0, 1.0, 1 / 3]]).log()  # odds: probabilities 3/4, 1/2, 1/4
    loss = binary_cross_entropy(scores[:, 0], scores[:, 1:], NO_HITS)
    assert float(loss) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2) + math.log(3 / 4)) / 3)


def test_a_draw_of_the_target_does_not_count_in_binary_cross_entropy() -> None:
    scores = torch.tensor([[3.0, 3.0, 1.0]]).log()
    loss = binary_cross_entropy(scores[:, 0], scores[:, 1:], (torch.tensor([0]), torch.tensor([0])))
    assert float(loss) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2)) / 3)


def test_beta_is_the_sampling_rate_at_full_calibration_and_1_without() -> None:
    assert gbce_beta(10, 101, calibration=1.0) == pytest.approx(0.1)
    assert gbce_beta(10, 101, calibration=0.0) == pytest.approx(1.0)
    assert gbce_beta(10, 101, calibration=0.75) == pytest.approx(0.325)


def test_gbce_with_all_items_is_bce() -> None:
    scored = SCORES, torch.eye(3), torch.zeros(3), TARGETS
    assert float(ItemLoss("gbce").of_all(*scored)) == pytest.approx(float(ItemLoss("bce").of_all(*scored)))


def test_gbce_weighs_the_target_by_beta() -> None:
    scores = torch.tensor([[3.0, 1.0]]).log()
    loss = ItemLoss("gbce", 1.0).of_drawn(scores[:, 0], scores[:, 1:], NO_HITS, log_expected=0.0, num_items=11)
    assert float(loss) == pytest.approx(-(0.1 * math.log(3 / 4) + math.log(1 / 2)) / 2)
