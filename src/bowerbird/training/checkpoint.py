"""A training as a file: all that its next step depends on, so that one that was killed goes on to the last bit.

One safetensors file: tensors of network, average, optimizer and generator, and the rest as JSON in its header; nothing is
pickled. It is written beside its place and renamed into it, so a kill leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.errors import HomeError

PARTS = ("network.", "average.")


@dataclass(frozen=True)
class Epoch:
    """The mean loss of an epoch, and the validation after it where there was one."""

    epoch: int
    loss: float
    validation: float | None = None


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    """Steps made in all."""
    batch: int = 0
    """Steps made in the epoch that is going on."""
    sum_loss: float = 0.0
    num_targets: int = 0
    """Of the epoch that is going on, with ``sum_loss``."""
    is_done: bool = False
    curve: list[Epoch] = field(default_factory=list)
    """The epochs that have ended."""


def file_name(*, is_search: bool) -> str:
    """Name the file of a training, or of the search for its epochs, which comes before it."""
    return f"{'epochs' if is_search else 'training'}.safetensors"


class Checkpoint:
    """Where a training is kept, and how often.

    Parameters
    ----------
    path
        The file.
    meaning
        A checksum of data, settings and seed: a file of another training is refused.
    generator
        What all chance of the training is drawn from.
    seconds
        The least time between two writes.
    """

    def __init__(self, path: Path, *, meaning: str, generator: torch.Generator, seconds: float = 60.0) -> None:
        self.path, self.meaning, self.generator, self.seconds = path, meaning, generator, seconds
        self._written = time.monotonic()
        self._epoch_began = generator.get_state()
        self._now: Tensor | None = None

    @classmethod
    def of(
        cls,
        folder: Path | None,
        file: str,
        network: nn.Module,
        generator: torch.Generator,
        *,
        about: str,
        columns: Iterable[NDArray[Any] | None],  # Any: of every type
    ) -> Checkpoint | None:
        """Return where a training is kept, None without a folder; it depends on words, columns, and how the network begins."""
        if folder is None:
            return None
        meaning = hashlib.sha256(about.encode())
        for column in (*columns, *(value.numpy() for value in network.state_dict().values())):
            meaning.update(b"none" if column is None else np.ascontiguousarray(column).tobytes())
        return cls(folder / file, meaning=meaning.hexdigest(), generator=generator)

    def begin_epoch(self) -> None:
        """Note the generator from which the order of the epoch's batches is drawn."""
        self._epoch_began = self.generator.get_state()

    def skipped(self) -> None:
        """Set the generator to where the training was, when the batches made before it was stopped have been drawn again."""
        if self._now is not None:
            self.generator.set_state(self._now)
            self._now = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._written >= self.seconds

    def write(self, progress: Progress, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the file."""
        from safetensors.torch import save_file

        tensors = {"generator.now": self.generator.get_state(), "generator.epoch_began": self._epoch_began}
        for part, module in zip(PARTS, (network, average), strict=True):
            tensors |= {part + name: value for name, value in module.state_dict().items()}
        for place, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
        about = {"meaning": self.meaning, "progress": asdict(progress)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(copies, unfinished, metadata={"about": json.dumps(about)})
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(self.path)
        self._written = time.monotonic()

    def read(self, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Take back what ``write`` kept; a training without a file begins.

        Raises HomeError for a file that is damaged, or of another training.
        """
        for unfinished in self.path.parent.glob(f"{self.path.name}.*.tmp"):  # of what was killed while it wrote
            unfinished.unlink(missing_ok=True)
        if not self.path.exists():
            return Progress()
        about, tensors = self._load()
        if about["meaning"] != self.meaning:
            raise HomeError(
                f"the checkpoint {str(self.path)!r} is of another training: data, settings or seed are not the same",
                next_step="name another folder, or delete the file to begin anew",
            )
        for part, module in zip(PARTS, (network, average), strict=True):
            module.load_state_dict({name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)})
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, place, key = name.split(".")
                states.setdefault(int(place), {})[key] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        told = about["progress"]
        progress = Progress(**{**told, "curve": [Epoch(**point) for point in told["curve"]]})
        self._now = tensors["generator.now"]
        self.generator.set_state(tensors["generator.epoch_began"] if progress.batch else self._now)
        return progress

    def _load(self) -> tuple[dict[str, Any], dict[str, Tensor]]:  # Any: JSON
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                about = json.loads(file.metadata()["about"])
                return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            raise HomeError(
                f"the checkpoint {str(self.path)!r} cannot be read: {error}", next_step="delete the file to begin anew"
            ) from error
