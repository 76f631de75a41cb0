"""The train loop: what it learns, when it stops, what it says."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bowerbird.data.sequences import Sequences
from bowerbird.errors import TrainingError
from bowerbird.training.loop import Epoch, Plan, SequenceNetwork, best_epoch, train, validations_since_best

PLAN = Plan(num_epochs=5, learning_rate=0.05, weight_decay=0.0, batch_tokens=16, max_length=10, num_negatives=0, patience=2)
CIRCLE = Sequences(np.tile(np.arange(4, dtype=np.int64), 20), np.arange(0, 81, 8))


class Turn(SequenceNetwork):
    """The smallest network: one matrix that turns an item's vector into the next one's."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.items = nn.Embedding(4, 8)
        self.biases = nn.Parameter(torch.zeros(4))
        self.turn = nn.Linear(8, 8)
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, 0.1, generator=generator)

    def encode(self, x_BLD: Tensor) -> Tensor:
        turned: Tensor = self.turn(x_BLD)
        return turned


def run(plan: Plan = PLAN, *, seed: int = 1, **more: object) -> tuple[SequenceNetwork, list[Epoch]]:
    return train(Turn(), CIRCLE, plan, generator=torch.Generator().manual_seed(seed), **more)


@pytest.mark.parametrize("num_negatives", [0, 3])
def test_what_follows_is_learned(num_negatives: int) -> None:
    plan = Plan(**{**vars(PLAN), "num_epochs": 60, "num_negatives": num_negatives})
    network, curve = run(plan)
    scores = network.score(network.encode(network.items.weight))
    assert scores.argmax(dim=1).tolist() == [1, 2, 3, 0]
    assert curve[-1].loss < curve[0].loss / 2


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    plan = Plan(**{**vars(PLAN), "num_negatives": 2})
    (first, curve), (second, again) = run(plan), run(plan)
    assert curve == again
    assert torch.equal(first.items.weight, second.items.weight)
    assert curve != run(plan, seed=2)[1]


def test_training_leaves_the_global_generator_alone() -> None:
    network = Turn()
    state = torch.random.get_rng_state()
    train(network, CIRCLE, PLAN, generator=torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_loss_that_is_not_finite_stops_with_the_step() -> None:
    network = Turn()
    nn.init.constant_(network.turn.weight, torch.inf)
    with pytest.raises(TrainingError, match=r"step 1, epoch 1.*learning_rate"):
        train(network, CIRCLE, PLAN, generator=torch.Generator().manual_seed(1))


def test_training_stops_when_patience_is_used_up() -> None:
    values = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    _, curve = run(validate=lambda network: next(values))
    assert [point.validation for point in curve] == [0.1, 0.3, 0.2, 0.3]
    assert best_epoch(curve) == 2, "the first of equals"


def test_validation_may_be_done_in_some_epochs_only() -> None:
    _, curve = run(Plan(**{**vars(PLAN), "validate_every": 2}), validate=lambda network: 0.5)
    assert [point.validation for point in curve] == [None, 0.5, None, 0.5, None]
    assert validations_since_best(curve) == 1


def test_the_start_says_what_will_be_trained(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run()
    assert "training 108 parameters for up to 5 epochs of 5 steps: 10 users, 4 items, 70 targets an epoch" in caplog.text
    assert "device cpu" in caplog.text
    assert "epoch 5 of 5: loss" in caplog.text
