"""A made-up site of three places and twelve items, whose logs have a known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bowerbird.evaluation.off_policy import Impressions
from bowerbird.evaluation.propensities import same_for_all

Values = NDArray[np.float64]
NUM_POSITIONS, NUM_ITEMS = 3, 12


@dataclass(frozen=True, eq=False)
class Site:
    """How often an item is clicked at a place, what the logged policy shows there, and what the target policy would; [P, I]."""

    rates_PI: Values
    logged_PI: Values
    target_PI: Values

    @property
    def truth(self) -> float:
        """What the target policy earns an impression; places are equally frequent."""
        return float((self.rates_PI * self.target_PI).sum(axis=1).mean())

    def log(self, num_users: int, seed: list[int]) -> Impressions:
        """Let users come; each sees one to eight places, and clicks more or less than others all along."""
        rng = np.random.default_rng(seed)
        units = np.repeat(np.arange(num_users), rng.integers(1, 9, num_users))
        eager = rng.uniform(0.5, 1.5, num_users)[units]
        positions = rng.integers(0, NUM_POSITIONS, len(units))
        draws = rng.random(len(units))[:, None]
        items = np.minimum((self.logged_PI.cumsum(axis=1)[positions] < draws).sum(axis=1), NUM_ITEMS - 1)
        clicks = (rng.random(len(units)) < self.rates_PI[positions, items] * eager).astype(np.float64)
        return same_for_all(self.target_PI, positions, items, clicks, self.logged_PI[positions, items], units=units)


def make_site(*, logged_contrast: float, target_contrast: float, seed: int = 5) -> Site:
    """Make a site; the greater the contrasts, the more do the policies prefer some items, and differ in which."""
    rng = np.random.default_rng(seed)
    shape = (NUM_POSITIONS, NUM_ITEMS)
    looks_P1 = np.arange(1, NUM_POSITIONS + 1)[:, None] ** -0.7
    rates_PI = np.minimum(0.15 * looks_P1 * rng.lognormal(0, 0.6, NUM_ITEMS) * rng.lognormal(0, 0.2, shape), 0.6)
    tastes_PI = rng.normal(size=shape)
    logged_PI = _softmax(logged_contrast * tastes_PI)
    return Site(rates_PI, logged_PI, _softmax(target_contrast * (0.6 * tastes_PI + 0.8 * rng.normal(size=shape))))


def _softmax(tastes_PI: Values) -> Values:
    shares_PI: Values = np.exp(tastes_PI) / np.exp(tastes_PI).sum(axis=1, keepdims=True)
    return shares_PI
