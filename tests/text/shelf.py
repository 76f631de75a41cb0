"""A few items, and an encoder that counts what it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ITEMS = pd.DataFrame({"item_id": [f"i{place}" for place in range(40)], "title": [f"Title {place}" for place in range(40)]})


class CountingEncoder:
    """Draws a vector from each text's checksum."""

    name, identity = "counting", "0123456789abcdef"

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += texts
        seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        return np.stack([np.random.default_rng(seed).normal(size=8).astype(np.float32) for seed in seeds])
