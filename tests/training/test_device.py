"""Where networks are trained. No test runs on a GPU, for there is none; another device is pretended."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bowerbird.errors import CapabilityError
from bowerbird.models import load_model
from bowerbird.training import loop
from bowerbird.training.checkpoint import Checkpoint
from bowerbird.training.device import device_of
from tests.training.elsewhere import THERE, Elsewhere
from tests.training.trainings import TRAININGS, fitted, losses


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.setattr(loop, "device_of", lambda asked, rank: THERE)
    for name in ("Adam", "AdamW"):  # the fused ones are for CPU and GPU alone
        monkeypatch.setattr(torch.optim, name, partial(unfused, getattr(torch.optim, name)))
    with Elsewhere() as mode:
        yield mode


def unfused(kind: type[torch.optim.Optimizer], *arguments: Any, fused: bool, **more: Any) -> torch.optim.Optimizer:
    return kind(*arguments, **more)


@pytest.mark.usefixtures("without_cuda")
def test_without_cuda_auto_is_the_cpu_and_cuda_is_an_error_with_the_next_step() -> None:
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    with pytest.raises(CapabilityError, match=r"device is 'cuda', but torch finds no CUDA device.*Next: set device to 'auto'"):
        device_of("cuda")
    with pytest.raises(CapabilityError, match="device is 'cuda'"):
        fitted(TRAININGS["masks"], device="cuda")


def test_with_cuda_auto_is_cuda_and_processes_take_turns_on_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cpu") == torch.device("cpu")
    assert [str(device_of("auto", rank=rank)) for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of("cuda") == torch.device("cuda", 0)


@pytest.mark.slow
def test_the_pretended_device_refuses_what_cuda_would() -> None:
    with Elsewhere():
        there = torch.ones(3).to(THERE)
        assert (there + 1).cpu().tolist() == [2, 2, 2]
        with pytest.raises(RuntimeError, match="here and of"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="generator"):
            there.normal_(generator=torch.Generator())
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "recurrent"])  # GRU turns tensors in place
def test_a_training_elsewhere_gives_the_losses_and_lists_of_the_cpu(name: str, elsewhere: Elsewhere, tmp_path: Path) -> None:
    model = fitted(TRAININGS[name])
    assert elsewhere.num_operations > 1000
    model.save(tmp_path / "model")
    lists = load_model(tmp_path / "model").recommend([f"u{user:02}" for user in range(30)], k=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "device_of", device_of)
        usual = fitted(TRAININGS[name], device="cpu")
    assert losses(model) == pytest.approx(losses(usual), rel=1e-5)
    expected = usual.recommend([f"u{user:02}" for user in range(30)], k=5)
    np.testing.assert_allclose(lists["score"], expected["score"], atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")  # it is copied all the same
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["masks", "two towers", "pairs"])
def test_a_search_for_the_epochs_and_a_checkpoint_may_be_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", True)
    settings = TRAININGS[name] | {"num_epochs": None, "max_epochs": 2}
    model = fitted(settings, checkpoints=tmp_path)
    assert all(point.validation is not None for point in model.curve)
    again = fitted(settings, checkpoints=tmp_path)
    assert again.curve == model.curve and sorted(path.name for path in tmp_path.iterdir()) == [
        "epochs.safetensors",
        "training.safetensors",
    ]
