"""A training that is stopped at any step and begun again ends as an undisturbed one, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
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
from tests.training.trainings import TRAININGS, fitted


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


def test_the_models_inside_another_are_kept_each_and_go_on(tmp_path: Path) -> None:
    parts = [TRAININGS["negatives in the batch"], TRAININGS["pairs"] | {"num_epochs": None, "max_epochs": 1}]
    settings = {"name": "two_stage", "generators": parts, "horizon_days": 0.3, "ranker": {"name": "lambdamart"}}
    model = fitted(settings, checkpoints=tmp_path)
    kept = {str(path.relative_to(tmp_path)): path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    assert sorted(kept) == [
        *("first-0/training.safetensors", "first-1/epochs.safetensors", "first-1/training.safetensors"),
        *("last-0/training.safetensors", "last-1/training.safetensors"),
    ]
    again = fitted(settings, checkpoints=tmp_path)
    assert {str(path.relative_to(tmp_path)): path.stat().st_mtime_ns for path in tmp_path.glob("*/*")} == kept
    for first, second in zip(model._parts, again._parts, strict=True):
        assert all(np.array_equal(array, second._arrays()[key]) for key, array in first._arrays().items())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["nothing", "half", "all"])
def test_a_stop_while_it_is_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    average, curve, _ = run(None)
    path, writes = tmp_path / "training.safetensors", iter(range(1, 1000))
    save_file = safetensors.torch.save_file

    def saved(tensors: dict[str, torch.Tensor], unfinished: Path, **more: Any) -> None:
        save_file(tensors, unfinished, **more)
        if next(writes) == 11:
            content = unfinished.read_bytes()
            unfinished.write_bytes(content[: int(share * len(content))])
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(safetensors.torch, "save_file", saved)
        run(path)
    assert len(list(tmp_path.iterdir())) == 2
    again, curve_again, _ = run(path)
    assert curve_again == curve and weights(again) == weights(average)
    assert [found.name for found in tmp_path.iterdir()] == [path.name], "what was unfinished is cleared away"


@pytest.mark.parametrize("name", ["items by their description", "masks", "two towers", "pairs"])
def test_a_model_that_was_stopped_goes_on_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    settings, write, num_writes = TRAININGS[name] | {"num_epochs": None, "max_epochs": 2}, Checkpoint.write, 0
    undisturbed = fitted(settings)
    monkeypatch.setattr(Checkpoint, "is_due", True)

    def written(checkpoint: Checkpoint, *arguments: Any) -> None:
        nonlocal num_writes
        write(checkpoint, *arguments)
        num_writes += 1
        if num_writes in (4, 15):
            raise Stopped

    monkeypatch.setattr(Checkpoint, "write", written)
    for _ in range(2):
        with pytest.raises(Stopped):
            fitted(settings, checkpoints=tmp_path)
    again = fitted(settings, checkpoints=tmp_path)
    assert num_writes > 15 and again.curve == undisturbed.curve
    arrays, expected = again._arrays(), undisturbed._arrays()
    assert all(np.array_equal(arrays[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", ["items by their description", "two towers", "pairs"])
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, name: str) -> None:
    fitted(TRAININGS[name], checkpoints=tmp_path)
    with pytest.raises(HomeError, match="is of another training"):
        fitted(TRAININGS[name], checkpoints=tmp_path, learning_rate=1e-4)


@pytest.mark.parametrize("name", ["items by their description", "two towers"])
def test_a_checkpoint_of_other_descriptions_is_refused(tmp_path: Path, name: str) -> None:
    fitted(TRAININGS[name], checkpoints=tmp_path)
    with pytest.raises(HomeError, match="is of another training"):
        fitted(TRAININGS[name], checkpoints=tmp_path, category_weight=0.3001)
