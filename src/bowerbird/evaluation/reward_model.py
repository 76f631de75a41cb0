"""The reward model of the doubly robust estimators: a rate for each position times a lift for each item, cross-fitted.

    q(item, position) = rate(position) * (rewards(item) + s) / (expected(item) + s)

``expected`` sums the rates of the positions at which the item was shown, and s = PRIOR holds items that were shown little near 1.
It knows nothing of users. The units are dealt into folds, and each fold is predicted by what the others have shown (Chernozhukov
et al., Double/debiased machine learning, 2018): an estimate that judged its own noise would look too sure.

Shapes: N impressions, F folds, I items, P positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

NUM_FOLDS: Final = 5
PRIOR: Final = 5.0
"""Expected rewards' worth of belief that an item is like the others."""


@dataclass(frozen=True, eq=False)
class RewardModel:
    """What the other folds say of each position and item; float64 [F, P] and [F, I]."""

    rates_FP: Values
    lifts_FI: Values

    def predict(self, folds: Codes, positions: Codes, items: Codes) -> Values:
        """Return the expected reward of each item at its position, for units of each fold; positions count from 0."""
        predicted: Values = self.rates_FP[folds, positions] * self.lifts_FI[folds, items]
        return predicted

    def baseline(self, table_PI: Values) -> Values:
        """Return what a policy that shows an item with the same probability to everybody would earn; float64 [F, P]."""
        return self.rates_FP * (self.lifts_FI @ table_PI.T)


@dataclass(frozen=True, eq=False)
class Shown:
    """Impressions to learn from; each [N]: codes from 0 on, folds below NUM_FOLDS, and what was earned, at least 0."""

    folds: Codes
    positions: Codes
    items: Codes
    rewards: Values


def fit_rewards(
    folds: Codes, positions: Codes, items: Codes, rewards: Values, *, num_positions: int, num_items: int
) -> RewardModel:
    """Fit the model once for each fold, on the impressions of the others; arguments as of ``Shown``."""
    parts = [Shown(folds, positions, items, rewards)]
    return fit_rewards_on_parts(parts, num_positions=num_positions, num_items=num_items)


def fit_rewards_on_parts(parts: Iterable[Shown], *, num_positions: int, num_items: int) -> RewardModel:
    """Do so on a log that comes in parts, which is gone through twice."""
    counts_FP, earned_FP = np.zeros((NUM_FOLDS, num_positions)), np.zeros((NUM_FOLDS, num_positions))
    earned_FI, expected_FI = np.zeros((NUM_FOLDS, num_items)), np.zeros((NUM_FOLDS, num_items))
    for part in parts:
        places = part.folds * num_positions + part.positions
        counts_FP += np.bincount(places, minlength=counts_FP.size).reshape(counts_FP.shape)
        earned_FP += np.bincount(places, part.rewards, counts_FP.size).reshape(counts_FP.shape)
        earned_FI += np.bincount(part.folds * num_items + part.items, part.rewards, earned_FI.size).reshape(earned_FI.shape)
    counts_FP, earned_FP, earned_FI = (totals.sum(axis=0) - totals for totals in (counts_FP, earned_FP, earned_FI))
    means_F1 = earned_FP.sum(axis=1, keepdims=True) / np.maximum(counts_FP.sum(axis=1, keepdims=True), 1)
    rates_FP = np.where(counts_FP > 0, earned_FP / np.maximum(counts_FP, 1), means_F1)
    for part in parts:
        for fold in range(NUM_FOLDS):
            rates_N = np.where(part.folds != fold, rates_FP[fold][part.positions], 0.0)
            expected_FI[fold] += np.bincount(part.items, rates_N, num_items)
    return RewardModel(rates_FP, (earned_FI + PRIOR) / (expected_FI + PRIOR))
