"""The train loop: what it learns, when it stops, what it says."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bowerbird.data.sequences import Sequences
from bowerbird.errors import TrainingError
from bowerbird.training.batches import Context, epoch_batches
from bowerbird.training.loop import Epoch, best_epoch, train, validations_since_best
from bowerbird.training.losses import ItemLoss
from bowerbird.training.negatives import Negatives
from bowerbird.training.next_item import SequenceNetwork, next_item_loss
from bowerbird.training.plan import Optimizer, Plan, Schedule

PLAN = Plan(num_epochs=5, steps_an_epoch=5, learning_rate=0.05, patience=2)
CIRCLE = Sequences(np.tile(np.arange(4, dtype=np.int64), 20), np.arange(0, 81, 8))


class Turn(SequenceNetwork):
    """The smallest network: one matrix that turns an item's vector into the next one's."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(np.zeros(4, np.int64), 8)
        generator = torch.Generator().manual_seed(seed)
        self.turn = nn.Linear(8, 8)
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, 0.1, generator=generator)

    def encode(self, x_BLD: Tensor, context: Context) -> Tensor:
        turned: Tensor = self.turn(x_BLD)
        return turned


def run(
    plan: Plan = PLAN, *, network: Turn | None = None, seed: int = 1, num_negatives: int = 0, **more: object
) -> tuple[SequenceNetwork, list[Epoch]]:
    generator = torch.Generator().manual_seed(seed)
    batches = partial(epoch_batches, CIRCLE, max_length=10, batch_tokens=16, generator=generator)
    negatives = Negatives("uniform", num_negatives, np.ones(4, np.int64))
    loss = partial(next_item_loss, loss=ItemLoss(), negatives=negatives, generator=generator)
    return train(network or Turn(), batches, loss, plan, **more)


@pytest.mark.parametrize("num_negatives", [0, 3])
def test_what_follows_is_learned(num_negatives: int) -> None:
    network, curve = run(replace(PLAN, num_epochs=60), num_negatives=num_negatives)
    scores = network.score(network.last_states(torch.arange(4)[:, None], Context(torch.ones(4, dtype=torch.int64))))
    assert scores.argmax(dim=1).tolist() == [1, 2, 3, 0]
    assert curve[-1].loss < curve[0].loss / 2


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    (first, curve), (second, again) = run(num_negatives=2), run(num_negatives=2)
    assert curve == again
    assert torch.equal(first.items.weight, second.items.weight)
    assert curve != run(seed=2, num_negatives=2)[1]


def test_training_leaves_the_global_generator_alone() -> None:
    network = Turn()
    state = torch.random.get_rng_state()
    run(network=network)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_loss_that_is_not_finite_stops_with_the_step() -> None:
    network = Turn()
    nn.init.constant_(network.turn.weight, torch.inf)
    with pytest.raises(TrainingError, match=r"step 1, epoch 1.*learning_rate"):
        run(network=network)


def test_training_stops_when_patience_is_used_up() -> None:
    values = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    _, curve = run(validate=lambda network: next(values))
    assert [point.validation for point in curve] == [0.1, 0.3, 0.2, 0.3]
    assert best_epoch(curve) == 2, "the first of equals"


def test_validation_may_be_done_in_some_epochs_only() -> None:
    _, curve = run(replace(PLAN, validate_every=2), validate=lambda network: 0.5)
    assert [point.validation for point in curve] == [None, 0.5, None, 0.5, None]
    assert validations_since_best(curve) == 1


def test_the_start_says_what_will_be_trained(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run()
    assert "training 108 parameters for up to 5 epochs of 5 steps, device cpu, Plan(num_epochs=5" in caplog.text
    assert "epoch 5 of 5: loss" in caplog.text


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_each_optimizer_lowers_the_loss(optimizer: Optimizer) -> None:
    _, curve = run(replace(PLAN, optimizer=optimizer, num_epochs=30))
    assert curve[-1].loss < curve[0].loss


def test_without_averaging_the_weights_of_the_last_step_are_kept() -> None:
    network = Turn()
    kept, _ = run(replace(PLAN, average_decay=0.0), network=network)
    assert all(torch.equal(first, second) for first, second in zip(kept.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [0.5, *((1 + math.cos(math.pi * done / 8)) / 2 for done in range(1, 8))]),
        ("step", [0.5, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
    ],
)
def test_the_rate_rises_in_the_warm_up_and_falls_as_the_schedule_says(schedule: Schedule, rates: list[float]) -> None:
    plan = Plan(num_epochs=4, steps_an_epoch=2, learning_rate=1.0, schedule=schedule)
    assert [plan.learning_rate_at(step) for step in range(1, 9)] == pytest.approx(rates)


def test_the_best_epoch_may_have_a_validation_below_0() -> None:
    curve = [Epoch(1, 1.0, -0.7), Epoch(2, 0.9, -0.5), Epoch(3, 0.8, -0.5), Epoch(4, 0.7, -0.6)]
    assert best_epoch(curve) == 2
    assert validations_since_best(curve) == 2


def test_on_a_plateau_the_rate_is_halved_after_each_validation_that_is_no_better() -> None:
    plan = replace(PLAN, schedule="plateau")
    assert plan.drops([0.1, 0.3, 0.2, None, 0.3, 0.4]) == [3, 5]
    assert replace(plan, drop_epochs=(2, 9)).drops([None] * 5) == [2]
    assert replace(plan, schedule="constant").drops([0.3, 0.2]) == []


def test_a_frozen_plateau_gives_the_losses_of_the_one_that_was_found() -> None:
    plan = replace(PLAN, schedule="plateau", num_epochs=6, patience=9)
    values = iter([0.1, 0.3, 0.2, 0.3, 0.9, 0.9])
    _, found = run(plan, validate=lambda network: next(values))
    _, frozen = run(replace(plan, drop_epochs=(3, 4)))
    _, constant = run(replace(plan, schedule="constant"))
    losses, again, others = ([point.loss for point in curve] for curve in (found, frozen, constant))
    assert losses == again
    assert losses[:3] == others[:3]
    assert losses[3] != others[3]


def test_an_average_soon_forgets_weights_that_were_drawn_and_keeps_those_that_were_trained() -> None:
    plan = Plan(num_epochs=1, steps_an_epoch=10, learning_rate=0.1, average_decay=0.9)
    assert [plan.average_decay_at(step) for step in (1, 8, 1000)] == pytest.approx([2 / 11, 0.5, 0.9])
    assert replace(plan, forgets_beginning=False).average_decay_at(1) == 0.9
