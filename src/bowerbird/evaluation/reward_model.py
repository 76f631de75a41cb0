"""The reward model of the doubly robust estimators: a rate for each position times a lift for each item, cross-fitted.

    q(item, position) = rate(position) * (rewards(item) + s) / (expected(item) + s)

``expected`` sums the rates of the positions at which the item was shown, and s = PRIOR holds items that were shown little near 1.
It knows nothing of users. The units are dealt into folds, and each fold is predicted by what the others have shown (Chernozhukov
et al., Double/debiased machine learning, 2018): an estimate that judged its own noise would look too sure.

Shapes: N impressions, F folds, I items, P positions.
"""

from __future__ import annotations

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


def fit_rewards(
    folds: Codes, positions: Codes, items: Codes, rewards: Values, *, num_positions: int, num_items: int
) -> RewardModel:
    """Fit the model once for each fold, on the impressions of the others.

    Parameters
    ----------
    folds, positions, items : int [N]
        Codes from 0 on; folds are below NUM_FOLDS.
    rewards : float [N]
        What each impression earned, at least 0.
    """
    rates_FP = np.empty((NUM_FOLDS, num_positions))
    lifts_FI = np.empty((NUM_FOLDS, num_items))
    for fold in range(NUM_FOLDS):
        kept = (folds != fold).astype(np.float64)
        mean = float(np.dot(kept, rewards)) / max(float(kept.sum()), 1.0)
        counts_P = np.bincount(positions, kept, num_positions)
        earned_P = np.bincount(positions, kept * rewards, num_positions)
        rates_FP[fold] = np.where(counts_P > 0, earned_P / np.maximum(counts_P, 1), mean)
        expected_I = np.bincount(items, kept * rates_FP[fold][positions], num_items)
        lifts_FI[fold] = (np.bincount(items, kept * rewards, num_items) + PRIOR) / (expected_I + PRIOR)
    return RewardModel(rates_FP, lifts_FI)
