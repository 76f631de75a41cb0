"""Settings of ``sasrec``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from bowerbird.models.sequential_config import SequentialConfig

if TYPE_CHECKING:
    from bowerbird.data.sequences import Sequences


class SasrecConfig(SequentialConfig):
    """Settings of ``sasrec``; what is None follows the size of the data by the rules of ``with_defaults``."""

    num_blocks: int | None = Field(default=None, ge=1, le=12)
    """Transformer blocks; one up to 1 M targets, two beyond, where absent."""
    num_heads: int = Field(default=1, ge=1, le=16)
    """Attention heads; they must divide the width."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(f"embedding_size {self.embedding_size} is no multiple of num_heads {self.num_heads}")
        return self

    def with_defaults(self, sequences: Sequences, *, num_items: int) -> Self:
        """See ``SequentialConfig``."""
        filled = super().with_defaults(sequences, num_items=num_items)
        return filled._filled({"num_blocks": 2 if sequences.num_targets > 1_000_000 else 1})
