"""Settings of ``tiger``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from bowerbird.models.features import FeatureWeights


class TigerConfig(FeatureWeights):
    """Settings of ``tiger``; descriptions are weighed as in ``content``, where items have no text vectors."""

    num_levels: int = Field(default=3, ge=1, le=8)
    """Codes of an item, before the counter that tells equal ones apart."""
    num_codes: int = Field(default=256, ge=2, le=4096)
    """The most codes of a level; a quarter of the number of items where that is less."""
    num_beams: int = Field(default=50, ge=1, le=1000)
    """Prefixes that are followed at each level, and so the most items that are scored."""
    embedding_size: int = Field(default=64, ge=2, le=1024)
    """Width of the codes' vectors and of the blocks."""
    num_blocks: int = Field(default=1, ge=1, le=12)
    """Transformer blocks of the encoder."""
    num_heads: int = Field(default=1, ge=1, le=16)
    """Attention heads; they must divide the width."""
    max_length: int = Field(default=50, ge=1, le=1000)
    """How many of a user's last events are read."""
    dropout: float = Field(default=0.3, ge=0, le=0.9)
    """Share of the numbers, read and inside the networks, that are zeroed in training."""
    batch_tokens: int = Field(default=512, ge=16)
    """About how many targets a batch has."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Of AdamW; constant after a warm-up of at most 100 steps."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Of AdamW."""
    num_epochs: int = Field(default=20, ge=1)
    """Passes over the data."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(f"embedding_size {self.embedding_size} is no multiple of num_heads {self.num_heads}")
        return self
