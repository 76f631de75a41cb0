"""Settings of ``gru4rec``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from pydantic import Field

from bowerbird.models.sequential_config import SequentialConfig


class Gru4recConfig(SequentialConfig):
    """Settings of ``gru4rec``; what is None follows the size of the data by the rules of ``with_defaults``."""

    num_blocks: int = Field(default=1, ge=1, le=12)
    """Recurrent layers, one on top of the other."""
