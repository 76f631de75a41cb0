"""A training that is stopped at any step and begun again ends as an undisturbed one, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bowerbird.errors import HomeError
from bowerbird.training.batches import epoch_batches
from bowerbird.training.checkpoint import Checkpoint
from bowerbird.training.loop import Epoch, train
from bowerbird.training.losses import ItemLoss
from bowerbird.training.negatives import Negatives
from bowerbird.training.next_item import next_item_loss
from bowerbird.training.plan import Optimizer, Plan
from tests.training.test_loop import CIRCLE, Turn


class Stopped(Exception):
    """Stands for a kill."""


def run(
    path: Path | None, *, stop_at: int | None = None, optimizer: Optimizer = "adamw", meaning: str = "this", seconds: float = 0.0
) -> tuple[Turn, list[Epoch], Turn]:
    """Train, writing after each step; return the average, the curve and the network."""
    generator = torch.Generator().manual_seed(1)
    batches = partial(epoch_batches, CIRCLE, max_length=3, batch_tokens=8, generator=generator)
    loss = partial(next_item_loss, loss=ItemLoss(), negatives=Negatives("uniform", 2, np.ones(4, np.int64)), generator=generator)
    plan = Plan(num_epochs=3, steps_an_epoch=9, learning_rate=0.05, optimizer=optimizer, weight_decay=0.1)
    network, steps = Turn(), iter(range(1, 1000))

    def stopping(*arguments: object) -> object:
        if next(steps) == stop_at:
            raise Stopped
        return loss(*arguments)

    kept = None if path is None else Checkpoint(path, meaning=meaning, generator=generator, seconds=seconds)
    average, curve = train(
        network, batches, stopping, plan, validate=lambda _: float(torch.rand(1, generator=generator)), checkpoint=kept
    )
    return average, curve, network


def weights(network: Turn) -> list[float]:
    return [value for parameter in network.parameters() for value in parameter.flatten().tolist()]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("stop_at", [2, 9, 11, 20, 27])
def test_what_was_stopped_goes_on_to_the_last_bit(tmp_path: Path, stop_at: int, optimizer: Optimizer) -> None:
    average, curve, network = run(None, optimizer=optimizer)
    path = tmp_path / "kept" / "training.safetensors"
    with pytest.raises(Stopped):
        run(path, stop_at=stop_at, optimizer=optimizer)
    again, curve_again, network_again = run(path, optimizer=optimizer)
    assert curve_again == curve
    assert weights(again) == weights(average) and weights(network_again) == weights(network)
    assert [found.name for found in path.parent.iterdir()] == [path.name], "nothing unfinished is left"


def test_a_training_that_has_ended_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    average, curve, _ = run(path)
    again, curve_again, _ = run(path, stop_at=1)
    assert curve_again == curve and weights(again) == weights(average)


def test_it_is_written_no_more_often_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(Stopped):
        run(path, stop_at=25, seconds=1000.0)
    assert not path.exists()


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\xff" * 100],
    ids=["cut in half", "empty", "something else"],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "training.safetensors"
    run(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(HomeError, match=r"training\.safetensors' cannot be read.*Next: delete the file"):
        run(path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    run(path)
    with pytest.raises(HomeError, match=r"is of another training.*Next: name another folder"):
        run(path, meaning="that")
