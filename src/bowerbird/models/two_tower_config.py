"""Settings of ``two_tower``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bowerbird.models.descriptions import TowerConfig
from bowerbird.training.device import Device


class TwoTowerConfig(TowerConfig):
    """The two towers, how they are trained, and how lists are found; descriptions are weighed as in ``content``."""

    embedding_size: int = Field(default=64, ge=1, le=1024)
    """Width of the vectors in which users and items meet."""
    hidden_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(128,), max_length=8)
    """Width of each hidden layer of the users' tower."""
    max_history: int = Field(default=50, ge=1)
    """Only a user's latest so many events are read."""
    half_life_events: float = Field(default=5.0, gt=0)
    """An event counts half for each so many later ones of the same user."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Of AdamW; constant after a warm-up of at most 100 steps."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Of AdamW."""
    batch_size: int = Field(default=512, ge=2)
    """Events of a step; each one's item is a negative to the others."""
    device: Device = "auto"
    """What it is trained on: ``auto`` takes CUDA where torch finds it. Lists are made on the CPU."""
    num_epochs: int | None = Field(default=None, ge=1)
    """Passes over the data. None: found on a hold-out, then all data is trained on anew for as long."""
    max_epochs: int = Field(default=10, ge=1)
    """The most passes that are tried when their number is to be found."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better validation before the search for the number ends."""
    retrieval: Literal["exact", "ivf"] = "exact"
    """Whether all items are compared, or those of the nearest lists alone; the latter pays from 100,000 items on."""
    num_lists: int | None = Field(default=None, ge=1)
    """Of ``ivf``: so many lists share the items; twice the root of their number where absent."""
    reach: float = Field(default=3.5, ge=0)
    """Of ``ivf``: how many deviations from its centroid a list may hold a user's best items; more search more lists."""
