"""By how much off-policy weights are cut: the bound s of ``switch_dr`` and the shrinking estimators, by the weights alone.

Formulas and papers stand in ``off_policy``. N impressions of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bowerbird.recipe_gate import Estimator

Values = NDArray[np.float64]

NUM_BOUNDS: Final = 12
"""Bounds that are tried beside cutting nothing."""
MODEL_ERROR: Final = 0.25
"""How wrong the reward model is taken to be where weights are cut, in standard deviations of a residual."""
DIGIT: Final = 16
"""Bits of a weight that are told apart in one pass, when the median is looked for."""
SHRINK: Final[dict[Estimator, Callable[[Values, float], Values]]] = {
    "switch_dr": lambda weights, bound: np.where(weights <= bound, weights, 0.0),
    "dr_optimistic": lambda weights, bound: weights / (1 + np.square(weights) / bound),
    "dr_pessimistic": np.minimum,
}
"""What a weight becomes under a bound; infinity leaves it as it is."""


def choose_bounds(weights: Callable[[], Iterator[Values]], *, num: int, greatest: float) -> dict[Estimator, float]:
    """Choose the bounds s of ``switch_dr`` and the shrinking estimators by the weights alone; infinity: cutting nothing is best.

    Tried are bounds from the median of the positive weights to ten times the greatest, evenly in logarithms (their squares where
    s is on that scale). With residuals of standard deviation 1 and a reward model that is wrong by MODEL_ERROR, the estimate's
    variance is mean(w_s^2) / N and its bias MODEL_ERROR mean(w - w_s): the bound with the least variance + bias^2 is taken.

    Parameters
    ----------
    weights
        Goes through the weights above 0, block by block, as often as it is called.
    num, greatest
        How many impressions there are, those with the weight 0 too, and the greatest weight.
    """
    tried = np.append(np.geomspace(median(weights), 10 * greatest, NUM_BOUNDS), np.inf)
    bounds = {name: np.square(tried) if name == "dr_optimistic" else tried for name in SHRINK}
    lost, squares = ({name: np.zeros(len(tried)) for name in SHRINK} for _ in range(2))
    for weights_N in weights():
        for name, own in bounds.items():
            for place, bound in enumerate(own):
                kept_N = SHRINK[name](weights_N, float(bound))
                lost[name][place] += (weights_N - kept_N).sum()
                squares[name][place] += np.dot(kept_N, kept_N)
    costs = {name: squares[name] / num**2 + np.square(MODEL_ERROR * lost[name] / num) for name in SHRINK}
    return {name: float(own[len(own) - 1 - np.argmin(costs[name][::-1])]) for name, own in bounds.items()}


def median(values: Callable[[], Iterator[Values]]) -> float:
    """Return the median of positive numbers that do not fit into memory."""
    num = sum(map(len, values()))
    low = _with_rank(values, (num - 1) // 2)
    if num % 2 == 0 and sum(int((block <= low).sum()) for block in values()) <= num // 2:
        return (low + min(float(block.min(initial=np.inf, where=block > low)) for block in values())) / 2
    return low


def _with_rank(values: Callable[[], Iterator[Values]], rank: int) -> float:
    """Return the number than which ``rank`` are smaller, some bits a pass: positive floats are in the order of their bits."""
    found = 0
    for shift in range(64 - DIGIT, -1, -DIGIT):
        counts = np.zeros(1 << DIGIT, np.int64)
        for block in values():
            bits = block.view(np.int64)
            of_prefix = bits if shift + DIGIT == 64 else bits[bits >> (shift + DIGIT) == found]
            digits = of_prefix >> shift & ((1 << DIGIT) - 1)
            counts += np.bincount(digits, minlength=1 << DIGIT)
        ends = np.cumsum(counts)
        digit = int(np.searchsorted(ends, rank, side="right"))
        rank -= int(ends[digit] - counts[digit])
        found = found << DIGIT | digit
    return float(np.int64(found).view(np.float64))
