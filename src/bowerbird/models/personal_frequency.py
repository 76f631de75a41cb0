"""Personal frequency: what a user had before, the more often and the more recently the better; for repeats.

    score(u, i) = sum over events e of u on i of weight(e) * 2^(-age(e) / half_life_days)

Ages count from the user's own newest event with evidence: another moment would scale all scores of a user alike. Events of
weight 0 count for nothing, and the places of the list that are left go to popular items.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.sparse import csr_array, eye_array

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.linear import LinearModel, state_matrix

SMALLEST_EXPONENT = -900.0  # 2^-900 times any sensible weight is still above 0


class PersonalFrequencyConfig(ModelConfig):
    """How fast the past fades."""

    half_life_days: Annotated[float, Field(ge=0.01, le=36_500)] = 120.0
    """An event's weight is halved for each such time between it and the user's newest event."""


class PersonalFrequency(LinearModel):
    """A user's own items by decayed count; nothing is learned but popularity."""

    name: ClassVar[str] = "personal_frequency"
    Config: ClassVar[type[ModelConfig]] = PersonalFrequencyConfig
    config: PersonalFrequencyConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._restore({})

    def _state(self, histories: Histories) -> csr_array:
        past = histories.evidence()
        half_lives = past.ages / (self.config.half_life_days * MICROSECONDS_A_DAY)
        return state_matrix(past, past.weights * np.exp2(np.maximum(-half_lives, SMALLEST_EXPONENT)), self.data.num_items)

    def _arrays(self) -> Arrays:
        return {}

    def _restore(self, arrays: Arrays) -> None:
        self._matrix = eye_array(self.data.num_items, format="csr")  # an item speaks for itself alone
