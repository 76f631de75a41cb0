"""Settings that all sequence models share, and the rules that fill in what a recipe leaves open."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field

from bowerbird.models.descriptions import TowerConfig
from bowerbird.training.device import Device

if TYPE_CHECKING:
    from bowerbird.data.sequences import Sequences


class SequentialConfig(TowerConfig):
    """How a sequence model is trained; what is None follows the size of the data by the rules of ``with_defaults``."""

    embedding_size: int = Field(default=64, ge=2, le=1024)
    """Width of the item vectors and of the layers."""
    max_length: int | None = Field(default=None, ge=1, le=1000)
    """How many of a user's last events are read."""
    dropout: float | None = Field(default=None, ge=0, le=0.9)
    """Share of the numbers, read and inside the layers, that are zeroed in training."""
    event_types: bool = True
    """Whether an event's type is read beside its item, where there are several with evidence."""
    time_gaps: bool = False
    """Whether the time since the event before is read beside the item."""
    loss: Literal["softmax", "gbce", "bce"] = "softmax"
    """Cross-entropy over the items, or binary cross-entropy with or without gBCE's calibration."""
    calibration: float = Field(default=0.75, ge=0, le=1)
    """Of ``gbce``: 0 is ``bce``, 1 calibrates in full."""
    negatives: Literal["uniform", "popular", "in_batch"] = "uniform"
    """How the negatives of a batch are drawn, that all of its targets share; the loss corrects for it (log-q)."""
    num_negatives: int | None = Field(default=None, ge=0)
    """How many are drawn; 0 takes all items. With ``in_batch`` the batch decides."""
    batch_tokens: int | None = Field(default=None, ge=16)
    """About how many targets a batch has."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Of AdamW, after a warm-up of at most 100 steps."""
    schedule: Literal["constant", "linear", "cosine", "step", "plateau"] = "constant"
    """What becomes of the learning rate until the last epoch; ``plateau`` halves it when a validation is no better."""
    drop_epochs: tuple[int, ...] | None = None
    """Of ``plateau``: after which epochs it is halved. None: found with the number of epochs."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Of AdamW."""
    num_epochs: int | None = Field(default=None, ge=1)
    """Passes over the data. None: found on a hold-out, then all data is trained on anew for as long."""
    max_epochs: int | None = Field(default=None, ge=1)
    """The most passes that are tried when their number is to be found."""
    patience: int = Field(default=5, ge=1)
    """Validations without a better one before the search for the number ends."""
    device: Device = "auto"
    """What it is trained on: ``auto`` takes CUDA where torch finds it. Lists are made on the CPU."""
    validation: Literal["time", "last"] = "last"
    """What the search foretells: what came after a moment (where that asks enough users), or the last event of some users."""

    def with_defaults(self, sequences: Sequences, *, num_items: int) -> Self:
        """Fill in what is None, for T targets (events with one before them) of U users on V items.

        - The last 50 events are read; beyond 1 M targets the last 200 where users have more than 50 on average.
        - All items are scored where V is at most 2,000, else 1,024 negatives: 512 reached less on Amazon Beauty, 2,048 no more
          in the same time.
        - Batches of T / 128 targets, to the nearest power of two, from 256 to 1,024, beyond 1 M targets to 4,096: with few
          epochs, steps are worth more than large products.
        - The search may train 280,000 + 200 U + 15 T targets, at most 30 M, and tries at most 40 epochs: some 15 minutes of one
          core for the largest logs, search and refit together at most twice that.
        - Dropout 0.5 where items are rare (T below 20 V) and 12 epochs or more may be tried, else 0.2: what ends sooner has
          not begun to overfit.

        What holds beyond 1 M targets follows published tables. That a log of 11.5 M events stays within 1,300 CPU-seconds and 2.1
        GB was measured (one epoch, 312 CPU-seconds, times four), how good its lists are was not.
        """
        num_targets = max(sequences.num_targets, 1)
        num_users = max(int((sequences.lengths > 0).sum()), 1)
        is_large = num_targets > 1_000_000
        budget = min(280_000 + 200 * num_users + 15 * num_targets, 30e6)
        rounded = math.floor if is_large else round
        max_epochs = int(np.clip(rounded(budget / num_targets), 1, 40))
        return self._filled(
            {
                "max_length": 200 if is_large and num_targets > 50 * num_users else 50,
                "dropout": 0.5 if num_targets < 20 * num_items and max_epochs >= 12 else 0.2,
                "num_negatives": 1024 if num_items > 2000 else 0,
                "batch_tokens": int(np.clip(2 ** round(math.log2(num_targets / 128)), 256, 4096 if is_large else 1024)),
                "max_epochs": max_epochs,
            }
        )

    def _filled(self, rules: dict[str, int | float]) -> Self:
        """Return the settings with ``rules`` where nothing was given."""
        given = self.model_dump()
        return self.model_validate(given | {key: value for key, value in rules.items() if given[key] is None})
