"""Which items stand for the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bowerbird.training.negatives import Kind, Negatives

COUNTS = np.asarray([1, 0, 3, 4])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_uniform_draws_come_evenly() -> None:
    drawn, log_expected = Negatives("uniform", 40_000, COUNTS).draw(torch.zeros(3, dtype=torch.int64), generator())
    assert np.bincount(drawn) / 40_000 == pytest.approx(0.25, abs=0.02)
    assert log_expected == pytest.approx(math.log(10_000))


def test_popular_draws_come_as_often_as_the_items_are_met() -> None:
    drawn, log_expected = Negatives("popular", 40_000, COUNTS).draw(torch.zeros(3, dtype=torch.int64), generator())
    assert np.bincount(drawn) / 40_000 == pytest.approx(COUNTS / 8, abs=0.02)
    assert isinstance(log_expected, torch.Tensor)
    assert log_expected.exp().numpy() == pytest.approx((40_000 * COUNTS / 8)[drawn.numpy()], rel=1e-5)


def test_in_batch_the_targets_of_the_others_are_the_negatives() -> None:
    targets = torch.tensor([0, 2, 2, 3])
    drawn, log_expected = Negatives("in_batch", 0, COUNTS).draw(targets, generator())
    assert drawn.tolist() == targets.tolist()
    assert isinstance(log_expected, torch.Tensor)
    assert log_expected.exp().tolist() == pytest.approx([3 / 8, 9 / 8, 9 / 8, 12 / 8])


@pytest.mark.parametrize(("kind", "num", "takes_all"), [("uniform", 0, True), ("uniform", 5, False), ("in_batch", 0, False)])
def test_all_items_are_taken_where_none_are_drawn(kind: Kind, num: int, takes_all: bool) -> None:
    assert Negatives(kind, num, COUNTS).takes_all == takes_all
