"""Random scores: the rival that says whether a metric is worth anything.

The score of a pair is a hash of seed, user id and item id, mapped to [0, 1), so it does not depend on which users are
asked for together nor on which other items there are.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.data.interactions import Ids, Interactions
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig
from bowerbird.models.topk import Scores

TWO_TO_MINUS_53 = 2.0**-53


class RandomConfig(ModelConfig):
    """There is nothing to set."""


class Random(Model):
    """Scores that mean nothing, the same for the same seed and user."""

    name: ClassVar[str] = "random"
    Config: ClassVar[type[ModelConfig]] = RandomConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._item_hashes_N = hashes(data.item_ids)

    def _score(self, histories: Histories, at: int) -> Scores:
        assert histories.ids is not None
        own_B = mix(hashes(histories.ids) + np.uint64(self.seed))
        mixed_BN = mix(own_B[:, None] ^ self._item_hashes_N)
        return (mixed_BN >> np.uint64(11)).astype(np.float64) * TWO_TO_MINUS_53

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Add events; what a full fit costs is next to nothing, so it is one."""
        return self.fit(self.data.concat(new), items=items, users=users)

    def _arrays(self) -> Arrays:
        return {"item_hashes": self._item_hashes_N}

    def _restore(self, arrays: Arrays) -> None:
        self._item_hashes_N = arrays["item_hashes"]


def hashes(ids: Ids) -> NDArray[np.uint64]:
    """Return a number for each id, the same on every machine."""
    texts: NDArray[Any] = np.asarray([str(value) for value in ids], object)  # Any: texts, of any length
    return np.asarray(pd.util.hash_array(texts, categorize=False), np.uint64)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits (the finaliser of SplitMix64, Steele et al. 2014); sums wrap around on purpose."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
