"""Settings of ``sasrec``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, model_validator

from bowerbird.models.base import ModelConfig

if TYPE_CHECKING:
    from bowerbird.data.sequences import Sequences


class SasrecConfig(ModelConfig):
    """Settings of ``sasrec``; what is None follows the size of the data by the rules of ``with_defaults``."""

    embedding_size: int = Field(default=64, ge=2, le=1024)
    """Width of the item vectors and of the blocks."""
    num_blocks: int | None = Field(default=None, ge=1, le=12)
    """Transformer blocks."""
    num_heads: int = Field(default=1, ge=1, le=16)
    """Attention heads; they must divide the width."""
    max_length: int | None = Field(default=None, ge=1, le=1000)
    """How many of a user's last events are read."""
    dropout: float | None = Field(default=None, ge=0, le=0.9)
    """Share of the numbers, read and inside the blocks, that are zeroed in training."""
    num_negatives: int | None = Field(default=None, ge=0)
    """Uniform draws against which all targets of a batch are scored; 0 takes all items."""
    batch_tokens: int | None = Field(default=None, ge=16)
    """About how many targets a batch has."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Of AdamW; constant after a warm-up of at most 100 steps."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Of AdamW."""
    num_epochs: int | None = Field(default=None, ge=1)
    """Passes over the data. None: found on a hold-out, then all data is trained on anew for as long."""
    max_epochs: int | None = Field(default=None, ge=1)
    """The most passes that are tried when their number is to be found."""
    patience: int = Field(default=3, ge=1)
    """Validations without a better one before the search for the number ends."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(f"embedding_size {self.embedding_size} is no multiple of num_heads {self.num_heads}")
        return self

    def with_defaults(self, sequences: Sequences, *, num_items: int) -> SasrecConfig:
        """Fill in what is None, for T targets (events with one before them) of U users on V items.

        - One block up to 1 M targets, two beyond. The last 50 events are read; beyond 1 M targets the last 200 where users
          have more than 50 on average.
        - All items are scored where V is at most 1,000, else 512 negatives: 256 reached less on four logs.
        - Batches of T / 128 targets, to the nearest power of two, from 256 to 1,024, beyond 1 M targets to 4,096: with few
          epochs, steps are worth more than large products.
        - The search may train 280,000 + 100 U + 15 T (T / 1 M)^2 targets, at most 30 M, and tries at most 30 epochs. A small
          log is done within seconds; the largest trains 60 M targets (or two epochs), search and refit together.
        - Dropout 0.5 where items are rare (T below 20 V) and 12 epochs or more may be tried, else 0.2: what ends sooner has
          not begun to overfit.

        What holds beyond 1 M targets follows published tables; it was not measured.
        """
        num_targets = max(sequences.num_targets, 1)
        num_users = max(int((sequences.lengths > 0).sum()), 1)
        is_large = num_targets > 1_000_000
        budget = min(280_000 + 100 * num_users + 15 * num_targets * (num_targets / 1e6) ** 2, 30e6)
        max_epochs = int(np.clip(round(budget / num_targets), 1, 30))
        dropout = 0.5 if num_targets < 20 * num_items and max_epochs >= 12 else 0.2
        rules = {
            "num_blocks": 2 if is_large else 1,
            "max_length": 200 if is_large and num_targets > 50 * num_users else 50,
            "dropout": dropout,
            "num_negatives": 512 if num_items > 1000 else 0,
            "batch_tokens": int(np.clip(2 ** round(math.log2(num_targets / 128)), 256, 4096 if is_large else 1024)),
            "max_epochs": max_epochs,
        }
        given = self.model_dump()
        return SasrecConfig.model_validate(given | {key: value for key, value in rules.items() if given[key] is None})
